from __future__ import annotations

import math

import numpy as np
import pytest

from fnevr.faces.region import Region, cut_out, drawn_along, padded_slice


@pytest.fixture
def ramp():
    """Red counts the columns, green the rows: a colour says where it came from."""
    y, x = np.mgrid[:100, :120]
    return np.stack([x, y, np.full_like(x, 7)], axis=-1).astype(np.uint8)


def test_cut_out_of_whole_pixels_is_a_slice(ramp):
    result = cut_out(ramp, Region(50.0, 40.0, 20.0), 20, "edge")
    np.testing.assert_array_equal(result, ramp[30:50, 40:60])


@pytest.mark.parametrize("angle_deg", [0, 17, 90, -135])
@pytest.mark.parametrize("size", [24.0, 45.5])
def test_cut_out_and_to_picture_agree(ramp, angle_deg, size):
    side = 32
    region = Region(60.3, 50.8, size, math.radians(angle_deg))
    image = cut_out(ramp, region, side, "edge")
    j, i = np.mgrid[4:28, 4:28].reshape(2, -1)
    points = np.stack([i + 0.5, j + 0.5, np.zeros(i.size)], axis=1)
    there = region.to_picture(points, side)
    np.testing.assert_allclose(image[j, i, 0], there[:, 0] - 0.5, atol=1.0)
    np.testing.assert_allclose(image[j, i, 1], there[:, 1] - 0.5, atol=1.0)


def test_positive_angle_turns_clockwise_as_seen():
    region = Region(0.0, 0.0, 2.0, math.radians(90))
    right_end = region.to_picture(np.array([[2.0, 1.0, 0.0]]), 2)
    np.testing.assert_allclose(right_end, [[0.0, 1.0, 0.0]], atol=1e-6)  # y points down


def test_depth_scales_with_the_region():
    points = np.array([[1.0, 1.0, 3.0]])
    assert Region(0.0, 0.0, 10.0).to_picture(points, 2)[0, 2] == 15.0


def test_shrinking_averages_instead_of_skipping():
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 200
    result = cut_out(stripes, Region(200.0, 200.0, 320.0), 40, "edge")
    np.testing.assert_allclose(result, 100, atol=2)


@pytest.mark.parametrize(
    "window",
    [
        (-5, -3, 10, 10),
        (110, 90, 140, 130),
        (-9, -9, 200, 150),
        (-30, 2, -10, 20),
        (130, 5, 150, 9),
    ],
)
@pytest.mark.parametrize("border", ["edge", "constant"])
def test_padded_slice_agrees_with_padding_everything(ramp, window, border):
    left, top, right, bottom = window
    padded = np.pad(ramp, ((200, 200), (200, 200), (0, 0)), mode=border)
    expected = padded[top + 200 : bottom + 200, left + 200 : right + 200]
    np.testing.assert_array_equal(padded_slice(ramp, left, top, right, bottom, border), expected)


def test_a_region_stays_while_it_need_not_move():
    region = Region(100.0, 50.0, 80.0, math.radians(179.8))
    wanted = Region(100.2, 49.8, 80.7, math.radians(-179.9))
    still = drawn_along(region, wanted)
    assert (still.centre_x, still.centre_y) == (100.0, 50.0)
    assert still.size == pytest.approx(80.0)
    assert math.remainder(still.angle_rad - region.angle_rad, math.tau) == pytest.approx(
        0, abs=1e-9
    )


def test_a_region_goes_along_as_far_as_it_must():
    region, wanted = Region(0.0, 0.0, 100.0, 0.0), Region(30.0, -40.0, 200.0, math.radians(-90))
    moved = drawn_along(region, wanted)
    # 0.5 % of 200 pixels behind, on the line between the two.
    assert (moved.centre_x, moved.centre_y) == pytest.approx((30 - 0.6, -40 + 0.8))
    assert moved.size == pytest.approx(200 * math.exp(-0.01))
    assert math.degrees(moved.angle_rad) == pytest.approx(-89.5)
    again = drawn_along(moved, wanted)
    assert vars(again) == pytest.approx(vars(moved))
