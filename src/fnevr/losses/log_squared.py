"""Logarithm of each picture's mean squared error: what a mean of PSNRs is a mean of.

Shapes: B batch, C channels, H and W pixels.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

FLOOR = 1e-4  # 40 dB


def log_squared(
    image_01: Float[Tensor, "B C H W"], target_01: Float[Tensor, "B C H W"]
) -> Float[Tensor, ""]:
    """Return ``mean_b ln(1 + MSE_b / 1e-4)``.

    PSNR is ``-10 log10 MSE``. A plain squared error is mostly that of the worst pictures; here each
    counts by the share it is improved by, down to about 40 dB.

    Args:
        image_01: generated.
        target_01: real.
    """
    errors = (image_01 - target_01).square().mean(dim=(1, 2, 3))
    return torch.log1p(errors / FLOOR).mean()
