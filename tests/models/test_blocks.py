from __future__ import annotations

import math

import pytest
import torch

from fnevr.models.blocks import AntiAliasDownsample, ConvBlock, Encoder, Hourglass, ResidualBlock


def downsample_naive(image, factor):
    """Blur with a normalized Gaussian of sigma (factor - 1) / 2 and keep every factor-th pixel."""
    sigma = (factor - 1) / 2
    radius = round(4 * sigma)
    height, width = image.shape
    span = range(-radius, radius + 1)
    total = sum(math.exp(-(u * u + v * v) / 2 / sigma**2) for u in span for v in span)
    out = torch.zeros(height // factor, width // factor)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            for u in span:
                for v in span:
                    y, x = i * factor + u, j * factor + v
                    if 0 <= y < height and 0 <= x < width:
                        gain = math.exp(-(u * u + v * v) / 2 / sigma**2) / total
                        out[i, j] += gain * image[y, x]
    return out


@pytest.mark.parametrize("factor", [2, 4])
def test_downsampling_matches_loops(factor):
    image = torch.rand(1, 3, 16, 24)
    small = AntiAliasDownsample(3, factor)(image)
    for channel in range(3):
        torch.testing.assert_close(small[0, channel], downsample_naive(image[0, channel], factor))


def test_downsampling_by_one_changes_nothing():
    image = torch.rand(1, 3, 8, 8)
    assert torch.equal(AntiAliasDownsample(3, 1)(image), image)


def test_downsampling_keeps_a_constant_away_from_the_border():
    small = AntiAliasDownsample(1, 4)(torch.ones(1, 1, 64, 64))
    torch.testing.assert_close(small[..., 2:-2, 2:-2], torch.ones(1, 1, 12, 12))


@pytest.mark.parametrize(("resample", "size"), [("none", 8), ("up", 16), ("down", 4)])
def test_conv_block_changes_the_resolution(resample, size):
    out = ConvBlock(3, 5, resample=resample)(torch.randn(2, 3, 8, 8))
    assert out.shape == (2, 5, size, size)
    assert out.min() >= 0


def test_conv_block_repeats_pixels_upwards():
    block = ConvBlock(1, 1, kernel_size=1, resample="up").eval()
    block.load_state_dict({**block.state_dict(), "conv.weight": torch.ones(1, 1, 1, 1)})
    out = block(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
    for rows in (out[..., 0::2, 0::2], out[..., 1::2, 1::2], out[..., 0::2, 1::2]):
        torch.testing.assert_close(rows, out[..., 0::2, 0::2])


@pytest.mark.parametrize("ndim", [2, 3])
def test_residual_block_without_weights_is_the_identity(ndim):
    block = ResidualBlock(4, ndim=ndim).eval()
    for parameter in block.conv2.parameters():
        torch.nn.init.zeros_(parameter)
    x = torch.randn(2, 4, *[6] * ndim)
    torch.testing.assert_close(block(x), x)


def test_hourglass_ends_with_its_own_input():
    hourglass = Hourglass(in_width=5, width=4, max_width=8, num_levels=3)
    x = torch.randn(1, 5, 16, 8)
    out = hourglass(x)
    assert out.shape == (1, hourglass.out_width, 16, 8) == (1, 9, 16, 8)
    assert torch.equal(out[:, 4:], x)


def test_hourglass_widths_are_bounded():
    shapes = {
        name: tuple(tensor.shape[:2])
        for name, tensor in Hourglass(3, width=4, max_width=8, num_levels=3).state_dict().items()
        if name.endswith("conv.weight")
    }
    assert shapes == {
        "down.0.conv.weight": (8, 3),
        "down.1.conv.weight": (8, 8),
        "down.2.conv.weight": (8, 8),
        "up.0.conv.weight": (8, 8),
        "up.1.conv.weight": (8, 16),
        "up.2.conv.weight": (4, 16),
    }


def test_encoder_halves_and_doubles():
    encoder = Encoder(width=4, max_width=12, num_downs=2)
    assert encoder(torch.rand(2, 3, 16, 24)).shape == (2, 12, 4, 6)
