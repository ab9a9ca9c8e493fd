"""Pictures enlarged by matrix products: rows X columns^T.

For a network's graph this is the quickest way, and all engines round alike.

Shapes: n pixels in, N out; B batch, C channels, h and w pixels in, H and W out.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Kernel = Literal["bilinear", "bicubic"]


def enlarging_matrix(
    count_out: int, count_in: int, kernel: Kernel, like: Tensor
) -> Float[Tensor, "N n"]:
    """Return what takes `count_in` pixels of a line to `count_out`, edges onto edges.

    Between pixel centres the kernel is a triangle, or Catmull and Rom's cubic (Keys 1981, a =
    -1/2). Beyond the outermost centres the border is repeated (bilinear), or the weights that lie
    inside are scaled to sum to 1 (bicubic). With as many pixels out as in this is the identity.

    Args:
        count_out: N, at least n: fewer would alias.
        count_in: n.
        kernel: which.
        like: gives device and type.
    """
    # In units of a half pixel of both: whole numbers, which every engine computes exactly.
    out = torch.arange(count_out, device=like.device, dtype=like.dtype)
    pixels = torch.arange(count_in, device=like.device, dtype=like.dtype)
    places, pixels = (2 * out + 1) * count_in, (2 * pixels + 1) * count_out
    if kernel == "bilinear":
        places = places.clamp(count_out, (2 * count_in - 1) * count_out)
    distance = (places[:, None] - pixels).abs() / (2 * count_out)
    if kernel == "bilinear":
        return (1 - distance).clamp(min=0)
    near = (1.5 * distance - 2.5) * distance.square() + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    weights = torch.where(distance < 1, near, torch.where(distance < 2, far, 0 * distance))
    return weights / weights.sum(dim=1, keepdim=True)


def enlarge(
    image: Float[Tensor, "B C h w"], height: int, width: int, kernel: Kernel
) -> Float[Tensor, "B C H W"]:
    """Enlarge an image, or any map, to the given size; see `enlarging_matrix`."""
    rows = enlarging_matrix(height, image.shape[-2], kernel, image)
    columns = enlarging_matrix(width, image.shape[-1], kernel, image)
    return rows @ image @ columns.T
