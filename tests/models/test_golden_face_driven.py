"""PIRender and Bilayer: the reference implementations' weights give their outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from support import formula
from support.golden import differences, show

from fnevr.compat import load_checkpoint
from fnevr.geometry.driving import Coefficients, Landmarks68
from fnevr.models.baselines import bilayer
from fnevr.models.baselines.pirender import sampling_grid
from fnevr.models.baselines.stick_man import stick_men
from fnevr.models.encoded_source import SourceFace

TOLERANCE = 1e-4
MILLIONS = {
    "pirender": {"net_G_ema": 22.519},
    "bilayer": {
        "identity_embedder": 31.442,
        "texture_generator": 55.665,
        "keypoints_embedder": 1.219,
        "inference_generator": 11.844,
        "texture_enhancer": 2.715,
    },
}


def check_sizes(name, model, sizes):
    assert {part: round(size / 1e6, 3) for part, size in sizes.items()} == MILLIONS[name]
    assert sum(parameter.numel() for parameter in model.parameters()) == sum(sizes.values())


def test_pirender(from_formula, capsys):
    golden = np.load(formula.FOLDER / "pirender.npz")
    model, sizes = from_formula("pirender")
    check_sizes("pirender", model, sizes)
    # What the released code computes for nothing may hold anything.
    for block in (block for blocks in model.editing.residual for block in blocks):
        block.conv1.weight.data.fill_(float("nan"))
        block.norm1.shared.weight.data.fill_(float("nan"))
    seen: dict[str, torch.Tensor] = {}
    model.editing.up[-1].register_forward_hook(lambda _m, _i, output: seen.update(up0=output))
    model.warping.flow_norm.register_forward_hook(
        lambda _m, inputs, _o: seen.update(hourglass=inputs[0])
    )
    with torch.inference_mode():
        source = model.read_source(formula.image(0))
        edited = model.edit(source, Coefficients(formula.coefficients(1)))
        # The hooks see this one last, as the reference's did.
        second = model.edit(source, Coefficients(formula.coefficients(2)))
    warped, image = 2 * edited.warped - 1, 2 * edited.image - 1
    found = {
        "descriptor": edited.descriptor[..., None],
        "flow_field": edited.flow,
        "grid_every2": sampling_grid(edited.flow)[:, ::2, ::2],
        "hourglass_sub": seen["hourglass"][:, ::8, ::4, ::4],
        "warp_image_every3": warped[..., ::3, ::3],
        "up0_sub": seen["up0"][:, ::8, ::7, ::7],
        "fake_image_every3": image[..., ::3, ::3],
        "fake_image_driving2_every3": (2 * second.image - 1)[..., ::3, ::3],
    }
    whole = {"flow_field": edited.flow, "warp_image": warped, "fake_image": image}
    for name, array in whole.items():
        found[f"{name}_mean"], found[f"{name}_std"] = array.mean(), array.std()
    assert set(found) == {name for name in golden.files if not name.startswith("block_stats/")}
    largest, _ = differences(found, golden)
    show(capsys, "pirender", largest)
    assert {name: error for name, error in largest.items() if error > TOLERANCE} == {}


@pytest.fixture(scope="module")
def bilayer_parts():
    """Return a checkpoint as formulas, with its enhancer; making it takes most of the time."""
    return formula.checkpoint("bilayer")


@pytest.mark.parametrize(("index", "name"), [(0, "source"), (1, "target")])
def test_stick_men_are_the_references_to_the_pixel(index, name):
    points = torch.from_numpy(formula.landmarks(index)).float()[None]
    drawn = ((stick_men(points, 256)[0] + 1) * 127.5).round().movedim(0, -1)
    wanted = np.load(formula.FOLDER / "bilayer.npz")[f"stickman_{name}"]
    np.testing.assert_array_equal(drawn.numpy(), wanted)


def run_bilayer(folder, parts):
    """Load a folder of files as the authors keep them, and draw what the reference drew."""
    for part, tensors in parts.items():
        torch.save(tensors, folder / f"2225_{part}.pth")
    model: Any = load_checkpoint(folder)
    for path in folder.iterdir():
        path.unlink()
    seen: dict[str, Any] = {}
    model.identity.register_forward_hook(lambda _m, _i, output: seen.update(embeddings=output))
    model.texture.register_forward_hook(lambda _m, _i, output: seen.update(texture=output))
    own, driving = (
        Landmarks68(torch.from_numpy(formula.landmarks(index)).float()[None]) for index in (0, 1)
    )
    with torch.inference_mode():
        source = model.read_source(formula.image(0), SourceFace(own, formula.mask(0)))
        composed = model.compose(source, driving)
        inferred = model.infer(own.points, source.weights)
        seen["pose"] = model.pose(driving.points)
    return model, source, composed, inferred, seen


def test_bilayer(bilayer_parts, tmp_path, capsys):
    golden = np.load(formula.FOLDER / "bilayer.npz")
    base = {part: bilayer_parts[part] for part in bilayer_parts if part != "texture_enhancer"}
    model, source, composed, own, seen = run_bilayer(tmp_path, base)
    sizes = {part: formula.num_parameters(tensors) for part, tensors in base.items()}
    assert sum(parameter.numel() for parameter in model.parameters()) == sum(sizes.values())
    assert model.config.num_enhancements == 0
    drawn = composed.inferred
    before = {
        **{
            f"identity_embed_{index}_sub": embedding[:, :: 4 if index < 3 else 2]
            for index, embedding in enumerate(seen["embeddings"])
        },
        "pose_embed": seen["pose"],
        "texture_every3": seen["texture"][..., ::3, ::3],
        "warp_grid_every4": drawn.grid[:, ::4, ::4],
        "low_frequency_every3": drawn.low_frequency[..., ::3, ::3],
        "segmentation_every3": drawn.person[..., ::3, ::3],
        "source_warp_grid_every8": own.grid[:, ::8, ::8],
        "source_low_frequency_every6": own.low_frequency[..., ::6, ::6],
        "source_segmentation_every6": own.person[..., ::6, ::6],
        "projected_inf_mean_std": torch.stack(
            [
                torch.stack([part.mean(), part.std(), bias.mean(), bias.std()])
                for part, bias in ((weight[..., :-1], weight[..., -1]) for weight in source.weights)
            ]
        ),
    }
    for name, array in (
        ("texture", seen["texture"]),
        ("warp_grid", drawn.grid),
        ("low_frequency", drawn.low_frequency),
        ("segmentation", drawn.person),
    ):
        before[f"{name}_mean"], before[f"{name}_std"] = array.mean(), array.std()
    largest, _ = differences(before, golden)
    show(capsys, "bilayer, up to the sampling", largest)
    assert {name: error for name, error in largest.items() if error > TOLERANCE} == {}
    assert torch.equal(source.features, seen["texture"])

    masked = bilayer.on_black(composed.image, drawn.person)
    after = {
        "high_frequency_every3": composed.high_frequency[..., ::3, ::3],
        "image_every3": composed.image[..., ::3, ::3],
        "image_masked_every6": masked[..., ::6, ::6],
    }
    largest, mean = differences(after, golden)
    show(capsys, "bilayer, after the sampling", largest)
    assert max(mean.values()) < 1e-4
    assert max(largest.values()) < 5e-3


@pytest.mark.slow
def test_bilayer_with_its_enhancer(bilayer_parts, tmp_path, capsys):
    golden = np.load(formula.FOLDER / "bilayer.npz")
    sizes = {part: formula.num_parameters(tensors) for part, tensors in bilayer_parts.items()}
    model, source, composed, _, _ = run_bilayer(tmp_path, bilayer_parts)
    check_sizes("bilayer", model, sizes)
    found = {
        "enhanced_texture_every3": source.features[..., ::3, ::3],
        "enhanced_high_frequency_every6": composed.high_frequency[..., ::6, ::6],
        "enhanced_image_every3": composed.image[..., ::3, ::3],
    }
    largest, mean = differences(found, golden)
    show(capsys, "bilayer, enhanced", largest)
    assert max(mean.values()) < 3e-4
    assert max(largest.values()) < 1e-2
