from __future__ import annotations

import math

import pytest
import torch

from fnevr.geometry.skinning import joint_transforms, rotation_matrices, skin


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


def test_a_bent_arm():
    # Shoulder at 0, elbow at 1, hand at 2; the elbow turns a quarter, then the shoulder does.
    joints = torch.tensor([[[0.0, 0, 0], [1, 0, 0]]])
    quarter = rotation_matrices(torch.tensor([[[0, 0, math.pi / 2]] * 2]))
    hand = torch.tensor([[[2.0, 0, 0]]])
    moved, placed = skin(hand, joints, quarter, torch.tensor([[0.0, 1.0]]), (-1, 0))
    torch.testing.assert_close(moved, torch.tensor([[[-1.0, 1, 0]]]), atol=1e-6, rtol=0)
    torch.testing.assert_close(placed[0, 1], torch.tensor([0.0, 1, 0]), atol=1e-6, rtol=0)


def test_without_rotation_nothing_moves():
    vertices, joints = torch.randn(2, 7, 3), torch.randn(2, 3, 3)
    weights = torch.rand(7, 3).softmax(dim=1)
    still = torch.eye(3).expand(2, 3, 3, 3)
    moved, placed = skin(vertices, joints, still, weights, (-1, 0, 1))
    torch.testing.assert_close(moved, vertices)
    torch.testing.assert_close(placed, joints)


@pytest.mark.parametrize("parents", [(-1, 0, 1), (-1, 0, 0)])
def test_a_joint_keeps_its_distance_to_its_parent(parents):
    joints = torch.randn(4, 3, 3)
    _, placed = joint_transforms(rotation_matrices(torch.randn(4, 3, 3)), joints, parents)
    for child, parent in enumerate(parents[1:], start=1):
        before = (joints[:, child] - joints[:, parent]).norm(dim=-1)
        torch.testing.assert_close((placed[:, child] - placed[:, parent]).norm(dim=-1), before)
