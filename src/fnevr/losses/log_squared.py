"""Logarithm of each picture's mean squared error; a mean of PSNRs is a mean of such logarithms.

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

    PSNR is ``-10 log10 MSE``. A mean of plain squared errors is mostly the error of the worst
    pictures. Here a picture counts by the ratio in which its error falls, up to a PSNR of about 40
    dB, where the 1 takes over.

    Args:
        image_01: generated.
        target_01: real.
    """
    errors = (image_01 - target_01).square().mean(dim=(1, 2, 3))
    return torch.log1p(errors / FLOOR).mean()
