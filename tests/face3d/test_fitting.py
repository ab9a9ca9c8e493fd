from __future__ import annotations

import numpy as np
import pytest
import torch

from fnevr.face3d import HeadModel, HeadParameters
from fnevr.face3d.camera import WeakPerspective
from fnevr.face3d.fitting import _linearize, _unpack, fit_landmarks, fit_track
from fnevr.geometry.rotations import head_angles_deg, rotation_matrices


@pytest.fixture(scope="module")
def model():
    return HeadModel.packaged()


def heads(model, count, *, turn=0.4, seed=0):
    """Give random parameters, and their landmarks in a picture."""
    rng = torch.Generator().manual_seed(seed)
    pose = torch.zeros(count, 5, 3)
    pose[:, 0] = turn * torch.randn(count, 3, generator=rng)
    pose[:, 2, 0] = 0.3 * torch.rand(count, generator=rng)
    pose[:, 3:, :2] = 0.2 * torch.randn(count, 2, 2, generator=rng)
    parameters = HeadParameters(
        0.7 * torch.randn(count, model.num_shape, generator=rng),
        0.5 * torch.randn(count, model.num_expression, generator=rng),
        pose,
    )
    scale, shift = torch.full((count,), 900.0), torch.full((count, 2), 130.0)
    return parameters, WeakPerspective(scale, shift).project(model(parameters).vertices)


def test_finds_the_heads_that_made_the_landmarks(model):
    parameters, landmarks = heads(model, 4)
    fit = fit_landmarks(model, landmarks)
    assert fit.errors_px.mean() < 0.4  # of faces about 150 pixels high
    wanted, got = (
        head_angles_deg(rotation_matrices(p.pose[:, 0])) for p in (parameters, fit.parameters)
    )
    torch.testing.assert_close(got, wanted, rtol=0, atol=2.0)
    torch.testing.assert_close(fit.camera.scale, torch.full((4,), 900.0), rtol=0.03, atol=0)
    opened = fit.parameters.pose[:, 2, 0]
    torch.testing.assert_close(opened, parameters.pose[:, 2, 0], rtol=0, atol=0.12)
    depth = (fit.vertices_px - landmarks)[..., 2]
    assert (depth - depth.mean(dim=1, keepdim=True)).abs().mean() < 1.5


def test_wrong_landmarks_are_left_out(model):
    _, landmarks = heads(model, 1, turn=0.1)
    damaged = landmarks.clone()
    damaged[:, 200:230, :2] += 40.0
    fit = fit_landmarks(model, damaged)
    kept = torch.ones(478, dtype=torch.bool)
    kept[200:230] = False
    assert (fit.vertices_px - landmarks)[:, kept, :2].norm(dim=-1).mean() < 1.0


def test_landmarks_without_depth_give_nearly_the_same_head(model):
    parameters, landmarks = heads(model, 3, turn=0.3)
    fit = fit_landmarks(model, landmarks[..., :2].contiguous())
    assert fit.errors_px.mean() < 0.4
    wanted, got = (
        head_angles_deg(rotation_matrices(p.pose[:, 0])) for p in (parameters, fit.parameters)
    )
    torch.testing.assert_close(got, wanted, rtol=0, atol=6.0)
    depth = (fit.vertices_px - landmarks)[..., 2]
    assert (depth - depth.mean(dim=1, keepdim=True)).abs().mean() < 4.0


def test_a_batch_equals_single_faces(model):
    _, landmarks = heads(model, 2)
    fit = fit_landmarks(model, landmarks)
    single = fit_landmarks(model, landmarks[1:])
    torch.testing.assert_close(single.vertices_px[0], fit.vertices_px[1], rtol=0, atol=0.02)


def test_moving_and_enlarging_the_picture_changes_the_camera_alone(model):
    _, landmarks = heads(model, 1)
    fit = fit_landmarks(model, landmarks)
    moved = fit_landmarks(model, 2 * landmarks + 50)
    torch.testing.assert_close(moved.vertices, fit.vertices, rtol=0, atol=1e-4)
    torch.testing.assert_close(moved.camera.scale, 2 * fit.camera.scale, rtol=1e-3, atol=0)


def test_a_track_has_one_identity_and_follows_the_mouth(model):
    parameters, _ = heads(model, 1, turn=0.1)
    count = 6
    pose = parameters.pose.repeat(count, 1, 1)
    pose[:, 2, 0] = torch.linspace(0, 0.3, count)
    moving = HeadParameters(
        parameters.shape.repeat(count, 1), parameters.expression.repeat(count, 1), pose
    )
    camera = WeakPerspective(torch.full((count,), 900.0), torch.full((count, 2), 130.0))
    landmarks = camera.project(model(moving).vertices)
    fit = fit_track(model, landmarks)
    assert fit.parameters.shape.std(dim=0).max() == 0
    assert fit.errors_px.mean() < 1.0
    opened = fit.parameters.pose[:, 2, 0]
    assert (opened.diff() > 0).all()
    assert (opened[-1] - opened[0]).item() == pytest.approx(0.3, abs=0.1)


def test_derivatives_are_those_of_finite_differences(model):
    x = 0.2 * torch.randn(1, 18 + model.num_shape + model.num_expression, dtype=torch.float64)
    exact = model.like(x)

    def seen(x):
        camera, parameters = _unpack(exact, x)
        return camera.project(exact(parameters).vertices)

    vertices, slopes = _linearize(exact, x)
    torch.testing.assert_close(vertices, seen(x))
    direction, step = torch.randn_like(x), 1e-5
    expected = (seen(x + step * direction) - seen(x - step * direction)) / (2 * step)
    found = torch.einsum("bxcv,bx->bvc", slopes, direction)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-7)


def test_numpy_gives_the_heads_of_torch(model):
    _, landmarks = heads(model, 3)
    for points in (landmarks, landmarks[..., :2]):
        for fit in (fit_landmarks, fit_track):
            expected, found = fit(model, points), fit(model, points.numpy())
            assert isinstance(found.vertices_px, np.ndarray)
            assert found.vertices_px.dtype == found.angles_deg.dtype == np.float32
            np.testing.assert_allclose(found.vertices_px, expected.vertices_px, rtol=0, atol=5e-3)
            np.testing.assert_allclose(found.angles_deg, expected.angles_deg, rtol=0, atol=5e-3)


def test_another_mesh_says_so(model):
    with pytest.raises(ValueError, match=r"got landmarks \(1, 468, 3\) and a model of 478"):
        fit_landmarks(model, torch.zeros(1, 468, 3))


def test_no_frames_say_so(model):
    with pytest.raises(ValueError, match="got no frames"):
        fit_track(model, torch.zeros(0, 478, 3))
