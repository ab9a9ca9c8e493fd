"""Gaps that are filled with texture."""

from __future__ import annotations

import numpy as np
import pytest

from fnevr.media.texture import filled_with_texture

SIDE = 192
REACH = 0.15


@pytest.fixture
def gap():
    """A disc in the middle, which is not known."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    return np.hypot(y, x) < SIDE / 4


def stripes(period, axis):
    """A picture of stripes with soft edges, levels 60 to 200."""
    wave = 130 + 70 * np.sin(2 * np.pi * np.arange(SIDE) / period)
    lines = np.broadcast_to(wave if axis else wave[:, None], (SIDE, SIDE))
    return np.repeat(lines[..., None], 3, axis=2).astype(np.uint8)


def smoothly(rgb, gap):
    """Fill the gap with the mean colour around it."""
    filled = rgb.astype(np.float32)
    filled[gap] = filled[~gap].mean(axis=0)
    return filled


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("period", [12, 24])
def test_stripes_go_on(gap, period, axis):
    rgb = stripes(period, axis)
    smooth = smoothly(rgb, gap)
    colours, belief = filled_with_texture(rgb, ~gap, smooth, REACH)
    near = belief > 0.5
    assert near.sum() > 0.1 * gap.sum()
    flat = np.abs(smooth - rgb)[near].mean()
    assert np.abs(colours - rgb)[near].mean() < flat / 2
    assert colours[near].std() > 0.7 * rgb.std()


def test_only_the_gap_is_filled_and_only_near_its_border(gap):
    colours, belief = filled_with_texture(
        stripes(16, 1), ~gap, smoothly(stripes(16, 1), gap), REACH
    )
    assert belief.min() == 0
    assert belief.max() <= 1
    assert not belief[~gap].any()
    middle = slice(SIDE // 2 - 8, SIDE // 2 + 8)
    assert not belief[middle, middle].any()
    assert colours.shape == (SIDE, SIDE, 3)


def test_the_same_picture_is_filled_alike(gap):
    rgb = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    first, again = (filled_with_texture(rgb, ~gap, smoothly(rgb, gap), REACH) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (400, 20), (33, 257)])
def test_any_size(size):
    rgb = np.random.default_rng(2).integers(0, 256, (*size, 3), np.uint8)
    known = np.ones(size, bool)
    known[size[0] // 3 : size[0] // 2 + 1] = False
    colours, belief = filled_with_texture(rgb, known, rgb.astype(np.float32), REACH)
    assert np.isfinite(colours).all()
    assert np.isfinite(belief).all()
    assert not belief[known].any()


@pytest.mark.parametrize("is_known", [True, False])
def test_nothing_to_fill_or_nothing_to_take(is_known):
    rgb = stripes(16, 1)
    known = np.full((SIDE, SIDE), is_known)
    _, belief = filled_with_texture(rgb, known, rgb.astype(np.float32), REACH)
    assert not belief.any()


def test_a_plain_background_stays_smooth(gap):
    """Where nobody sees texture, none is looked for."""
    rgb = stripes(400, 1)
    _, belief = filled_with_texture(rgb, ~gap, smoothly(rgb, gap), REACH)
    assert not belief.any()
