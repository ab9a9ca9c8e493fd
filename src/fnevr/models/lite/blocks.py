"""Building blocks of `lite`: convolutions with batch normalization that inference can fold away."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class ConvBlock(nn.Module):
    """Convolution, batch normalization, ReLU."""

    def __init__(self, in_width: int, out_width: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_width, out_width, kernel_size=3, stride=stride, padding=1)
        self.norm = nn.BatchNorm2d(out_width)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        """Return relu(norm(conv(x)))."""
        return F.relu(self.norm(self.conv(x)))


class ResidualBlock(nn.Module):
    """Two convolutions around a shortcut: relu(x + f(x))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = ConvBlock(width, width)
        self.conv = nn.Conv2d(width, width, kernel_size=3, padding=1)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return relu(x + f(x))."""
        return F.relu(x + self.norm(self.conv(self.first(x))))


class StridedHourglass(nn.Module):
    """An hourglass that halves by strided convolutions and may stop below the input's resolution.

    Args:
        in_width: channels of the input.
        widths: channels at each level, finest first.
        num_ups: how many levels the decoder climbs back; the output has ``widths[-1 - num_ups]``
            channels at that level's resolution.
    """

    def __init__(self, in_width: int, widths: tuple[int, ...], num_ups: int) -> None:
        super().__init__()
        pairs = list(pairwise(widths))
        self.stem = ConvBlock(in_width, widths[0])
        self.down = nn.ModuleList(ConvBlock(fine, coarse, stride=2) for fine, coarse in pairs)
        climbed = list(reversed(pairs))[:num_ups]
        self.up = nn.ModuleList(ConvBlock(coarse, fine) for fine, coarse in climbed)
        self.merge = nn.ModuleList(ConvBlock(2 * fine, fine) for fine, _ in climbed)
        self.out_width = widths[-1 - num_ups]

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        """Return the decoder's finest features."""
        levels = [self.stem(x)]
        for down in self.down:
            levels.append(down(levels[-1]))
        x = levels.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            x = F.interpolate(up(x), scale_factor=2, mode="nearest")
            x = merge(torch.cat([x, levels.pop()], dim=1))
        return x
