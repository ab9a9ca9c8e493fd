from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from fnevr.runtime.folding.upsampled import UpsampledConv


def plain(image, weight, bias, factor):
    up = F.interpolate(image, scale_factor=float(factor), mode="nearest")
    return F.conv2d(up, weight, bias, padding=1)


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (4, 3), (7, 8)])
@pytest.mark.parametrize("has_bias", [True, False])
def test_equals_the_plain_convolution_borders_included(factor, size, has_bias):
    image = torch.randn(2, 3, *size, dtype=torch.float64)
    weight = torch.randn(5, 3, 3, 3, dtype=torch.float64)
    bias = torch.randn(5, dtype=torch.float64) if has_bias else None
    ours = UpsampledConv(weight, bias, factor)(image)
    torch.testing.assert_close(ours, plain(image, weight, bias, factor), atol=1e-12, rtol=1e-12)


def test_float32_is_within_its_rounding():
    image, weight = torch.randn(1, 64, 16, 16), torch.randn(32, 64, 3, 3) / 24
    ours = UpsampledConv(weight, None, 4)(image)
    torch.testing.assert_close(ours, plain(image, weight, None, 4), atol=1e-5, rtol=1e-5)


def test_what_cannot_be_folded_says_so():
    with pytest.raises(ValueError, match="at least 2, got 1"):
        UpsampledConv(torch.zeros(1, 1, 3, 3), None, 1)
    with pytest.raises(ValueError, match=r"3 x 3, got \(5, 5\)"):
        UpsampledConv(torch.zeros(1, 1, 5, 5), None, 2)
