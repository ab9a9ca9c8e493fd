import numpy as np
import pytest
import torch

from fnevr.errors import FaceError
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.transfer import (
    best_frame,
    hull_area,
    movement_scale,
    normalize_shape,
    transfer_relative,
)

SQUARE = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])


def random_keypoints(batch, seed, num=10):
    generator = torch.Generator().manual_seed(seed)
    positions = torch.rand(batch, num, 2, generator=generator, dtype=torch.float64) * 2 - 1
    noise = torch.randn(batch, num, 2, 2, generator=generator, dtype=torch.float64)
    return Keypoints(positions, torch.eye(2, dtype=torch.float64) + 0.2 * noise)


def relative_naive(source, driving, reference, scale):
    """The same, one keypoint at a time, with the library's inverse."""
    positions = torch.empty_like(driving.positions)
    jacobians = torch.empty_like(driving.jacobians)
    for b in range(driving.positions.shape[0]):
        for k in range(driving.positions.shape[1]):
            moved = driving.positions[b, k] - reference.positions[0, k]
            positions[b, k] = source.positions[0, k] + scale * moved
            turned = driving.jacobians[b, k] @ torch.linalg.inv(reference.jacobians[0, k])
            jacobians[b, k] = turned @ source.jacobians[0, k]
    return positions, jacobians


def test_relative_matches_naive_reference():
    source, driving = random_keypoints(1, 0), random_keypoints(4, 1)
    reference = random_keypoints(1, 2)
    moved = transfer_relative(source, driving, reference, 0.7)
    positions, jacobians = relative_naive(source, driving, reference, 0.7)
    torch.testing.assert_close(moved.positions, positions)
    torch.testing.assert_close(moved.jacobians, jacobians)


def test_the_reference_frame_leaves_the_source_as_it_is():
    source, reference = random_keypoints(1, 0), random_keypoints(1, 1)
    still = transfer_relative(source, reference, reference, 1.3)
    torch.testing.assert_close(still.positions, source.positions)
    torch.testing.assert_close(still.jacobians, source.jacobians)


def test_driver_that_is_the_source_gives_absolute_motion():
    driving, first = random_keypoints(3, 1), random_keypoints(1, 2)
    moved = transfer_relative(first, driving, first)
    torch.testing.assert_close(moved.positions, driving.positions)
    torch.testing.assert_close(moved.jacobians, driving.jacobians)


@pytest.mark.parametrize(
    ("points", "area"),
    [
        (SQUARE, 1.0),
        (SQUARE * 3 + 100, 9.0),
        (np.concatenate([SQUARE, SQUARE * 0.5 + 0.2, SQUARE]), 1.0),
        (np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 3.0]]), 3.0),
        (np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]), 0.0),
        (np.array([[0.5, 0.5]]), 0.0),
    ],
)
def test_hull_area(points, area):
    assert hull_area(points) == pytest.approx(area)


def test_hull_area_of_many_points_approaches_that_of_the_disc():
    random = np.random.default_rng(0)
    angle, radius = random.uniform(0, 2 * np.pi, 20_000), np.sqrt(random.uniform(0, 1, 20_000))
    disc = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    assert hull_area(disc) == pytest.approx(np.pi, rel=0.01)


def test_a_face_twice_as_large_moves_twice_as_far():
    assert movement_scale(SQUARE * 2, SQUARE + 0.3) == pytest.approx(2.0)


def test_normalized_shape_forgets_place_and_size():
    np.testing.assert_allclose(normalize_shape(SQUARE * 5 - 2), normalize_shape(SQUARE))
    assert hull_area(normalize_shape(SQUARE * 5)) == pytest.approx(1.0)


def test_best_frame_is_the_one_with_the_sources_shape():
    random = np.random.default_rng(0)
    source = random.normal(size=(10, 2))
    frames = [random.normal(size=(10, 2)) for _ in range(6)]
    frames[4] = source * 0.3 + np.array([0.2, -0.1])
    assert best_frame(source, iter(frames)) == 4


def test_best_frame_takes_the_first_of_equals_and_passes_over_collapsed_frames():
    collapsed, broken = np.zeros((4, 2)), np.full((4, 2), np.nan)
    assert best_frame(SQUARE, [collapsed, broken, SQUARE, SQUARE]) == 2


def test_collapsed_keypoints_are_an_error_that_says_whose():
    with pytest.raises(FaceError, match="of the source lie on one line"):
        movement_scale(np.zeros((10, 2)), SQUARE)
    with pytest.raises(FaceError, match="reference frame lie"):
        movement_scale(SQUARE, np.full((10, 2), np.nan))
    with pytest.raises(FaceError, match="no driving frame"):
        best_frame(SQUARE, [np.zeros((4, 2))])
