from __future__ import annotations

import pytest
import torch

from fnevr.geometry.keypoints import Keypoints


def keypoints(batch_size):
    return Keypoints(torch.randn(batch_size, 4, 2), torch.randn(batch_size, 4, 2, 2))


def test_one_index_keeps_the_batch_dimension():
    many = keypoints(3)
    for index in (1, -2):
        one = many[index]
        torch.testing.assert_close(one.positions, many.positions[1:2])
        torch.testing.assert_close(one.jacobians, many.jacobians[1:2])


def test_iterating_ends():
    assert [part.batch_size for part in keypoints(3)] == [1, 1, 1]


def test_index_out_of_range_says_so():
    with pytest.raises(IndexError, match="image 3 of a batch of 3"):
        keypoints(3)[3]


def test_concatenating_slices_restores_the_batch():
    many = keypoints(5)
    joined = Keypoints.concatenate([many[:2], many[2:]])
    assert torch.equal(joined.positions, many.positions)
    assert torch.equal(joined.jacobians, many.jacobians)


def test_concatenating_nothing_says_so():
    with pytest.raises(ValueError, match="empty list"):
        Keypoints.concatenate([])


def test_one_image_expands_to_a_batch():
    one = keypoints(1)
    many = one.expand(3)
    assert (many.batch_size, many.num_keypoints) == (3, 4)
    assert torch.equal(many.jacobians[2], one.jacobians[0])
    assert many.expand(3).batch_size == 3


def test_two_images_do_not_expand_to_three():
    with pytest.raises(ValueError, match="keypoints of 2 images to 3"):
        keypoints(2).expand(3)


def test_to_converts_both_tensors():
    moved = keypoints(1).to(torch.float64)
    assert moved.positions.dtype == moved.jacobians.dtype == torch.float64


def test_detach_leaves_the_graph():
    positions = torch.randn(1, 2, 2, requires_grad=True)
    assert not Keypoints(positions, torch.randn(1, 2, 2, 2)).detach().positions.requires_grad
