"""A 3x3 convolution of a nearest-up-sampled map, computed at the map's own resolution.

Under nearest up-sampling by f, a 3x3 window meets one or two rows of the map: the one above and
its own at a cell's first row, its own alone in between, its own and the one below at the last. The
kernel's rows that meet the same row of the map add up, likewise its columns, so that a cell has
only 3 x 3 distinct outputs (2 x 2 for f = 2), by kernels of 2 or 1 rows and columns: 25 products
instead of 144 at f = 4, 16 instead of 36 at f = 2. The result is the plain one but for rounding,
borders included.

Shapes: B batch, C and O channels, H and W cells.
"""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

# For the first, a middle and the last row of a cell: which rows of the kernel add up to each row of
# the folded one, and how many rows of zeros go above and below the map.
FIRST = (((0,), (1, 2)), (1, 0))
MIDDLE = (((0, 1, 2),), (0, 0))
LAST = (((0, 1), (2,)), (0, 1))


def upsampled_conv(
    image: Float[Tensor, "B C H W"],
    weight: Float[Tensor, "O C 3 3"],
    bias: Float[Tensor, " O"] | None,
    factor: int,
) -> Float[Tensor, "B O H2 W2"]:
    """Return ``conv2d(upsample_nearest(image, factor), weight, bias, padding=1)``.

    Args:
        image: the map.
        weight: of the convolution.
        bias: of the convolution.
        factor: of the up-sampling, at least 2.

    Raises:
        ValueError: if the factor is smaller.
    """
    if factor < 2:
        raise ValueError(f"the factor of the up-sampling must be at least 2, got {factor}")
    phases = (FIRST, MIDDLE, LAST) if factor > 2 else (FIRST, LAST)
    outputs = [_phase(image, weight, bias, rows, columns) for rows in phases for columns in phases]
    grid = torch.stack(outputs).unflatten(0, (len(phases), len(phases)))
    if factor > 2:
        # All middle rows and columns of a cell are the same.
        repeats = torch.tensor([1, factor - 2, 1], device=image.device)
        grid = grid.repeat_interleave(repeats, dim=0, output_size=factor)
        grid = grid.repeat_interleave(repeats, dim=1, output_size=factor)
    return rearrange(grid, "p q b o h w -> b o (h p) (w q)")


def _phase(
    image: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    rows: tuple[tuple[tuple[int, ...], ...], tuple[int, int]],
    columns: tuple[tuple[tuple[int, ...], ...], tuple[int, int]],
) -> Tensor:
    """Return the outputs at one place of all cells."""
    (row_sums, (above, below)), (column_sums, (left, right)) = rows, columns
    folded = torch.stack([weight[:, :, list(group)].sum(dim=2) for group in row_sums], dim=2)
    folded = torch.stack([folded[..., list(group)].sum(dim=-1) for group in column_sums], dim=-1)
    return F.conv2d(F.pad(image, (left, right, above, below)), folded, bias)
