"""The building blocks that all networks share.

Shapes: B batch, C channels, H and W pixels. Blocks take plain numbers; only the roots know configs.
"""

from __future__ import annotations

from typing import Literal

import torch
from einops import repeat
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

Resample = Literal["none", "up", "down"]
Ndim = Literal[2, 3]


class ConvBlock(nn.Module):
    """Convolution, batch normalization, ReLU; optionally doubled before or halved after.

    In 3D only height and width are doubled or halved.
    """

    def __init__(
        self,
        in_width: int,
        out_width: int,
        kernel_size: int = 3,
        resample: Resample = "none",
        ndim: Ndim = 2,
    ) -> None:
        super().__init__()
        self.resample, self.ndim = resample, ndim
        conv, norm = (nn.Conv2d, nn.BatchNorm2d) if ndim == 2 else (nn.Conv3d, nn.BatchNorm3d)
        self.conv = conv(in_width, out_width, kernel_size, padding=kernel_size // 2)
        self.norm = norm(out_width)

    def forward(self, x: Float[Tensor, "B C *space"]) -> Float[Tensor, "B C2 *space2"]:
        """Return the activated features, >= 0."""
        if self.resample == "up":
            factor = (2.0, 2.0) if self.ndim == 2 else (1.0, 2.0, 2.0)
            x = F.interpolate(x, scale_factor=factor, mode="nearest")
        x = F.relu(self.norm(self.conv(x)))
        if self.resample != "down":
            return x
        return F.avg_pool2d(x, 2) if self.ndim == 2 else F.avg_pool3d(x, (1, 2, 2))


class ResidualBlock(nn.Module):
    """Pre-activation residual block, in 2D or 3D."""

    def __init__(self, width: int, ndim: Ndim = 2) -> None:
        super().__init__()
        conv, norm = (nn.Conv2d, nn.BatchNorm2d) if ndim == 2 else (nn.Conv3d, nn.BatchNorm3d)
        self.norm1 = norm(width)
        self.conv1 = conv(width, width, 3, padding=1)
        self.norm2 = norm(width)
        self.conv2 = conv(width, width, 3, padding=1)

    def forward(self, x: Float[Tensor, "B C *space"]) -> Float[Tensor, "B C *space"]:
        """Return `x` plus its residual."""
        residual = self.conv1(F.relu(self.norm1(x)))
        return x + self.conv2(F.relu(self.norm2(residual)))


class Hourglass(nn.Module):
    """U-Net whose output stacks `width` features on the input itself.

    The input's height and width must be multiples of ``2**num_levels``.
    """

    def __init__(
        self, in_width: int, width: int, max_width: int, num_levels: int, ndim: Ndim = 2
    ) -> None:
        super().__init__()
        widths = [min(max_width, width * 2**level) for level in range(num_levels + 1)]
        self.down = nn.ModuleList(
            ConvBlock(
                in_width if level == 0 else widths[level],
                widths[level + 1],
                resample="down",
                ndim=ndim,
            )
            for level in range(num_levels)
        )
        # Below its first block the way up sees the skip connection beside its own features.
        self.up = nn.ModuleList(
            ConvBlock(
                widths[level + 1] * (1 if level == num_levels - 1 else 2),
                widths[level],
                resample="up",
                ndim=ndim,
            )
            for level in reversed(range(num_levels))
        )
        self.out_width = widths[0] + in_width

    def forward(self, x: Float[Tensor, "B C *space"]) -> Float[Tensor, "B C2 *space"]:
        """Return features at the resolution of `x`."""
        skips = []
        for block in self.down:
            skips.append(x)
            x = block(x)
        for block in self.up:
            x = torch.cat((block(x), skips.pop()), dim=1)
        return x


class AntiAliasDownsample(nn.Module):
    """Gaussian blur, then every `factor`-th pixel.

    ``sigma = (factor - 1) / 2`` and the kernel reaches 4 sigma, as in FOMM. The kernel is a fixed
    buffer that travels with the weights.
    """

    kernel: Tensor

    def __init__(self, channels: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        sigma = (factor - 1) / 2
        radius = round(4 * sigma)
        offsets = torch.arange(-radius, radius + 1, dtype=torch.float32)
        line = torch.exp(-offsets.square() / (2 * sigma**2)) if sigma else torch.ones(1)
        kernel = torch.outer(line, line)
        kernel = kernel / kernel.sum()
        self.register_buffer("kernel", repeat(kernel, "i j -> c 1 i j", c=channels).clone())

    def forward(self, image: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C h w"]:
        """Return the image at ``1 / factor`` of its size; outside of it is black."""
        if self.factor == 1:
            return image
        return F.conv2d(
            image,
            self.kernel,
            stride=self.factor,
            padding=self.kernel.shape[-1] // 2,
            groups=image.shape[1],
        )


class Encoder(nn.Module):
    """Source image to source features; computed once per source."""

    def __init__(
        self,
        width: int,
        max_width: int,
        num_downs: int,
        in_channels: int = 3,
        stem_size: int = 7,
    ) -> None:
        super().__init__()
        widths = [min(max_width, width * 2**level) for level in range(num_downs + 1)]
        self.stem = ConvBlock(in_channels, widths[0], kernel_size=stem_size)
        self.down = nn.ModuleList(
            ConvBlock(widths[level], widths[level + 1], resample="down")
            for level in range(num_downs)
        )

    def forward(self, image_01: Float[Tensor, "B C1 H W"]) -> Float[Tensor, "B C h w"]:
        """Return features at ``1 / 2**num_downs`` of the resolution."""
        x = self.stem(image_01)
        for block in self.down:
            x = block(x)
        return x
