from __future__ import annotations

import pytest
import torch

from fnevr.geometry.keypoints import Keypoints
from fnevr.losses import pose_edit_distance


def random_keypoints(batch_size=2, num_keypoints=3):
    return Keypoints(
        torch.randn(batch_size, num_keypoints, 2, dtype=torch.float64),
        torch.randn(batch_size, num_keypoints, 2, 2, dtype=torch.float64),
    )


def test_matches_loops():
    edited, driving = random_keypoints(), random_keypoints()
    expected = torch.zeros((), dtype=torch.float64)
    for b in range(2):
        for k in range(3):
            for i in range(2):
                expected += 2 * abs(edited.positions[b, k, i] - driving.positions[b, k, i]) / 12
                for j in range(2):
                    difference = edited.jacobians[b, k, i, j] - driving.jacobians[b, k, i, j]
                    expected += 5 * abs(difference) / 24
    loss = pose_edit_distance(edited, driving, lambda1=2.0, lambda2=5.0)
    torch.testing.assert_close(loss, expected)


def test_the_driving_keypoints_themselves_cost_nothing_and_offsets_add_up():
    driving = random_keypoints()
    assert pose_edit_distance(driving, driving) == 0
    off = Keypoints(driving.positions + 0.5, driving.jacobians - 0.25)
    assert pose_edit_distance(off, driving).item() == pytest.approx(0.75)


def test_the_driving_keypoints_are_targets():
    edited, driving = random_keypoints(), random_keypoints()
    for keypoints in (edited, driving):
        keypoints.positions.requires_grad_()
        keypoints.jacobians.requires_grad_()
    pose_edit_distance(edited, driving).backward()
    assert driving.positions.grad is None
    assert driving.jacobians.grad is None
    torch.testing.assert_close(
        edited.positions.grad, (edited.positions - driving.positions).sign() / 12
    )


@pytest.mark.parametrize("other", [(1, 3), (2, 1)])
def test_other_numbers_say_so(other):
    with pytest.raises(ValueError, match="3 edited keypoints of 2 pictures and"):
        pose_edit_distance(random_keypoints(), random_keypoints(*other))


def test_gradcheck():
    edited, driving = random_keypoints(), random_keypoints()
    inputs = (edited.positions.requires_grad_(), edited.jacobians.requires_grad_())
    assert torch.autograd.gradcheck(
        lambda p, j: pose_edit_distance(Keypoints(p, j), driving), inputs
    )
