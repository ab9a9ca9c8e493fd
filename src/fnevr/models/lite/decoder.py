"""Encoder and SPADE decoder of `lite`: pixels packed into channels on the way in and out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fnevr.models.lite.blocks import ConvBlock, ResidualBlock

MODULATION_WIDTH = 32
UPSAMPLED_WIDTH = 24


class LiteEncoder(nn.Module):
    """Encodes the source in blocks of 4x4 pixels (pixel-unshuffle): a quarter of its size."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = ConvBlock(48, width)
        self.residual = ResidualBlock(width)

    def forward(self, source_01: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C h w"]:
        """Return features of a quarter of the picture's size."""
        return self.residual(self.stem(F.pixel_unshuffle(source_01 - 0.5, downscale_factor=4)))


class Spade(nn.Module):
    """Spatially-adaptive normalization: norm(x) (1 + gamma(m)) + beta(m) (SPADE, Eq. 1).

    Batch statistics, not instance statistics: a window of the picture is then decoded as it is in
    the whole, which training on windows needs, and inference folds them into constants.
    """

    def __init__(self, width: int, modulation_width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(width, affine=False)
        self.shared = nn.Conv2d(modulation_width, modulation_width, kernel_size=3, padding=1)
        self.gamma_beta = nn.Conv2d(modulation_width, 2 * width, kernel_size=3, padding=1)

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        """Normalize and modulate."""
        gamma, beta = self.gamma_beta(F.relu(self.shared(modulation))).chunk(2, dim=1)
        return self.norm(x) * (1 + gamma) + beta


class SpadeBlock(nn.Module):
    """Two modulated convolutions around a shortcut."""

    def __init__(self, width: int, modulation_width: int) -> None:
        super().__init__()
        self.spade_0 = Spade(width, modulation_width)
        self.conv_0 = nn.Conv2d(width, width, kernel_size=3, padding=1)
        self.spade_1 = Spade(width, modulation_width)
        self.conv_1 = nn.Conv2d(width, width, kernel_size=3, padding=1)

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        """Return x + f(x)."""
        y = self.conv_0(F.relu(self.spade_0(x, modulation)))
        return x + self.conv_1(F.relu(self.spade_1(y, modulation)))


class LiteDecoder(nn.Module):
    """Decodes features to a picture and, for models with one, the mask of the final composite."""

    def __init__(self, in_width: int, width: int, *, composite: bool) -> None:
        super().__init__()
        num_masks = 4 if composite else 0
        self.modulation = nn.Conv2d(in_width, MODULATION_WIDTH, kernel_size=3, padding=1)
        self.reduce = nn.Conv2d(in_width, width, kernel_size=3, padding=1)
        self.block_0 = SpadeBlock(width, MODULATION_WIDTH)
        self.block_1 = SpadeBlock(width, MODULATION_WIDTH)
        self.up = nn.Conv2d(width, 4 * UPSAMPLED_WIDTH, kernel_size=3, padding=1)
        self.refine = nn.Conv2d(UPSAMPLED_WIDTH, UPSAMPLED_WIDTH, kernel_size=3, padding=1)
        self.out = nn.Conv2d(UPSAMPLED_WIDTH, 12 + num_masks, kernel_size=3, padding=1)
        nn.init.normal_(self.out.weight, std=0.01)
        self.out.bias = nn.Parameter(torch.tensor([0.0] * 12 + [2.0] * num_masks))

    def forward(
        self, features: Float[Tensor, "B C h w"]
    ) -> tuple[Float[Tensor, "B 3 H W"], Float[Tensor, "B M H W"], Float[Tensor, "B D h w"]]:
        """Return the decoded picture, one mask or none, and the features that they come from.

        Picture and mask are in (0, 1) and have four times the size. The mask starts at
        sigmoid(2) = 0.88: most of the first pictures is warped source.
        """
        modulation = F.relu(self.modulation(features))
        x = self.block_1(self.block_0(self.reduce(features), modulation), modulation)
        hidden = F.relu(x)
        x = F.relu(F.pixel_shuffle(self.up(hidden), upscale_factor=2))
        x = F.pixel_shuffle(self.out(F.relu(self.refine(x))), upscale_factor=2)
        return torch.sigmoid(x[:, :3]), torch.sigmoid(x[:, 3:]), hidden
