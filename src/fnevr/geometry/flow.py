"""Displacement fields on grids of pixel centres, with the picture's edges at -1 and 1.

Pixel i of n is at (2 i + 1) / n - 1, which is what `grid_sample(align_corners=False)` reads: a zero
displacement returns the picture unchanged at any resolution. `lite` uses this convention
throughout; the reference implementations mix two (see `geometry.warps`), which magnifies a still
picture slightly.

Shapes: B batch, K keypoints, H and W pixels, C channels.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.warps import local_affine_motions


def centre_grid(height: int, width: int, like: Tensor) -> Float[Tensor, "H W 2"]:
    """Return the coordinates of all pixel centres, x first, with the device and type of `like`."""
    x = (2 * torch.arange(width, device=like.device, dtype=like.dtype) + 1) / width - 1
    y = (2 * torch.arange(height, device=like.device, dtype=like.dtype) + 1) / height - 1
    return torch.stack((x.expand(height, width), y[:, None].expand(height, width)), dim=-1)


def affine_displacements(
    source: Keypoints, driving: Keypoints, grid: Float[Tensor, "H W 2"]
) -> Float[Tensor, "B K H W 2"]:
    """Return ``T_k(z) - z``: how far each local affine motion moves each pixel of the grid."""
    return local_affine_motions(source, driving, grid) - grid


def flow_to_grid(
    flow: Float[Tensor, "B 2 h w"], height: int, width: int
) -> Float[Tensor, "B H W 2"]:
    """Resize a displacement field bilinearly and add it to the pixel centres."""
    if flow.shape[-2:] != (height, width):
        flow = F.interpolate(flow, size=(height, width), mode="bilinear", align_corners=False)
    return flow.permute(0, 2, 3, 1) + centre_grid(height, width, like=flow)


def sample(
    image: Float[Tensor, "B C h w"],
    grid: Float[Tensor, "B H W 2"],
    kernel: Literal["bilinear", "bicubic"] = "bilinear",
) -> Float[Tensor, "B C H W"]:
    """Sample the picture at the grid; its border pixels extend outwards.

    Between four pixels bilinear sampling blurs; bicubic sampling keeps texture, and overshoots a
    little at edges.
    """
    return F.grid_sample(image, grid, mode=kernel, padding_mode="border", align_corners=False)


def affine_view(
    image: Float[Tensor, "B C H W"],
    matrix: Float[Tensor, "B 2 2"],
    offset: Float[Tensor, "B 2"],
    side: int | None = None,
) -> Float[Tensor, "B C h w"]:
    """Show at each pixel z what the picture shows at A z + t, reflected beyond its border.

    Args:
        image: any range.
        matrix: A.
        offset: t, in [-1, 1] units.
        side: height and width of the view, in pixels; None takes the picture's.
    """
    height, width = image.shape[-2:] if side is None else (side, side)
    grid = torch.einsum("bij,hwj->bhwi", matrix, centre_grid(height, width, like=image))
    return F.grid_sample(
        image,
        grid + offset[:, None, None],
        mode="bilinear",
        padding_mode="reflection",
        align_corners=False,
    )
