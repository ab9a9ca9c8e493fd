from __future__ import annotations

import math

import pytest
import torch

from fnevr.geometry.rotations import (
    axis_angles,
    head_angles_deg,
    rotation_derivatives,
    rotation_matrices,
)


def test_rotations_match_the_matrix_exponential():
    vectors = torch.randn(50, 3, dtype=torch.float64)
    vectors[:20] *= torch.logspace(-8, -1, 20, dtype=torch.float64)[:, None]
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).view(-1, 3, 3)
    torch.testing.assert_close(
        rotation_matrices(vectors), torch.matrix_exp(cross), rtol=0, atol=1e-12
    )


def test_a_quarter_turn_about_z_takes_x_to_y():
    turn = rotation_matrices(torch.tensor([0.0, 0.0, math.pi / 2]))
    torch.testing.assert_close(turn @ torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]))


def test_no_rotation_has_a_gradient():
    vector = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(rotation_matrices, (vector,))


def test_derivatives_match_autograd():
    vectors = torch.randn(20, 3, dtype=torch.float64)
    vectors[:10] *= torch.logspace(-8, -1, 10, dtype=torch.float64)[:, None]
    derivatives = rotation_derivatives(vectors)
    for vector, got in zip(vectors, derivatives, strict=True):
        expected = torch.autograd.functional.jacobian(rotation_matrices, vector)
        torch.testing.assert_close(got, expected.movedim(-1, 0), rtol=0, atol=1e-10)


def test_axis_angles_are_the_inverse():
    vectors = torch.randn(50, 3, dtype=torch.float64)
    vectors = torch.nn.functional.normalize(vectors) * torch.linspace(0, 3, 50)[:, None]
    torch.testing.assert_close(axis_angles(rotation_matrices(vectors)), vectors, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("angles", "nose", "crown"),
    [
        ((30.0, 0.0, 0.0), (0.5, 0.0, 0.866), (0.0, 1.0, 0.0)),  # yaw: nose to the right
        ((0.0, 30.0, 0.0), (0.0, 0.5, 0.866), (0.0, 0.866, -0.5)),  # pitch: nose up
        ((0.0, 0.0, 30.0), (0.0, 0.0, 1.0), (0.5, 0.866, 0.0)),  # roll: crown to the right
    ],
)
def test_head_angles(angles, nose, crown):
    front, up = torch.tensor(nose), torch.tensor(crown)
    rotation = torch.stack([torch.linalg.cross(up, front), up, front], dim=-1)
    torch.testing.assert_close(head_angles_deg(rotation), torch.tensor(angles), rtol=0, atol=0.01)


def test_head_angles_in_sequence():
    yaw, pitch, roll = 20.0, -15.0, 10.0
    x, y, z = (torch.tensor(axis) for axis in ([1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]))
    rotation = (
        rotation_matrices(math.radians(yaw) * y)
        @ rotation_matrices(math.radians(-pitch) * x)
        @ rotation_matrices(math.radians(-roll) * z)
    )
    torch.testing.assert_close(
        head_angles_deg(rotation), torch.tensor([yaw, pitch, roll]), rtol=0, atol=1e-3
    )
