from __future__ import annotations

import math

import pytest
import torch

from fnevr.geometry.rotations import rotation_matrices
from fnevr.geometry.skinning import joint_transforms, skin


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


def test_a_batch_of_vertices_and_one_of_rotations_make_all_pairs():
    vertices, joints = torch.randn(3, 7, 3), torch.randn(3, 3, 3)
    rotations, weights = rotation_matrices(torch.randn(2, 3, 3)), torch.rand(7, 3)
    moved, placed = skin(vertices, joints, rotations[:, None], weights, (-1, 0, 1))
    assert (moved.shape, placed.shape) == ((2, 3, 7, 3), (2, 3, 3, 3))
    for i in range(2):
        for j in range(3):
            one = skin(vertices[j], joints[j], rotations[i], weights, (-1, 0, 1))
            torch.testing.assert_close(moved[i, j], one[0])
            torch.testing.assert_close(placed[i, j], one[1])
