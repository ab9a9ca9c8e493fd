from __future__ import annotations

import numpy as np
import pytest
import torch

from fnevr.geometry.keypoints import Keypoints


@pytest.fixture(params=["torch", "numpy"])
def keypoints(request):
    """Make keypoints of either library."""

    def make(batch_size):
        made = Keypoints(torch.randn(batch_size, 4, 2), torch.randn(batch_size, 4, 2, 2))
        return made if request.param == "torch" else made.numpy()

    return make


def test_one_index_keeps_the_batch_dimension(keypoints):
    many = keypoints(3)
    for index in (1, -2):
        one = many[index]
        np.testing.assert_array_equal(one.positions, many.positions[1:2])
        np.testing.assert_array_equal(one.jacobians, many.jacobians[1:2])


def test_iterating_ends(keypoints):
    assert [part.batch_size for part in keypoints(3)] == [1, 1, 1]


def test_index_out_of_range_says_so(keypoints):
    with pytest.raises(IndexError, match="image 3 of a batch of 3"):
        keypoints(3)[3]


def test_concatenating_slices_restores_the_batch(keypoints):
    many = keypoints(5)
    joined = Keypoints.concatenate([many[:2], many[2:]])
    np.testing.assert_array_equal(joined.positions, many.positions)
    np.testing.assert_array_equal(joined.jacobians, many.jacobians)


def test_concatenating_nothing_says_so():
    with pytest.raises(ValueError, match="empty list"):
        Keypoints.concatenate([])


def test_one_image_expands_to_a_batch(keypoints):
    one = keypoints(1)
    many = one.expand(3)
    assert (many.batch_size, many.num_keypoints) == (3, 4)
    np.testing.assert_array_equal(many.jacobians[2], one.jacobians[0])
    assert many.expand(3).batch_size == 3


def test_two_images_do_not_expand_to_three(keypoints):
    with pytest.raises(ValueError, match="keypoints of 2 images to 3"):
        keypoints(2).expand(3)


def test_to_converts_both_tensors():
    moved = Keypoints(torch.randn(1, 4, 2), torch.randn(1, 4, 2, 2)).to(torch.float64)
    assert moved.positions.dtype == moved.jacobians.dtype == torch.float64


def test_detach_leaves_the_graph():
    positions = torch.randn(1, 2, 2, requires_grad=True)
    assert not Keypoints(positions, torch.randn(1, 2, 2, 2)).detach().positions.requires_grad


def test_numpy_gives_float32_arrays_of_tensors_in_a_graph():
    positions = torch.randn(1, 2, 2, dtype=torch.float64, requires_grad=True)
    made = Keypoints(positions, torch.randn(1, 2, 2, 2).half()).numpy()
    assert isinstance(made.positions, np.ndarray)
    assert made.positions.dtype == made.jacobians.dtype == np.float32
    assert made.numpy().positions is made.positions
