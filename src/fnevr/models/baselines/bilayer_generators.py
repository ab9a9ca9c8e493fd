"""Bilayer's generators: the texture of a source, and what each driving frame draws.

Shapes: S sources, B driving frames, C channels, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import pi

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fnevr.geometry.driving import NUM_POINTS
from fnevr.models.baselines.bilayer_blocks import (
    EPSILON,
    SLOPE,
    MappedNorm,
    SpectralConv,
    SpectralLinear,
    activated,
    doubled,
    mixed,
)

START = 4  # side of the generators' first features
TEXTURE_WEIGHTS, INFERENCE_WEIGHTS = 5, 3  # projected for each block
Weights = Sequence[Float[Tensor, "S _ _"]]


@dataclass(frozen=True)
class Inferred:
    """What the inference generator draws of landmarks.

    Attributes:
        grid: where each pixel looks in the texture, in [-1, 1], edge to edge.
        low_frequency: a smooth picture, in (-1, 1).
        person: 1 where the picture shows the person, in (0, 1).
    """

    grid: Float[Tensor, "B H W 2"]
    low_frequency: Float[Tensor, "B 3 H W"]
    person: Float[Tensor, "B 1 H W"]


class TextureBlock(nn.Module):
    """Residual block that doubles the resolution before its first convolution."""

    def __init__(self, in_width: int, out_width: int, side: int, *, is_first: bool) -> None:
        super().__init__()
        self.norm1: nn.Module = (
            nn.BatchNorm2d(in_width, eps=EPSILON) if is_first else MappedNorm(in_width, side)
        )
        self.conv1 = SpectralConv(in_width, out_width, 3)
        self.norm2 = MappedNorm(out_width, 2 * side)
        self.conv2 = SpectralConv(out_width, out_width, 3)

    def forward(
        self, x: Float[Tensor, "S C H W"], before: Weights, own: Weights
    ) -> Float[Tensor, "S C2 H2 W2"]:
        """Return features of twice the resolution.

        Args:
            x: the features.
            before: scale and shift of the first norm; empty for the first block.
            own: scale and shift of the second norm, and the skip connection.
        """
        scale, shift, skip = own
        residual = self.conv1(doubled(activated(self.norm1(x, *before))))
        residual = self.conv2(activated(self.norm2(residual, scale, shift)))
        return residual + mixed(doubled(x), skip)


class TextureGenerator(nn.Module):
    """Projected weights to a texture: a learned start, six doublings."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.randn(1, widths[0], START, START))
        before = (widths[0], *widths[:-1])
        self.blocks = nn.ModuleList(
            TextureBlock(in_width, out_width, START * 2**index, is_first=index == 0)
            for index, (in_width, out_width) in enumerate(zip(before, widths, strict=True))
        )
        self.norm = MappedNorm(widths[-1], START * 2 ** len(widths))
        self.to_image = SpectralConv(widths[-1], 3, 3)

    def forward(self, weights: Weights) -> Float[Tensor, "S 3 H W"]:
        """Return the texture, in (-1, 1).

        Args:
            weights: five per block: its second norm's scale and shift, its skip connection, scale
                and shift of the norm that follows the block.
        """
        x = self.start.expand(len(weights[0]), -1, -1, -1)
        following: Weights = ()
        for index, block in enumerate(self.blocks):
            own = weights[TEXTURE_WEIGHTS * index :][:TEXTURE_WEIGHTS]
            x = block(x, following, own[:3])
            following = own[3:]
        return self.to_image(activated(self.norm(x, *following))).tanh()


class PoseEmbedder(nn.Module):
    """Landmarks to the inference generator's first features."""

    def __init__(self, num_harmonics: int, hidden: int, width: int) -> None:
        super().__init__()
        self.width = width
        in_width = 2 * NUM_POINTS * max(1, 2 * num_harmonics)
        sizes = (in_width, hidden, hidden, hidden, width * START**2)
        self.layers = nn.ModuleList(
            SpectralLinear(before, after) for before, after in pairwise(sizes)
        )
        self.num_harmonics = num_harmonics

    def forward(self, points: Float[Tensor, "B 68 2"]) -> Float[Tensor, "B C 4 4"]:
        """Return the pose embedding."""
        x = points.flatten(1)
        if self.num_harmonics:
            octaves = 2.0 ** torch.arange(self.num_harmonics, device=x.device, dtype=x.dtype)
            angles = (x[..., None] * octaves * pi).flatten(1)
            x = torch.cat((angles.sin(), angles.cos()), dim=1)
        for index, layer in enumerate(self.layers):
            x = layer(F.leaky_relu(x, SLOPE) if index else x)
        return x.unflatten(1, (self.width, START, START))


class InferenceBlock(nn.Module):
    """Residual block that doubles the resolution before its second convolution."""

    def __init__(self, in_width: int, out_width: int, *, is_first: bool) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_width, eps=EPSILON, affine=is_first)
        self.conv1 = SpectralConv(in_width, out_width, 3)
        self.norm2 = nn.BatchNorm2d(out_width, eps=EPSILON, affine=False)
        self.conv2 = SpectralConv(out_width, out_width, 3)

    def forward(
        self, x: Float[Tensor, "B C H W"], before: Weights, own: Weights
    ) -> Float[Tensor, "B C2 H2 W2"]:
        """Return features of twice the resolution.

        Args:
            x: the features.
            before: weight and bias of the first norm; empty for the first block.
            own: those of the second norm, and the skip connection.
        """
        norm, skip = own
        residual = self.norm1(x)
        if before:
            residual = scaled(residual, before[0])
        residual = self.conv1(activated(residual))
        residual = self.conv2(doubled(activated(scaled(self.norm2(residual), norm))))
        return residual + mixed(doubled(x), skip)


class InferenceGenerator(nn.Module):
    """Pose embedding to grid, low-frequency picture and mask."""

    identity_grid: Tensor

    def __init__(self, widths: tuple[int, ...], side: int) -> None:
        super().__init__()
        places = (2 * torch.arange(side) + 1) / side - 1
        grid = torch.stack(torch.meshgrid(places, places, indexing="xy"), dim=-1)
        self.register_buffer("identity_grid", grid[None])
        before = (widths[0], *widths[:-1])
        self.blocks = nn.ModuleList(
            InferenceBlock(in_width, out_width, is_first=index == 0)
            for index, (in_width, out_width) in enumerate(zip(before, widths, strict=True))
        )
        self.norm = nn.BatchNorm2d(widths[-1], eps=EPSILON, affine=False)
        self.offset = SpectralConv(widths[-1], 2, 3)
        self.low_frequency = SpectralConv(widths[-1], 3, 3)
        self.person = SpectralConv(widths[-1], 1, 3)

    def forward(self, pose: Float[Tensor, "B C 4 4"], weights: Weights) -> Inferred:
        """Draw what each pose shows.

        Args:
            pose: the embedding.
            weights: three per block: its second norm, its skip connection, the norm that follows.
        """
        x, following = pose, list[Tensor]()
        for index, block in enumerate(self.blocks):
            own = weights[INFERENCE_WEIGHTS * index :][:INFERENCE_WEIGHTS]
            x = block(x, following, own[:2])
            following = [own[2]]
        x = activated(scaled(self.norm(x), following[0]))
        offset = rearrange(self.offset(x).tanh(), "b c h w -> b h w c")
        return Inferred(
            self.identity_grid + offset, self.low_frequency(x).tanh(), self.person(x).sigmoid()
        )


def scaled(x: Float[Tensor, "B C H W"], weight: Float[Tensor, "S C 2"]) -> Float[Tensor, "B C H W"]:
    """Return ``x (1 + w) + b``, channel by channel."""
    return x * (1 + weight[..., 0, None, None]) + weight[..., 1, None, None]
