import numpy as np
import pytest

from fnevr.animation.head_turn import HeadTurn
from fnevr.face3d.face_fit import FaceBasis, Similarity
from fnevr.face3d.head_surface import (
    brought_into_view,
    head_flow,
    looks_aside,
    on_surface,
    steepness,
)
from fnevr.geometry.rotations import rotation_matrices


def head(*turn_deg, scale=0.6, shift=(0.0, 0.0, 0.0)):
    return Similarity(
        scale,
        rotation_matrices(np.radians(np.array(turn_deg or (0, 0, 0), float))),
        np.array(shift),
    )


def surface(x, y):
    return -0.24 + np.sqrt(0.12**2 + 1.4**2 * (x**2 + (0.65 * y) ** 2))


def test_a_head_that_stays_moves_nothing():
    place = head(10, -20, 5, shift=(0.1, -0.2, 0.3))
    assert not head_flow(place, place, 16).flow.any()


@pytest.mark.parametrize("turn", [(0, 0, 0), (12, 0, 0), (-8, 20, 10), (0, -30, 0)])
def test_what_is_seen_lies_on_the_surface(turn):
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-0.6, 0.6, (2, 50))
    points = np.stack((x, y, surface(x, y)), axis=1)
    place = head(*turn, scale=0.5, shift=(0.1, 0.0, 0.4))
    np.testing.assert_allclose(on_surface(place(points)[:, :2], place, 1.4), points, atol=1e-9)


def test_cells_look_back_at_where_their_point_was():
    start, end = head(0, 5, 0), head(10, -20, 3, shift=(0.05, 0.02, 0.0))
    went = head_flow(start, end, 32)
    row, column = 9, 20
    cell = np.array([[(2 * column + 1) / 32 - 1, (2 * row + 1) / 32 - 1]])
    expected = start(on_surface(cell, end, 1.4))[0, :2] - cell[0]
    np.testing.assert_allclose(went.flow[0, :, row, column], expected, atol=1e-6)


@pytest.mark.parametrize("turn", [(0, 30, 0), (0, -30, 0), (18, 18, 0), (-15, 0, 20), (0, 55, 0)])
def test_nothing_is_shown_twice(turn):
    went = head_flow(head(), head(*turn), 64)
    centres = (2 * np.arange(64) + 1) / 64 - 1
    x, y = went.flow[0] + np.stack(np.meshgrid(centres, centres))
    (x_down, x_right), (y_down, y_right) = np.gradient(x), np.gradient(y)
    assert (x_right * y_down - x_down * y_right).min() > 0


def test_a_head_that_looks_aside_has_a_flatter_surface():
    assert steepness(head()) == steepness(head(0, -25, 0)) == 1.4
    assert steepness(head(0, 45, 0)) == pytest.approx(0.85)
    assert 0 < steepness(head(0, 100, 0)) < 1e-5


def test_a_neck_is_stretched_below_a_head_that_rises():
    """From the jaw, which goes along, down to the collar, which stays."""
    start = head()
    raised, bowed = (HeadTurn(pitch=pitch).place(start) for pitch in (18.0, -18.0))
    went, nodded = head_flow(start, raised, 128), head_flow(start, bowed, 128)
    column = slice(62, 66)
    rows = [int((0.6 * y + 1) * 64) for y in (0.58, 0.66, 0.74, 0.82)]
    downwards = [abs(went.flow[0, 1, row, column].mean()) for row in rows]
    assert downwards[0] > downwards[1] > downwards[2] > downwards[3]
    assert downwards[3] < 1e-3
    assert downwards[0] > 0.01
    shares = [went.share[0, 0, row, column].min() for row in rows]
    assert min(shares[1:3]) > 0.9
    below = int((0.6 * 1.15 + 1) * 64)
    assert went.share[0, 0, below, column].max() == 0
    assert nodded.share[0, 0, rows[2], column].max() < 0.01


def test_the_face_and_the_neck_move_as_keypoints_say():
    place = head()
    went = head_flow(place, head(0, 15, 0), 64)

    def at(array, x, y):
        column, row = (int((0.6 * value + 1) * 32) for value in (x, y))
        return array[0, 0, row, column]

    assert at(went.share, 0.0, 0.0) == at(went.share, 0.0, 0.9) == at(went.share, 1.3, 0.3) == 0
    assert at(went.share, -0.55, -0.3) == at(went.share, 0.0, -0.8) == 1
    assert at(went.shown, 0.0, -0.8) == 1
    assert at(went.shown, -1.5, -0.5) == 0


def test_a_larger_canvas_shows_the_same_around():
    start, end = head(0, 5, 0), head(10, -20, 3)
    plain, around = head_flow(start, end, 16), head_flow(start, end, 24, 1.5)
    np.testing.assert_allclose(1.5 * around.flow[..., 4:-4, 4:-4], plain.flow, atol=1e-6)
    np.testing.assert_allclose(around.share[..., 4:-4, 4:-4], plain.share, atol=1e-6)


@pytest.mark.parametrize("side", [1, -1])
def test_a_mirror_image_shows_the_far_side_of_a_head_that_turns_to_it(side):
    """A head that looks to one side of the picture, and turns to the other."""
    start, end = head(0, 20 * side, 0), head(0, -5 * side, 0)
    share = brought_into_view(start, end, 64)[:, ::side]
    row = 28  # above the middle of the face, which is 38 cells wide
    assert share[row, 15] == 1
    assert share[row, 34:].max() == 0
    assert share[56:].max() == 0  # neck and shoulders


@pytest.mark.parametrize("turn", [(0, 20, 0), (0, 45, 0), (15, 20, 0), (0, 20, 15)])
def test_it_shows_nothing_of_a_head_that_stays_or_turns_farther_away(turn):
    assert brought_into_view(head(0, 20, 0), head(*turn), 64).max() < 0.05


def test_a_mirror_image_of_a_face_from_the_front_shows_no_more():
    assert brought_into_view(head(), head(0, 25, 0), 64).max() == 0
    assert not looks_aside(head(10, 4, 10))
    assert looks_aside(head(0, 8, 0))
    assert looks_aside(head(0, -8, 0))


def test_the_surface_is_near_the_contour_of_the_mean_face():
    template = FaceBasis.packaged().template
    contour = template[[234, 454, 127, 356, 58, 288]]  # before the ears, and the jaw
    found = on_surface(contour[:, :2], head(scale=1.0), 1.4)
    assert np.abs(found[:, 2] - contour[:, 2]).max() < 0.1
