"""What shows between the lips of a portrait that keeps them shut."""

from __future__ import annotations

import numpy as np
import pytest

from fnevr.animation.open_mouth import LOWER, UPPER, OpenMouth
from fnevr.geometry.keypoints import Keypoints
from fnevr.models.encoded_source import INNER_FACE, VIEW_CENTRE, VIEW_SCALE, VIEW_SIZE, Detail

HEIGHT, WIDTH = VIEW_SIZE
SIDE = 128


@pytest.fixture
def head():
    """An upright head in the middle; a face height is 0.5 of the picture's."""
    return Keypoints(np.zeros((1, 2, 2)), np.tile(np.eye(2) * 0.5, (1, 2, 1, 1)))


def face(gap):
    """Landmarks whose inner lips are 0.3 face heights wide and open by a gap in their middle."""
    landmarks = np.zeros((478, 2))
    x = np.linspace(-1, 1, len(UPPER))
    bow = gap / 2 * (1 - x**2)
    for line, side in ((LOWER, 1), (UPPER, -1)):
        landmarks[line] = np.stack((0.15 * x, 0.25 + side * bow), axis=1)
    return 0.5 * landmarks


def mouth(skin=(200, 160, 140), gap=0.0):
    view = np.full((SIDE, SIDE, 3), skin, np.uint8)
    landmarks = np.full((478, 3), SIDE / 2, np.float32)
    landmarks[[33, 263], 0] = 40, 88
    return OpenMouth(view, landmarks, gap)


def row(y):
    """The row of the view of a place below the middle of the face mesh."""
    return round((y - VIEW_CENTRE[1]) * VIEW_SCALE + HEIGHT / 2 - 0.5)


def test_teeth_are_between_the_lips_and_nowhere_else(head):
    drawn = mouth()(face(0.06), head, 1.0)
    assert drawn is not None
    share = drawn.share[0, 0]
    middle = slice(WIDTH // 2 - 3, WIDTH // 2 + 3)
    assert share[row(0.24) : row(0.26), middle].min() > 0.99
    assert share[: row(0.215)].max() == share[row(0.285) :].max() == 0
    half_width = round(0.15 * VIEW_SCALE)
    assert share[:, : WIDTH // 2 - half_width - 2].max() == 0
    picture = drawn.picture_01[0, :, row(0.235) : row(0.25), middle]
    assert picture.mean() > 0.4


def test_a_wide_open_mouth_is_dark_below_its_teeth(head):
    drawn = mouth()(face(0.14), head, 1.0)
    assert drawn is not None
    line = drawn.picture_01[0, :, :, WIDTH // 2].mean(axis=0)
    teeth, below = line[row(0.21)], line[row(0.26)]
    assert below < 0.6 * teeth


def test_lips_are_drawn_as_far_apart_as_wanted(head):
    heights = []
    for wanted in (1.0, 0.5):
        drawn = mouth()(face(0.1), head, wanted)
        assert drawn is not None
        heights.append(float(drawn.share[0, 0, :, WIDTH // 2].sum()))
    assert heights[0] == pytest.approx(0.1 * VIEW_SCALE, abs=2)
    assert heights[1] == pytest.approx(0.05 * VIEW_SCALE, abs=2)


def test_it_moves_with_the_head(head):
    """In the view of a head that is turned and elsewhere nothing changes."""
    turn = np.array([[0.9, -0.3], [0.3, 0.9]])
    moved = Keypoints(head.positions + 0.2, turn @ head.jacobians)
    first, second = mouth()(face(0.08), head, 1.0), mouth()(face(0.08) @ turn.T + 0.2, moved, 1.0)
    assert first is not None
    assert second is not None
    np.testing.assert_allclose(second.share, first.share, atol=1e-5)
    np.testing.assert_allclose(second.picture_01, first.picture_01, atol=1e-5)


def test_nothing_is_drawn_between_shut_lips_or_over_own_teeth(head):
    assert mouth()(face(0.0), head, 1.0) is None
    assert mouth(gap=0.05)(face(0.08), head, 1.0) is None
    partly = mouth(gap=0.022)(face(0.08), head, 1.0)
    assert partly is not None
    assert 0.4 < partly.share.max() < 0.6


def test_teeth_are_lit_and_tinted_as_the_face(head):
    means = []
    for skin in ((200, 160, 140), (100, 80, 70), (160, 160, 160)):
        drawn = mouth(skin)(face(0.06), head, 1.0)
        assert drawn is not None
        inside = drawn.share[0, 0] > 0.9
        means.append(drawn.picture_01[0][:, inside].mean(axis=1))
    assert means[1].mean() == pytest.approx(means[0].mean() / 2, rel=0.1)
    assert means[0][0] / means[0][2] > means[2][0] / means[2][2]


def test_it_takes_the_place_of_lips_that_the_networks_drew_and_not_of_teeth(head):
    drawn = mouth()(face(0.06), head, 1.0)
    blank = np.zeros((1, 4, 8, 8), np.float32)
    layers = [np.zeros((1, 1, 2, 2), np.float32)] * INNER_FACE
    assert drawn is not None
    view = np.ones((1, 4, HEIGHT, WIDTH), np.float32)
    detail = Detail(blank, blank[:, :3], mouth=drawn)
    np.testing.assert_array_equal(detail.carried([*layers, view, blank])[INNER_FACE], view)
    view[:, 1:3] = 0.3  # all lip
    mixed = detail.carried([*layers, view, blank])[INNER_FACE]
    inside = drawn.share[0, 0] == 1
    np.testing.assert_allclose(mixed[0, :3, inside], drawn.picture_01[0, :, inside], atol=1e-6)
    assert not mixed[0, 3, inside].any()
    beside = drawn.share[0, 0] == 0
    np.testing.assert_array_equal(mixed[0][:, beside], view[0][:, beside])
    plain = detail.carried(layers)
    assert all(a is b for a, b in zip(plain, layers, strict=True))
