"""Coordinate grids, and the Gaussians that draw keypoints on them.

Pixel ``i`` of ``n`` has the coordinate ``2 i / (n - 1) - 1``, as in FOMM: the centres of the first
and the last pixel are at -1 and 1.

Shapes: B batch, K keypoints, D depth planes, H and W pixels. The last dimension of a grid, N
numbers, is (x, y) or (x, y, z).
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
    x, y = _line(width, like), _line(height, like)
    return torch.stack((x[None, :].expand(height, width), y[:, None].expand(height, width)), dim=-1)


def coordinate_volume(
    depth: int, height: int, width: int, like: Tensor
) -> Float[Tensor, "D H W 3"]:
    """Return the coordinates (x, y, z) of all cells; z is -1 at the first plane.

    Args:
        depth: number of planes, at least 2.
        height: number of rows, at least 2.
        width: number of columns, at least 2.
        like: a tensor whose device and floating-point type the grid takes.

    Raises:
        ValueError: if the volume has no extent.
    """
    if depth < 2:
        raise ValueError(f"a volume needs at least 2 planes, got {depth}")
    plane = coordinate_grid(height, width, like).expand(depth, height, width, 2)
    z = _line(depth, like)[:, None, None, None].expand(depth, height, width, 1)
    return torch.cat((plane, z), dim=-1)


def keypoint_gaussians(
    positions: Float[Tensor, "B K N"], grid: Float[Tensor, "*space N"], variance: float
) -> Float[Tensor, "B K *space"]:
    """Draw each keypoint as ``exp(-|z - p|^2 / (2 variance))``, 1 at its peak (FOMM, Eq. 6).

    Args:
        positions: centres, in [-1, 1], x first.
        grid: the coordinates of all cells.
        variance: squared width of the Gaussian in grid coordinates, > 0.
    """
    offsets = grid - positions[(slice(None), slice(None), *[None] * (grid.ndim - 1))]
    return torch.exp(-0.5 * offsets.square().sum(dim=-1) / variance)


def _line(size: int, like: Tensor) -> Float[Tensor, " size"]:
    return 2 * (torch.arange(size, device=like.device, dtype=like.dtype) / (size - 1)) - 1
