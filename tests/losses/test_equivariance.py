from __future__ import annotations

import pytest
import torch

from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.thin_plate import ThinPlateWarp
from fnevr.losses import affine_equivariance, jacobian_equivariance, position_equivariance


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
    positions = []
    for b in range(2):
        for k in (2, 3):
            back = matrix[b] @ warped.positions[b, k] + offset[b]
            positions += (back - original.positions[b, k]).abs().tolist()
    loss = affine_equivariance(original, warped, matrix, offset, first=2)
    assert loss.item() == pytest.approx(sum(positions) / len(positions))


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
    inputs = [torch.randn_like(original.positions, requires_grad=True) for _ in range(2)]

    def loss(*positions):
        one, other = (Keypoints(points, original.jacobians) for points in positions)
        return affine_equivariance(one, other, matrix, offset, first=1)

    assert torch.autograd.gradcheck(loss, inputs)


@pytest.fixture
def bent():
    """A picture's keypoints as they should be, those of its warp, and the warp."""
    rng = torch.Generator().manual_seed(1)
    warp = ThinPlateWarp.random(2, rng, torch.zeros((), dtype=torch.float64), sigma_bending=0.02)
    positions = 2 * torch.rand(2, 4, 2, dtype=torch.float64) - 1
    jacobians = torch.eye(2) + 0.2 * torch.randn(2, 4, 2, 2, dtype=torch.float64)
    warped = Keypoints(positions, jacobians)
    original = Keypoints(warp.points(positions), warp.jacobians(positions) @ jacobians)
    return original, warped, warp


BENT_LOSSES = pytest.mark.parametrize("loss", [position_equivariance, jacobian_equivariance])


@BENT_LOSSES
def test_keypoints_that_follow_a_bent_warp_cost_nothing(bent, loss):
    assert loss(*bent).item() < 1e-12


def test_bent_warps_match_loops(bent):
    original, warped, warp = bent
    other = Keypoints(
        original.positions + torch.randn_like(original.positions),
        original.jacobians + 0.1 * torch.randn_like(original.jacobians),
    )
    positions, jacobians = [], []
    for b in range(2):
        for k in (1, 2, 3):
            z = warped.positions[b, k]

            def moved(z, b=b):
                return warp.points(z.expand(2, 1, 2))[b, 0]

            positions += (moved(z) - other.positions[b, k]).abs().tolist()
            turned = torch.autograd.functional.jacobian(moved, z) @ warped.jacobians[b, k]
            product = torch.linalg.inv(other.jacobians[b, k]) @ turned
            jacobians += (torch.eye(2) - product).abs().flatten().tolist()
    loss = position_equivariance(other, warped, warp, first=1)
    assert loss.item() == pytest.approx(sum(positions) / len(positions))
    loss = jacobian_equivariance(other, warped, warp, first=1)
    assert loss.item() == pytest.approx(sum(jacobians) / len(jacobians))


def test_positions_under_an_affine_warp_cost_the_same_as_in_the_affine_loss(case):
    original, _, matrix, offset = case
    warped = Keypoints(torch.randn_like(original.positions), original.jacobians)
    warp = ThinPlateWarp(
        matrix, offset, torch.zeros(1, 2, dtype=torch.float64), matrix.new_zeros(2, 1)
    )
    torch.testing.assert_close(
        position_equivariance(original, warped, warp),
        affine_equivariance(original, warped, matrix, offset),
    )


def test_jacobians_that_shrink_together_do_not_get_away_with_it(bent):
    original, warped, warp = bent
    off = Keypoints(original.positions, 1.5 * original.jacobians)
    small_off, small = (Keypoints(k.positions, 0.01 * k.jacobians) for k in (off, warped))
    torch.testing.assert_close(
        jacobian_equivariance(small_off, small, warp), jacobian_equivariance(off, warped, warp)
    )


@BENT_LOSSES
@pytest.mark.parametrize("first", [4, -1])
def test_nothing_to_compare_under_a_bent_warp_says_so(bent, loss, first):
    with pytest.raises(ValueError, match=f"one of 4 keypoints, got {first}"):
        loss(*bent, first=first)


@BENT_LOSSES
def test_gradcheck_under_a_bent_warp(bent, loss):
    original, warped, warp = bent
    inputs = [
        tensor.add(0.1).detach().requires_grad_()
        for tensor in (original.positions, original.jacobians, warped.positions, warped.jacobians)
    ]

    def value(*tensors):
        return loss(Keypoints(*tensors[:2]), Keypoints(*tensors[2:]), warp)

    assert torch.autograd.gradcheck(value, inputs)
