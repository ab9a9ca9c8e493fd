"""L1 distance over an image pyramid.

Shapes: B batch, C channels, H and W pixels.
"""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def pyramid_l1(
    image_01: Float[Tensor, "B C H W"], target_01: Float[Tensor, "B C H W"], levels: int
) -> Float[Tensor, ""]:
    """Average the L1 distance over ``levels`` scales: (1/n) sum_i mean |pool^i(x) - pool^i(y)|.

    Each level halves the size by averaging 2x2 pixels, so that misplaced structure costs at the
    coarse scales what a blur cannot hide. H and W must be divisible by ``2 ** (levels - 1)``.

    Raises:
        ValueError: if ``levels`` is not positive, or the size does not divide.
    """
    height, width = image_01.shape[-2:]
    step = 2 ** max(levels - 1, 0)
    if levels < 1 or height % step or width % step:
        raise ValueError(
            f"levels must be positive and height and width divisible by 2 ** (levels - 1), got "
            f"{levels} levels at {height} x {width}"
        )
    total = (image_01 - target_01).abs().mean()
    for _ in range(levels - 1):
        image_01 = F.avg_pool2d(image_01, kernel_size=2)
        target_01 = F.avg_pool2d(target_01, kernel_size=2)
        total = total + (image_01 - target_01).abs().mean()
    return total / levels
