from __future__ import annotations

import numpy as np
import pytest
import torch

from fnevr.evaluate.metrics.l1 import l1
from fnevr.evaluate.metrics.ssim import ssim


def test_l1_is_the_mean_over_each_picture():
    target = torch.zeros(2, 3, 4, 4)
    image = target.clone()
    image[0] = 0.25
    image[1, 0] = 0.6
    torch.testing.assert_close(l1(image, target), torch.tensor([0.25, 0.2]))


def test_ssim_of_equal_pictures_is_one_and_of_shifted_brightness_is_known():
    """For constant pictures the structure term is 1 and the luminance term is what is left."""
    image = torch.full((1, 3, 32, 32), 0.5)
    brighter = torch.full((1, 3, 32, 32), 0.7)
    assert ssim(image, image).item() == pytest.approx(1.0)
    c1 = 0.01**2
    expected = (2 * 0.5 * 0.7 + c1) / (0.5**2 + 0.7**2 + c1)
    assert ssim(brighter, image).item() == pytest.approx(expected, abs=1e-4)


def test_ssim_against_loops():
    """One channel, the border reflected, the Gaussian window of the paper."""
    random = np.random.default_rng(0)
    x, y = random.random((2, 1, 1, 11, 11))
    offsets = np.arange(11) - 5
    window = np.exp(-(offsets**2) / (2 * 1.5**2))
    window = np.outer(window, window) / window.sum() ** 2
    values = []
    padded = [np.pad(z[0, 0], 5, mode="reflect") for z in (x, y)]
    for i in range(11):
        for j in range(11):
            a, b = (z[i : i + 11, j : j + 11] for z in padded)
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            var_a = (window * a * a).sum() - mean_a**2
            var_b = (window * b * b).sum() - mean_b**2
            covariance = (window * a * b).sum() - mean_a * mean_b
            c1, c2 = 0.01**2, 0.03**2
            values.append(
                (2 * mean_a * mean_b + c1)
                * (2 * covariance + c2)
                / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
            )
    both = [torch.from_numpy(z).float() for z in (x, y)]
    assert ssim(*both).item() == pytest.approx(np.mean(values), abs=1e-4)


def test_ssim_is_per_picture():
    random = torch.rand(2, 3, 32, 32)
    target = random.clone()
    target[1] = 1 - target[1]
    values = ssim(random, target)
    assert values.shape == (2,)
    assert values[0] == pytest.approx(1.0)
    assert values[1] < 0.1
