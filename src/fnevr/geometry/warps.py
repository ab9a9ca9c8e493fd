"""Backward warps: where each pixel of the driving view looks in the source.

Shapes: B batch, K keypoints, H and W pixels, C channels, N dimensions (2 or 3). Coordinates are in
[-1, 1], x first.
"""

from __future__ import annotations

from typing import Literal

from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from fnevr.geometry.inverse import invert
from fnevr.geometry.keypoints import Keypoints


def local_affine_motions(
    source: Keypoints, driving: Keypoints, grid: Float[Tensor, "*space N"]
) -> Float[Tensor, "B K *space N"]:
    """Return ``T_k(z) = p_S + J_S J_D^-1 (z - p_D)`` for every keypoint and pixel (FOMM, Eq. 4).

    Args:
        source: keypoints of the source image.
        driving: keypoints of the driving image.
        grid: the pixels ``z`` of the driving view, in either convention (`docs/conventions.md`).

    Returns:
        For each pixel ``z`` of the driving view, the place in the source it came from if it moved
        with keypoint ``k``.
    """
    # B K 1 1 N, or with one more 1 in three dimensions.
    index = (slice(None), slice(None), *[None] * (grid.ndim - 1))
    offsets = grid - driving.positions[index]
    affine = source.jacobians @ invert(driving.jacobians)
    moved = einsum(affine, offsets, "b k i j, b k ... j -> b k ... i")
    return moved + source.positions[index]


def warp(
    image: Float[Tensor, "B C H W"],
    grid: Float[Tensor, "B h w 2"],
    *,
    padding_mode: Literal["zeros", "border"] = "zeros",
    align_corners: bool = False,
) -> Float[Tensor, "B C H W"]:
    """Sample the image bilinearly at the grid, which is first resized to the image's size.

    The reference implementations build grids with pixel centres at ``2 i / (n - 1) - 1`` but sample
    with ``align_corners=False``, where the outer pixel *edges* are at -1 and 1; their identity grid
    therefore magnifies by ``n / (n - 1)``. That stays the default, because their weights expect it.

    Args:
        image: what to sample; any range.
        grid: where each output pixel looks.
        padding_mode: what lies outside of the image.
        align_corners: True reads the grid as it was built, so that an identity grid is the
            identity.
    """
    height, width = image.shape[-2:]
    if grid.shape[1:3] != (height, width):
        grid = rearrange(
            F.interpolate(
                rearrange(grid, "b h w c -> b c h w"),
                size=(height, width),
                mode="bilinear",
                align_corners=align_corners,
            ),
            "b c h w -> b h w c",
        )
    return F.grid_sample(
        image, grid, mode="bilinear", padding_mode=padding_mode, align_corners=align_corners
    )
