from __future__ import annotations

import pytest
import torch
from torch import nn

from fnevr.runtime.folding.winograd import WinogradConv, WinogradTiles, winograd_conv


@pytest.mark.parametrize("size", [(4, 4), (4, 12), (16, 8), (32, 32)])
@pytest.mark.parametrize("bias", [True, False])
def test_equals_the_plain_convolution_borders_included(size, bias):
    conv = nn.Conv2d(3, 5, 3, padding=1, bias=bias).double()
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    torch.testing.assert_close(winograd_conv(conv)(x), conv(x), atol=1e-12, rtol=1e-12)


def test_two_convolutions_share_their_tiles():
    first, second = nn.Conv2d(4, 2, 3, padding=1), nn.Conv2d(4, 7, 3, padding=1)
    x = torch.randn(1, 4, 8, 8)
    tiles = WinogradTiles(4)(x)
    assert len(tiles) == 36
    for conv in (first, second):
        torch.testing.assert_close(WinogradConv(conv)(tiles), conv(x), atol=1e-5, rtol=1e-5)


def test_rounding_of_float32_is_bounded():
    conv = nn.Conv2d(128, 64, 3, padding=1)
    x = torch.randn(1, 128, 32, 32)
    exact = conv.double()(x.double())
    ours = winograd_conv(conv.float())(x)
    assert (ours - exact).abs().max() < 2e-4 * exact.std()


def test_what_it_cannot_do_says_so():
    with pytest.raises(ValueError, match="multiples of 4"):
        WinogradTiles(1)(torch.zeros(1, 1, 6, 8))
    for wrong in (nn.Conv2d(1, 1, 5, padding=2), nn.Conv2d(1, 1, 3), nn.Conv2d(2, 2, 3, groups=2)):
        with pytest.raises(ValueError, match="not a plain 3x3 convolution"):
            WinogradConv(wrong)
