"""The same functions on arrays of NumPy and of PyTorch: one value, and a gradient on tensors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from fnevr.geometry.arrays import as_like, as_numpy
from fnevr.geometry.inverse import invert_2x2, invert_3x3
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.patches import FacePatches
from fnevr.geometry.rotations import (
    axis_angles,
    cross_matrices,
    head_angles_deg,
    head_rotations,
    rotation_derivatives,
    rotation_matrices,
)
from fnevr.geometry.skinning import skin
from fnevr.geometry.transfer import transfer_relative

PATCHES = FacePatches.packaged()


def patches(landmarks):
    keypoints, mirrored = PATCHES(landmarks), PATCHES.mirrored(landmarks)
    return keypoints.positions, keypoints.jacobians, mirrored


def skinned(vertices, joints, axis_angle, weights):
    return skin(vertices, joints, rotation_matrices(axis_angle), weights, (-1, 0, 1, 1))


def transfer(*arrays):
    source, driving, reference = (Keypoints(*arrays[i : i + 2]) for i in (0, 2, 4))
    moved = transfer_relative(source, driving, reference, 0.7)
    return moved.positions, moved.jacobians


ONE, MANY = ((1, 4, 2), (1, 4, 2, 2)), ((3, 4, 2), (3, 4, 2, 2))
CASES: dict[str, tuple[Callable, list]] = {
    "invert_2x2": (invert_2x2, [(5, 2, 2)]),
    "invert_3x3": (invert_3x3, [(5, 2, 3, 3)]),
    "cross_matrices": (cross_matrices, [(5, 3)]),
    "rotation_matrices": (rotation_matrices, [(5, 3)]),
    "rotation_derivatives": (rotation_derivatives, [(5, 3)]),
    "axis_angles": (lambda angles: axis_angles(rotation_matrices(angles)), [(5, 3)]),
    "head_angles_deg": (lambda angles: head_angles_deg(rotation_matrices(angles)), [(2, 5, 3)]),
    "head_rotations": (head_rotations, [(5, 3)]),
    "transfer_relative": (transfer, [*ONE, *MANY, *ONE]),
    "patches": (patches, [(1, 478, 2)]),
    "skin": (skinned, [(2, 7, 3), (2, 4, 3), (2, 4, 3), (7, 4)]),
    "skin, broadcast": (skinned, [(1, 3, 7, 3), (1, 3, 4, 3), (2, 1, 4, 3), (7, 4)]),
}


@pytest.mark.parametrize("name", CASES)
def test_numpy_and_torch_agree_and_tensors_have_gradients(name):
    function, shapes = CASES[name]
    rng = np.random.default_rng(0)
    inputs = [rng.normal(0, 0.5, shape) for shape in shapes]
    for dtype, tolerance in ((np.float32, 1e-4), (np.float64, 1e-12)):
        arrays = [value.astype(dtype) for value in inputs]
        got = parts(function(*arrays))
        wanted = parts(function(*(torch.tensor(array) for array in arrays)))
        for ours, theirs in zip(got, wanted, strict=True):
            assert isinstance(ours, np.ndarray)
            assert ours.dtype == theirs.numpy().dtype == dtype
            np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)
    tensors = [torch.tensor(value, requires_grad=True) for value in inputs]
    assert torch.autograd.gradcheck(function, tensors)


def parts(result):
    return result if isinstance(result, tuple) else (result,)


def test_small_rotations_agree():
    angles = np.logspace(-8, -1, 30)[:, None] * np.array([0.6, -0.8, 0.0])
    for function in (rotation_matrices, rotation_derivatives):
        expected = function(torch.tensor(angles)).numpy()
        np.testing.assert_allclose(function(angles), expected, rtol=0, atol=1e-15)
    assert np.isfinite(rotation_matrices(np.zeros((2, 3)))).all()


def test_numbers_become_arrays_like_others():
    tensor, array = torch.zeros(2, dtype=torch.float64), np.zeros(2, np.float32)
    assert as_like([1.0, 2.0], tensor).dtype == torch.float64
    assert as_like([1.0, 2.0], array).dtype == np.float32
    assert as_like(array, tensor).dtype == torch.float64
    assert as_like(np.array([1, 2]), tensor).dtype == torch.int64
    assert as_like(torch.tensor([1, 2]), tensor).dtype == torch.int64
    assert as_like(tensor, tensor) is tensor


def test_tensors_become_arrays_outside_of_the_graph():
    tensor = torch.ones(2, requires_grad=True)
    assert as_numpy(tensor).tolist() == [1.0, 1.0]
    array = np.zeros(2)
    assert as_numpy(array) is array
