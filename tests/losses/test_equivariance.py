from __future__ import annotations

import pytest
import torch

from fnevr.geometry.keypoints import Keypoints
from fnevr.losses import affine_equivariance


@pytest.fixture
def case():
    """Keypoints of a picture, a warp z -> A z + t, and the keypoints that its warp should have."""
    original = Keypoints(
        torch.randn(2, 4, 2, dtype=torch.float64), torch.randn(2, 4, 2, 2, dtype=torch.float64)
    )
    matrix = torch.eye(2, dtype=torch.float64) + 0.2 * torch.randn(2, 2, 2, dtype=torch.float64)
    offset = 0.1 * torch.randn(2, 2, dtype=torch.float64)
    back = torch.linalg.inv(matrix)[:, None]
    positions = (back @ (original.positions - offset[:, None])[..., None]).squeeze(-1)
    return original, Keypoints(positions, back @ original.jacobians), matrix, offset


def test_keypoints_that_follow_the_warp_cost_nothing(case):
    original, warped, matrix, offset = case
    assert affine_equivariance(original, warped, matrix, offset).item() < 1e-12


def test_matches_loops(case):
    original, _, matrix, offset = case
    warped = Keypoints(torch.randn_like(original.positions), torch.randn_like(original.jacobians))
    positions, jacobians = [], []
    for b in range(2):
        for k in (2, 3):
            back = matrix[b] @ warped.positions[b, k] + offset[b]
            positions += (back - original.positions[b, k]).abs().tolist()
            turned = matrix[b] @ warped.jacobians[b, k]
            jacobians += (turned - original.jacobians[b, k]).abs().flatten().tolist()
    expected = sum(positions) / len(positions) + 0.5 * sum(jacobians) / len(jacobians)
    loss = affine_equivariance(original, warped, matrix, offset, first=2)
    assert loss.item() == pytest.approx(expected)


def test_keypoints_with_targets_of_their_own_are_left_out(case):
    original, warped, matrix, offset = case
    warped.positions[:, :2] += 7
    assert affine_equivariance(original, warped, matrix, offset, first=2).item() < 1e-12


@pytest.mark.parametrize("first", [4, -1])
def test_nothing_to_compare_says_so(case, first):
    with pytest.raises(ValueError, match=f"one of 4 keypoints, got {first}"):
        affine_equivariance(*case, first=first)


def test_gradcheck(case):
    original, _, matrix, offset = case
    tensors = (original.positions, original.jacobians) * 2
    inputs = [torch.randn_like(tensor, requires_grad=True) for tensor in tensors]

    def loss(*tensors):
        return affine_equivariance(
            Keypoints(*tensors[:2]), Keypoints(*tensors[2:]), matrix, offset, first=1
        )

    assert torch.autograd.gradcheck(loss, inputs)
