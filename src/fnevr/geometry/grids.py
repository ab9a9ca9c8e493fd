"""Coordinate grids, and the Gaussians that draw keypoints on them.

Pixel ``i`` of ``n`` has the coordinate ``2 i / (n - 1) - 1``, as in FOMM: the centres of the first
and the last pixel are at -1 and 1.

Shapes: B batch, K keypoints, H and W pixels. The last dimension of a grid is (x, y).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def coordinate_grid(height: int, width: int, like: Tensor) -> Float[Tensor, "H W 2"]:
    """Return the coordinates of all pixel centres.

    Args:
        height: number of rows, at least 2.
        width: number of columns, at least 2.
        like: a tensor whose device and floating-point type the grid takes.

    Raises:
        ValueError: if there is only one row or column, which has no extent.
    """
    if height < 2 or width < 2:
        raise ValueError(f"a grid needs at least 2 x 2 pixels, got {height} x {width}")
    x = 2 * (torch.arange(width, device=like.device, dtype=like.dtype) / (width - 1)) - 1
    y = 2 * (torch.arange(height, device=like.device, dtype=like.dtype) / (height - 1)) - 1
    return torch.stack((x[None, :].expand(height, width), y[:, None].expand(height, width)), dim=-1)


def keypoint_gaussians(
    positions: Float[Tensor, "B K 2"], height: int, width: int, variance: float
) -> Float[Tensor, "B K H W"]:
    """Draw each keypoint as ``exp(-|z - p|^2 / (2 variance))``, 1 at its peak (FOMM, Eq. 6).

    Args:
        positions: centres, in [-1, 1], x first.
        height: number of rows.
        width: number of columns.
        variance: squared width of the Gaussian in grid coordinates, > 0.
    """
    grid = coordinate_grid(height, width, like=positions)
    offsets = grid - positions[:, :, None, None, :]
    return torch.exp(-0.5 * offsets.square().sum(dim=-1) / variance)
