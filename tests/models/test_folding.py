from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from fnevr.models.decoder import Spade
from fnevr.models.folding import upsampled_conv


def plain(image, weight, bias, factor):
    up = F.interpolate(image, scale_factor=float(factor), mode="nearest")
    return F.conv2d(up, weight, bias, padding=1)


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (4, 3), (7, 8)])
def test_equals_the_plain_convolution_borders_included(factor, size):
    image = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(5, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(5, dtype=torch.float64)
    ours, theirs = (f(image, weight, bias, factor) for f in (upsampled_conv, plain))
    torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=1e-12)
    noise = torch.randn_like(ours)
    for a, b in zip(
        torch.autograd.grad((ours * noise).sum(), (image, weight)),
        torch.autograd.grad((theirs * noise).sum(), (image, weight)),
        strict=True,
    ):
        torch.testing.assert_close(a, b, atol=1e-10, rtol=1e-10)


def test_float32_is_within_its_rounding():
    image, weight = torch.randn(1, 64, 16, 16), torch.randn(32, 64, 3, 3) / 24
    torch.testing.assert_close(
        upsampled_conv(image, weight, None, 4), plain(image, weight, None, 4), atol=1e-4, rtol=1e-4
    )


def test_factor_of_one_says_so():
    with pytest.raises(ValueError, match="at least 2, got 1"):
        upsampled_conv(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 3, 3), None, 1)


@pytest.mark.parametrize("size", [(8, 8), (16, 16), (32, 32), (12, 20)])
def test_spade_is_the_same_in_training_and_in_use(size):
    """Training takes the plain way; use folds where the map divides the picture evenly."""
    spade = Spade(6, 5, 7).double()
    x = torch.randn(2, 6, *size, dtype=torch.float64)
    modulation = torch.randn(2, 5, 8, 8, dtype=torch.float64)
    trained, used = spade.train()(x, modulation), spade.eval()(x, modulation)
    torch.testing.assert_close(used, trained, atol=1e-11, rtol=1e-11)
