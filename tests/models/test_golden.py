"""The reference implementations' weights give the reference implementations' outputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support import formula
from support.golden import differences, show

from fnevr.geometry.keypoints import Keypoints
from fnevr.models import DaGAN, FaceVid2Vid

TOLERANCE = 1e-4  # of an array's range
MILLIONS = {  # parameters of the reference, by part of the checkpoint
    "fnevr": {"generator": 47.180, "kp_detector": 14.215},
    "fomm": {"generator": 45.575, "kp_detector": 14.215},
    "dagan-spade": {"generator": 67.479, "kp_detector": 14.218},
    "face-vid2vid": {"generator": 53.101, "kp_detector": 41.940, "he_estimator": 30.255},
    "face-vid2vid-s": {"generator": 100.988, "kp_detector": 41.940, "he_estimator": 30.255},
}


@pytest.fixture(scope="module", params=list(MILLIONS))
def golden(request, from_formula):
    """Load a checkpoint of the authors' layout and run it on the reference's images."""
    name = request.param
    model, sizes = from_formula(name)
    with torch.inference_mode():
        values, out = run(model)
    outputs = (
        ("prediction", out.image, 4),
        ("render", out.rendered, 4),
        ("deformed", None if isinstance(model, FaceVid2Vid) else out.warped, 4),
        ("occlusion_map", out.occlusion, 2),
        ("mask", out.masks, 2),
    )
    for key, array, stride in outputs:
        if array is not None:
            values[f"{key}_sub"] = array[..., ::stride, ::stride]
            values[f"{key}_mean"], values[f"{key}_std"] = array.mean(), array.std()
    total = sum(parameter.numel() for parameter in model.parameters())
    return name, (total, sizes), {key: value.numpy() for key, value in values.items()}


def run(model):
    """Return the keypoints by the reference's names, and what the model draws."""
    source, driving = formula.image(0), formula.image(1)
    if isinstance(model, FaceVid2Vid):
        canonical, head = model.detector(source), model.head_pose(driving)
        moved = canonical * 0.9 + 0.03
        identity = torch.eye(3).expand(1, 15, 3, 3)
        values = {
            "kp_source": canonical,
            "kp_driving": moved,
            "he_yaw": head.yaw_bins,
            "he_pitch": head.pitch_bins,
            "he_roll": head.roll_bins,
            "he_t": head.translation,
            "he_exp": head.expression.flatten(1),
        }
        keypoints = Keypoints(canonical, identity), Keypoints(moved, identity)
        return values, model.generate(source, *keypoints)
    if isinstance(model, DaGAN):
        depths = [formula.image(index).mean(dim=1, keepdim=True) for index in (5, 6)]
        kp_source, kp_driving = (
            model.keypoints(picture, depth)
            for picture, depth in zip((source, driving), depths, strict=True)
        )
        out = model.generate(source, kp_source, kp_driving, model.encode(source, depths[0]))
    else:
        kp_source, kp_driving = model.keypoints(source), model.keypoints(driving)
        out = model.generate(source, kp_source, kp_driving)
    return {
        "kp_source": kp_source.positions,
        "kp_driving": kp_driving.positions,
        "jac_source": kp_source.jacobians,
        "jac_driving": kp_driving.jacobians,
    }, out


def test_every_array_matches(golden, capsys):
    name, _, values = golden
    expected = np.load(formula.FOLDER / f"{name}.npz")
    assert sorted(values) == sorted(expected.files)
    largest, _ = differences(values, expected)
    show(capsys, name, largest)
    assert {key: error for key, error in largest.items() if error > TOLERANCE} == {}


def test_number_of_parameters(golden):
    name, (total, sizes), _ = golden
    for part, millions in MILLIONS[name].items():
        assert round(sizes[part] / 1e6, 3) == millions
    assert total == sum(sizes.values())
