"""DaGAN's depth network: a ResNet-18 encoder and a U-Net decoder, as in Monodepth2.

Godard et al., "Digging Into Self-Supervised Monocular Depth Estimation", ICCV 2019.

Shapes: B batch, C channels, H and W pixels.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

# What the encoder's pictures are standardized by.
MEAN, DEVIATION = 0.45, 0.225


class BasicBlock(nn.Module):
    """ResNet's block of two 3x3 convolutions (He et al., 2016)."""

    def __init__(self, in_width: int, out_width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_width, out_width, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_width)
        self.conv2 = nn.Conv2d(out_width, out_width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_width)
        self.has_learned_skip = stride != 1 or in_width != out_width
        if self.has_learned_skip:
            self.skip = nn.Conv2d(in_width, out_width, 1, stride=stride, bias=False)
            self.skip_norm = nn.BatchNorm2d(out_width)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C2 H2 W2"]:
        """Return the activated sum of the skip connection and the residual."""
        skip = self.skip_norm(self.skip(x)) if self.has_learned_skip else x
        x = F.relu(self.norm1(self.conv1(x)))
        return F.relu(skip + self.norm2(self.conv2(x)))


class DepthEncoder(nn.Module):
    """ResNet-18 without its classifier: features at 1/2, 1/4, 1/8, 1/16 and 1/32."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, widths[0], 7, stride=2, padding=3, bias=False)
        self.norm = nn.BatchNorm2d(widths[0])
        # The first stage keeps the resolution that the pooling before it leaves.
        self.stages = nn.ModuleList(
            nn.Sequential(
                BasicBlock(before, after, stride=1 if index == 0 else 2),
                BasicBlock(after, after, stride=1),
            )
            for index, (before, after) in enumerate(pairwise(widths))
        )

    def forward(self, image_01: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B _ _ _"]]:
        """Return the features, finest first."""
        x = F.relu(self.norm(self.conv((image_01 - MEAN) / DEVIATION)))
        features = [x]
        x = F.max_pool2d(x, kernel_size=3, stride=2, padding=1)
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class DepthDecoder(nn.Module):
    """From the coarsest features upwards, each level doubled and joined by the encoder's own.

    The convolutions' borders are reflected. Disparity comes out at the last four levels, of which
    DaGAN reads the finest; the other three heads are kept for the weights' sake.
    """

    def __init__(self, encoder_widths: tuple[int, ...], widths: tuple[int, ...]) -> None:
        super().__init__()
        before = (encoder_widths[-1], *widths[:-1])
        skips = (*reversed(encoder_widths[:-1]), 0)
        self.reduce = nn.ModuleList(
            _reflecting(in_width, width) for in_width, width in zip(before, widths, strict=True)
        )
        self.join = nn.ModuleList(
            _reflecting(width + skip, width) for skip, width in zip(skips, widths, strict=True)
        )
        # Finest first, as in the checkpoint.
        self.disparity = nn.ModuleList(_reflecting(width, 1) for width in reversed(widths[1:]))

    def forward(self, features: list[Float[Tensor, "B _ _ _"]]) -> Float[Tensor, "B 1 H W"]:
        """Return the finest disparity, in (0, 1)."""
        x = features[-1]
        skips: list[Tensor | None] = [*reversed(features[:-1]), None]
        for reduce, join, skip in zip(self.reduce, self.join, skips, strict=True):
            x = F.interpolate(F.elu(reduce(x)), scale_factor=2.0, mode="nearest")
            x = F.elu(join(x if skip is None else torch.cat((x, skip), dim=1)))
        return self.disparity[0](x).sigmoid()


class DepthNetwork(nn.Module):
    """Picture to disparity, of its own size."""

    def __init__(self, encoder_widths: tuple[int, ...], decoder_widths: tuple[int, ...]) -> None:
        super().__init__()
        self.encoder = DepthEncoder(encoder_widths)
        self.decoder = DepthDecoder(encoder_widths, decoder_widths)

    def forward(self, image_01: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 1 H W"]:
        """Return the disparity, in (0, 1), large where near."""
        return self.decoder(self.encoder(image_01))


def _reflecting(in_width: int, out_width: int) -> nn.Conv2d:
    return nn.Conv2d(in_width, out_width, 3, padding=1, padding_mode="reflect")
