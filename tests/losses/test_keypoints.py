from __future__ import annotations

import pytest
import torch

from fnevr.geometry.keypoints import Keypoints
from fnevr.losses import jacobian_distance, position_distance


def random_keypoints(batch_size, num_keypoints):
    return Keypoints(
        torch.randn(batch_size, num_keypoints, 2, dtype=torch.float64),
        torch.randn(batch_size, num_keypoints, 2, 2, dtype=torch.float64),
    )


def test_only_the_first_keypoints_are_compared():
    detected, target = random_keypoints(2, 5), random_keypoints(2, 3)
    positions, jacobians = [], []
    for b in range(2):
        for k in range(3):
            positions += (detected.positions[b, k] - target.positions[b, k]).abs().tolist()
            difference = detected.jacobians[b, k] - target.jacobians[b, k]
            jacobians += difference.abs().flatten().tolist()
    assert position_distance(detected, target).item() == pytest.approx(sum(positions) / 12)
    assert jacobian_distance(detected, target).item() == pytest.approx(sum(jacobians) / 24)


def test_keypoints_on_their_targets_cost_nothing():
    detected = random_keypoints(1, 4)
    assert position_distance(detected, detected) == 0
    assert jacobian_distance(detected, detected) == 0


@pytest.mark.parametrize("loss", [position_distance, jacobian_distance])
def test_more_targets_than_keypoints_says_so(loss):
    with pytest.raises(ValueError, match="4 targets for 3 detected"):
        loss(random_keypoints(1, 3), random_keypoints(1, 4))


@pytest.mark.parametrize("loss", [position_distance, jacobian_distance])
def test_gradcheck(loss):
    detected, target = random_keypoints(1, 3), random_keypoints(1, 2)
    inputs = (detected.positions.requires_grad_(), detected.jacobians.requires_grad_())
    assert torch.autograd.gradcheck(lambda p, j: loss(Keypoints(p, j), target), inputs)
