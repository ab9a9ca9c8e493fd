"""3x3 convolutions by Winograd's F(4x4, 3x3): 36 products for 16 outputs instead of 144.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016. Tiles of 6x6 pixels,
4 apart, are transformed (``B^T d B``), multiplied by the transformed kernels (``G g G^T``), and
transformed back (``A^T m A``). Everything is made of ordinary layers, so that every engine runs it:
the first transform is a filter of each channel, the products are 1x1 convolutions.

Rounding grows: in float32, errors are about ten times those of the plain sum. Not for half
precision.

Shapes: B batch, C and O channels, H and W pixels, h and w tiles.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fnevr.runtime.folding.upsampled import interleave, point_conv

TILE, REACH = 4, 6
# Interpolation at 0, 1, -1, 2, -2 and infinity.
INPUT = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
KERNEL = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)


class WinogradTiles(nn.Module):
    """The transformed tiles of a map, which several convolutions of it can share."""

    rows: Tensor
    columns: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        kernels = torch.tensor(INPUT, dtype=torch.float32)[:, None, None].repeat(1, channels, 1, 1)
        self.register_buffer("rows", kernels[..., None])
        self.register_buffer("columns", kernels[..., None, :])

    def forward(self, x: Float[Tensor, "B C H W"]) -> list[Float[Tensor, "B C h w"]]:
        """Return ``B^T d B`` of all tiles, one map for each of its 36 numbers.

        Raises:
            ValueError: if height or width is no multiple of 4.
        """
        if x.shape[-2] % TILE or x.shape[-1] % TILE:
            raise ValueError(f"height and width must be multiples of 4, got {tuple(x.shape[-2:])}")
        by_row = [
            F.conv2d(x, kernel, stride=(TILE, 1), padding=(1, 0), groups=self.channels)
            for kernel in self.rows.to(x.dtype)
        ]
        return [
            F.conv2d(row, kernel, stride=(1, TILE), padding=(0, 1), groups=self.channels)
            for row in by_row
            for kernel in self.columns.to(x.dtype)
        ]


class WinogradConv(nn.Module):
    """``conv2d(x, weight, bias, padding=1)``, from the tiles of x."""

    def __init__(self, conv: nn.Conv2d) -> None:
        """Transform the kernels.

        Raises:
            ValueError: if this is not a plain 3x3 convolution that keeps the size.
        """
        super().__init__()
        plain = ((3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros")
        geometry = (conv.kernel_size, conv.stride, conv.padding, conv.dilation)
        if (*geometry, conv.groups, conv.padding_mode) != plain:
            raise ValueError(f"not a plain 3x3 convolution: {conv}")
        transform = torch.tensor(KERNEL, dtype=torch.float64, device=conv.weight.device)
        kernels = torch.einsum("ai,ocij,bj->aboc", transform, conv.weight.double(), transform)
        self.products = nn.ModuleList(
            point_conv(kernel.to(conv.weight.dtype)) for kernel in kernels.flatten(0, 1)
        )
        bias = torch.zeros_like(conv.weight[:, 0, 0, 0]) if conv.bias is None else conv.bias
        self.bias = nn.Parameter(bias.detach()[:, None, None].clone(), requires_grad=False)

    def forward(self, tiles: list[Float[Tensor, "B C h w"]]) -> Float[Tensor, "B O H W"]:
        """Return the convolution of the map with these tiles."""
        products = [product(tile) for product, tile in zip(self.products, tiles, strict=True)]
        columns = [_back(products[column::REACH]) for column in range(REACH)]
        outputs = [y for row in zip(*columns, strict=True) for y in _back(list(row))]
        return interleave(torch.cat(outputs, dim=1), TILE) + self.bias


def winograd_conv(conv: nn.Conv2d) -> nn.Module:
    """Return a module that computes a convolution from its input."""
    return nn.Sequential(WinogradTiles(conv.in_channels), WinogradConv(conv))


def _back(m: list[Tensor]) -> list[Tensor]:
    """Return the four numbers ``A^T m`` of six."""
    near, near_difference, far, far_difference = m[1] + m[2], m[1] - m[2], m[3] + m[4], m[3] - m[4]
    return [
        m[0] + near + far,
        near_difference + 2 * far_difference,
        near + 4 * far,
        near_difference + 8 * far_difference + m[5],
    ]
