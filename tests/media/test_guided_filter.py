from __future__ import annotations

import numpy as np
import pytest

from fnevr.media.guided_filter import box_mean, enlarged, guided_filter


@pytest.fixture
def picture(rng):
    """Noise, 24 pixels high and 20 wide."""
    return rng.integers(0, 256, (24, 20, 3)).astype(np.uint8)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def windows(length, radius):
    """Return the pixels of every window along an axis, as far as they are inside."""
    return [slice(max(i - radius, 0), i + radius + 1) for i in range(length)]


def naive_guided_filter(rgb, mask, radius, epsilon):
    """Equations 14, 15, 19 and 20 of He et al., window by window."""
    colours = rgb / 255.0
    height, width = mask.shape
    functions = np.zeros((height, width, 4))
    for y, rows in enumerate(windows(height, radius)):
        for x, columns in enumerate(windows(width, radius)):
            inside = colours[rows, columns].reshape(-1, 3)
            values = mask[rows, columns].reshape(-1)
            covariance = np.cov(inside.T, bias=True) + epsilon * np.eye(3)
            target = (inside * values[:, None]).mean(axis=0) - inside.mean(axis=0) * values.mean()
            slope = np.linalg.solve(covariance, target)
            functions[y, x] = [*slope, values.mean() - slope @ inside.mean(axis=0)]
    result = np.zeros((height, width))
    for y, rows in enumerate(windows(height, radius)):
        for x, columns in enumerate(windows(width, radius)):
            mean = functions[rows, columns].reshape(-1, 4).mean(axis=0)
            result[y, x] = mean[:3] @ colours[y, x] + mean[3]
    return result


@pytest.mark.parametrize("radius", [1, 3, 30])
def test_box_mean_is_the_mean_of_what_is_inside(rng, radius):
    planes = rng.random((2, 9, 14))
    expected = [
        [
            [plane[rows, columns].mean() for columns in windows(14, radius)]
            for rows in windows(9, radius)
        ]
        for plane in planes
    ]
    np.testing.assert_allclose(box_mean(planes, radius), expected, atol=1e-12)


@pytest.mark.parametrize("epsilon", [1e-4, 1e-1])
def test_agrees_with_the_equations(picture, rng, epsilon):
    mask = rng.random((24, 20))
    result = guided_filter(picture, mask, 2, epsilon)
    assert result.dtype == np.float32
    np.testing.assert_allclose(
        result, naive_guided_filter(picture, mask, 2, epsilon), atol=2e-5, rtol=0
    )


def test_a_mask_that_is_a_function_of_the_colour_is_found_again_at_the_picture_s_size(rng):
    colours = np.repeat(np.repeat(rng.integers(0, 256, (30, 40, 3)), 4, axis=0), 4, axis=1)
    picture = colours.astype(np.uint8)
    mask = (picture[::4, ::4] / 255.0) @ np.array([0.2, 0.5, 0.3])
    result = guided_filter(picture, mask, 3, 1e-6)
    np.testing.assert_allclose(result, (picture / 255.0) @ [0.2, 0.5, 0.3], atol=2e-3)


def test_a_blurred_outline_becomes_sharp_where_the_picture_is():
    picture = np.full((128, 128, 3), 30, np.uint8)
    picture[:, 61:] = (200, 120, 90)
    mask = enlarged(np.linspace(-1.5, 2.5, 8)[None].clip(0, 1).repeat(8, 0), (32, 32))
    result = guided_filter(picture, mask, 8, 1e-4)
    step, plain = (plane[:, 62] - plane[:, 59] for plane in (result, enlarged(mask, (128, 128))))
    assert step.min() > 0.5
    assert plain.max() < 0.15


def test_without_edges_the_mask_is_only_smoothed(rng):
    picture = np.full((16, 16, 3), 99, np.uint8)
    mask = rng.random((16, 16))
    smooth = box_mean(box_mean(mask, 2), 2)
    np.testing.assert_allclose(guided_filter(picture, mask, 2, 1e-3), smooth, atol=1e-6)
