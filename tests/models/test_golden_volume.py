"""The volume of FNeVR's reference implementation, with weights that give it some density."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from einops import rearrange
from support import formula
from support.golden import differences, show

from fnevr.models.volume import composite, ray_weights

TOLERANCE = 1e-4  # of an array's range


def adapted_tensors(model):
    """Pair the reference's names of the tensors that the dense weights change with ours."""
    field, last = model.renderer.field, model.renderer.auxiliary.up[-1]
    return (
        ("Render_model.nerf_module.layer3_1.weight", field.density.weight),
        ("Render_model.nerf_module.layer3_1.bias", field.density.bias),
        ("Render_model.nerf_module.layer6.weight", field.emission[-1].weight),
        ("Render_model.mini_decoder.2.norm.bias", last.norm.bias),
    )


@pytest.fixture(scope="module")
def golden():
    """Read the reference's arrays."""
    return np.load(formula.FOLDER / "fnevr-dense.npz")


@pytest.fixture(scope="module")
def found(from_formula):
    """Return ours, by the reference's names."""
    model = copy.deepcopy(from_formula("fnevr")[0])
    with torch.no_grad():
        for theirs, tensor in adapted_tensors(model):
            tensor.copy_(formula.tensor(theirs, tuple(tensor.shape), "fnevr-dense"))
    seen: dict[str, torch.Tensor] = {}
    model.renderer.density_volume.register_forward_hook(
        lambda _module, inputs, output: seen.update(volume_input=inputs[0], sigma=output)
    )
    model.renderer.color_volume.register_forward_hook(
        lambda _module, _inputs, output: seen.update(colour=output)
    )
    model.renderer.field.density.register_forward_hook(
        lambda _module, _inputs, output: seen.update(density=output[..., 0])
    )
    model.renderer.register_forward_hook(
        lambda _module, _inputs, output: seen.update(rendered=output.features)
    )
    source, driving = formula.image(0), formula.image(1)
    with torch.inference_mode():
        kp_source, kp_driving = model.keypoints(source), model.keypoints(driving)
        out = model.generate(source, kp_source, kp_driving)
        volumes = {
            name: rearrange(seen[name], "b c d h w -> b h w d c") for name in ("sigma", "colour")
        }
        emitted, density = model.renderer.field(volumes["sigma"], volumes["colour"])
        by_paper, _ = composite(emitted, density, transmittance="exclusive")
        weights = ray_weights(density, transmittance="inclusive")
    values = {
        "kp_source": kp_source.positions,
        "kp_driving": kp_driving.positions,
        "jac_source": kp_source.jacobians,
        "jac_driving": kp_driving.jacobians,
        "volume_input_sub": seen["volume_input"][:, ::8, ::4, ::4],
        "density_features_sub": volumes["sigma"][:, ::4, ::4],
        "colour_features_sub": volumes["colour"][:, ::4, ::4],
        "density": seen["density"],
        "colour_sub": emitted[:, ::4, ::4, :, ::16],
        "weights_sub": weights[:, ::2, ::2],
        "rendered_sub": seen["rendered"][:, ::8, ::2, ::2],
        "rendered_paper_rule_sub": by_paper.sigmoid().movedim(-1, 1)[:, ::8, ::2, ::2],
        "render_sub": out.rendered[..., ::4, ::4],
        "render_every3": out.rendered[..., ::3, ::3],
        "prediction_sub": out.image[..., ::4, ::4],
        "prediction_every3": out.image[..., ::3, ::3],
        "deformed_sub": out.warped[..., ::4, ::4],
        "occlusion_map_sub": out.occlusion[..., ::2, ::2],
    }
    whole = {
        "density": seen["density"],
        "colour": emitted,
        "rendered": seen["rendered"],
        "render": out.rendered,
        "prediction": out.image,
    }
    for name, array in whole.items():
        values[f"{name}_mean"], values[f"{name}_std"] = array.mean(), array.std()
    return {name: value.numpy() for name, value in values.items()}


def test_every_array_of_the_volume_matches(golden, found, capsys):
    assert sorted(found) == sorted(golden.files)
    # Of arrays that span less than 1, too: the weights of planes do.
    largest, _ = differences(found, golden, least_range=0.0)
    show(capsys, "fnevr-dense", largest)
    assert {name: error for name, error in largest.items() if error > TOLERANCE} == {}


def test_the_arrays_tell_rules_and_planes_apart(golden):
    """What a mistake would change is far beyond the tolerance."""
    rendered, by_paper = golden["rendered_sub"], golden["rendered_paper_rule_sub"]
    assert np.abs(rendered - by_paper).max() > 100 * TOLERANCE * np.ptp(rendered)
    density = golden["density"]
    assert np.abs(density - density[..., ::-1]).max() > 0.5 * np.ptp(density)
