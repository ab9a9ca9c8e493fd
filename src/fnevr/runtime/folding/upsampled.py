"""A 3x3 convolution of a nearest-up-sampled map, computed at the map's own resolution.

Under nearest up-sampling by f the first row of a cell sees the row of cells above it and its own,
the rows in between its own alone, the last one its own and the row below. With w0, w1, w2 the rows
of the kernel and w = w0 + w1 + w2, and x- and x+ the maps whose rows are those above and below,

    first  = w0 x- + (w1 + w2) x = w x + w0 (x- - x)
    middle = w x
    last   = (w0 + w1) x + w2 x+ = w x + w2 (x+ - x)

and likewise for columns. So 3 x 3 products with single numbers of a kernel (differences of the map
times w0, w or w2 in either direction) make all outputs of a cell: 9 products instead of 9 f^2. The
result is the plain one but for rounding, borders included.

Shapes: B batch, C and O channels, H and W cells.
"""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

WHOLE = 4
"""Which of the views is the map itself."""


class UpsampledConv(nn.Module):
    """``conv2d(upsample_nearest(x, factor), weight, bias, padding=1)``, folded.

    Args:
        weight: of the convolution.
        bias: of the convolution; None for none.
        factor: of the up-sampling, at least 2.

    Raises:
        ValueError: if the factor is smaller, or the kernel is not 3x3.
    """

    def __init__(self, weight: Float[Tensor, "O C a b"], bias: Tensor | None, factor: int) -> None:
        super().__init__()
        if factor < 2:
            raise ValueError(f"the factor of the up-sampling must be at least 2, got {factor}")
        if weight.shape[-2:] != (3, 3):
            raise ValueError(f"the kernel must be 3 x 3, got {tuple(weight.shape[-2:])}")
        self.factor = factor
        rows = (weight[:, :, 0], weight.sum(dim=2), weight[:, :, 2])
        taps = [tap for row in rows for tap in (row[..., 0], row.sum(dim=-1), row[..., 2])]
        # A bias enters every output once: with the product that all of them share.
        self.products = nn.ModuleList(
            point_conv(tap, bias if index == WHOLE else None) for index, tap in enumerate(taps)
        )

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B O H2 W2"]:
        """Return the convolution of the up-sampled map."""
        return self.from_views(self.views(x))

    @staticmethod
    def views(x: Float[Tensor, "B C H W"]) -> list[Float[Tensor, "B C H W"]]:
        """Return the map and its differences, which several convolutions of it can share."""
        return [view for rows in _differences(x, 2) for view in _differences(rows, 3)]

    def from_views(
        self, views: list[Float[Tensor, "B C H W"]], *, rectified: bool = False
    ) -> Float[Tensor, "B O H2 W2"]:
        """Return the convolution of the up-sampled map whose `views` these are.

        Args:
            views: of the map.
            rectified: set what is negative to 0, which costs less before a cell is spread out.
        """
        products = [product(view) for product, view in zip(self.products, views, strict=True)]
        table = [_add(products[3 * row : 3 * row + 3]) for row in range(3)]
        columns = [_add(list(column)) for column in zip(*table, strict=True)]
        if rectified:
            columns = [[F.relu(cell) for cell in column] for column in columns]
        # All middle rows and columns of a cell are the same.
        places = [0, *[1] * (self.factor - 2), 2]
        cells = [columns[column][row] for row in places for column in places]
        return interleave(torch.cat(cells, dim=1), self.factor)


def interleave(cells: Float[Tensor, "B PC H W"], factor: int) -> Float[Tensor, "B C H2 W2"]:
    """Put the factor^2 maps of one stack side by side in every cell, row by row."""
    return rearrange(cells, "b (p q c) h w -> b c (h p) (w q)", p=factor, q=factor)


def point_conv(weight: Float[Tensor, "O C"], bias: Tensor | None = None) -> nn.Conv2d:
    """Return a 1x1 convolution of these numbers."""
    out_width, in_width = weight.shape
    with torch.device("meta"):
        conv = nn.Conv2d(in_width, out_width, 1, bias=bias is not None)
    conv.weight = nn.Parameter(weight.detach()[..., None, None].clone(), requires_grad=False)
    if bias is not None:
        conv.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return conv


def _differences(x: Tensor, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return what the neighbour before exceeds each cell by, the cells, and the one after."""
    size = x.shape[dim]
    before, after = (1, 0), (0, 1)
    pads = [(0, 0, *pad) if dim == 2 else (*pad, 0, 0) for pad in (before, after)]
    shifted = F.pad(x.narrow(dim, 0, size - 1), pads[0]), F.pad(x.narrow(dim, 1, size - 1), pads[1])
    return shifted[0] - x, x, shifted[1] - x


def _add(terms: list[Tensor]) -> list[Tensor]:
    """Return first, middle and last of the products with w0, w and w2."""
    first, whole, last = terms
    return [whole + first, whole, whole + last]
