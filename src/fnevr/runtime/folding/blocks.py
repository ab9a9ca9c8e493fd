"""The building blocks of all models, folded.

Shapes: B batch, C channels, H and W pixels; "space" has a depth before them in 3D.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fnevr.models import blocks
from fnevr.models.lite import blocks as lite
from fnevr.runtime.folding.constants import (
    fold_norm,
    frozen_conv,
    kept_conv,
    of_kind,
    scale_and_shift,
)
from fnevr.runtime.folding.upsampled import UpsampledConv


class FoldedConvBlock(nn.Module):
    """`blocks.ConvBlock` as one convolution, at the lower resolution where it doubles."""

    def __init__(self, block: blocks.ConvBlock) -> None:
        super().__init__()
        self.resample, self.ndim = block.resample, block.ndim
        conv: nn.Conv2d | nn.Conv3d = fold_norm(block.conv, block.norm)
        is_folded = block.resample == "up" and block.ndim == 2 and conv.kernel_size == (3, 3)
        self.conv: nn.Module = UpsampledConv(conv.weight, conv.bias, 2) if is_folded else conv

    def forward(self, x: Float[Tensor, "B C *space"]) -> Float[Tensor, "B C2 *space2"]:
        """Return the activated features, >= 0."""
        if isinstance(self.conv, UpsampledConv):
            return self.conv.from_views(UpsampledConv.views(x), rectified=True)
        if self.resample == "up":
            factor = (2.0, 2.0) if self.ndim == 2 else (1.0, 2.0, 2.0)
            x = F.interpolate(x, scale_factor=factor, mode="nearest")
        x = F.relu(self.conv(x))
        if self.resample != "down":
            return x
        return F.avg_pool2d(x, 2) if self.ndim == 2 else F.avg_pool3d(x, (1, 2, 2))


class Affine(nn.Module):
    """A batch normalization that no convolution precedes: ``s x + t``."""

    scale: Tensor
    shift: Tensor

    def __init__(self, norm: nn.BatchNorm2d | nn.BatchNorm3d) -> None:
        super().__init__()
        ndim = 2 if isinstance(norm, nn.BatchNorm2d) else 3
        scale, shift = scale_and_shift(norm)
        self.register_buffer("scale", scale.detach().reshape(-1, *[1] * ndim))
        self.register_buffer("shift", shift.detach().reshape(-1, *[1] * ndim))

    def forward(self, x: Float[Tensor, "B C *space"]) -> Float[Tensor, "B C *space"]:
        """Return the normalized features."""
        return x * self.scale + self.shift


class FoldedResidualBlock(nn.Module):
    """`blocks.ResidualBlock` with its second normalization in its first convolution."""

    def __init__(self, block: blocks.ResidualBlock) -> None:
        super().__init__()
        self.norm = Affine(block.norm1)
        self.conv1 = fold_norm(block.conv1, block.norm2)
        self.conv2 = kept_conv(block.conv2)

    def forward(self, x: Float[Tensor, "B C *space"]) -> Float[Tensor, "B C *space"]:
        """Return `x` plus its residual."""
        return x + self.conv2(F.relu(self.conv1(F.relu(self.norm(x)))))


class FoldedLiteConvBlock(nn.Module):
    """`lite.ConvBlock` as one convolution."""

    def __init__(self, block: lite.ConvBlock) -> None:
        super().__init__()
        self.conv = fold_norm(block.conv, block.norm)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        """Return relu(norm(conv(x)))."""
        return F.relu(self.conv(x))


class FoldedLiteResidualBlock(nn.Module):
    """`lite.ResidualBlock` as two convolutions."""

    def __init__(self, block: lite.ResidualBlock) -> None:
        super().__init__()
        self.first = FoldedLiteConvBlock(block.first)
        self.conv = fold_norm(block.conv, block.norm)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return relu(x + f(x))."""
        return F.relu(x + self.conv(self.first(x)))


class FoldedHourglass(nn.Module):
    """`lite.StridedHourglass`, which merges up-sampled features at their own resolution."""

    def __init__(self, hourglass: lite.StridedHourglass) -> None:
        super().__init__()
        self.stem = FoldedLiteConvBlock(hourglass.stem)
        self.down = nn.ModuleList(
            FoldedLiteConvBlock(block) for block in of_kind(hourglass.down, lite.ConvBlock)
        )
        self.up = nn.ModuleList(
            FoldedLiteConvBlock(block) for block in of_kind(hourglass.up, lite.ConvBlock)
        )
        self.merge_up, self.merge_skip = nn.ModuleList(), nn.ModuleList()
        for merge in of_kind(hourglass.merge, lite.ConvBlock):
            conv = fold_norm(merge.conv, merge.norm)
            of_up, of_skip = conv.weight.chunk(2, dim=1)
            self.merge_up.append(UpsampledConv(of_up, None, 2))
            self.merge_skip.append(frozen_conv(conv, of_skip, conv.bias))
        self.out_width = hourglass.out_width

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        """Return the decoder's finest features."""
        levels = [self.stem(x)]
        for down in self.down:
            levels.append(down(levels[-1]))
        x = levels.pop()
        for up, of_up, of_skip in zip(self.up, self.merge_up, self.merge_skip, strict=True):
            x = F.relu(of_up(up(x)) + of_skip(levels.pop()))
        return x
