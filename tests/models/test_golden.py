"""The reference implementations' weights give the reference implementations' outputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from golden import formula

from fnevr.compat import convert
from fnevr.models import load_model

TOLERANCE = 1e-4
ARRAYS = {name: sorted(np.load(formula.FOLDER / f"{name}.npz").files) for name in ("fnevr", "fomm")}


@pytest.fixture(scope="module", params=["fnevr", "fomm"])
def golden(request, tmp_path_factory):
    """Convert a checkpoint of the authors' layout, load it, and run it on the two images."""
    name = request.param
    folder = tmp_path_factory.mktemp(name)
    checkpoint = folder / "checkpoint.pth.tar"
    torch.save({**formula.checkpoint(name), "epoch": 3, "optimizer_generator": {}}, checkpoint)
    convert(checkpoint, folder / "model")
    model = load_model(folder / "model")
    for path in (checkpoint, folder / "model" / "model.safetensors"):
        path.unlink()  # a quarter of a gigabyte each

    source, driving = formula.image(0), formula.image(1)
    with torch.no_grad():
        kp_source, kp_driving = model.keypoints(source), model.keypoints(driving)
        out = model.generate(source, kp_source, kp_driving)
    values = {
        "kp_source": kp_source.positions,
        "kp_driving": kp_driving.positions,
        "jac_source": kp_source.jacobians,
        "jac_driving": kp_driving.jacobians,
    }
    outputs = (
        ("prediction", out.image, 4),
        ("render", out.rendered, 4),
        ("deformed", out.warped, 4),
        ("occlusion_map", out.occlusion, 2),
        ("mask", out.masks, 2),
    )
    for key, array, stride in outputs:
        if array is not None:
            values[f"{key}_sub"] = array[..., ::stride, ::stride]
            values[f"{key}_mean"], values[f"{key}_std"] = array.mean(), array.std()
    return name, model, {key: value.numpy() for key, value in values.items()}


def test_every_array_matches(golden, capsys):
    name, _, values = golden
    expected = np.load(formula.FOLDER / f"{name}.npz")
    assert sorted(values) == ARRAYS[name]

    worst = {}
    for key in ARRAYS[name]:
        assert values[key].shape == expected[key].shape, key
        worst[key] = float(np.abs(values[key] - expected[key]).max())
    with capsys.disabled():
        report = "\n".join(f"  {key:20} {error:.1e}" for key, error in worst.items())
        # The figures are the point of this test, so they are shown on every run.
        print(f"\n{name}: maximum absolute difference\n{report}")  # noqa: T201
    assert {key: error for key, error in worst.items() if error > TOLERANCE} == {}


def test_number_of_parameters(golden):
    name, model, _ = golden
    detector = sum(parameter.numel() for parameter in model.detector.parameters())
    total = sum(parameter.numel() for parameter in model.parameters())
    assert round(detector / 1e6, 3) == 14.215
    assert round((total - detector) / 1e6, 3) == {"fnevr": 47.180, "fomm": 45.575}[name]
    assert round(total / 1e6, 3) == {"fnevr": 61.395, "fomm": 59.791}[name]
