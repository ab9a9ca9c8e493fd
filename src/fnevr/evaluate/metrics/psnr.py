"""Peak signal-to-noise ratio."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

MAX_PSNR_DB = 100.0
"""What identical pictures score, so that a mean over frames stays finite.

One level of 255 in one value of a 256 x 256 picture is 101 dB: nothing that differs visibly comes
near."""


def psnr(
    image_01: Float[Tensor, "B C H W"], target_01: Float[Tensor, "B C H W"]
) -> Float[Tensor, " B"]:
    """Return min(10 log10(1 / MSE), MAX_PSNR_DB) of each picture, in dB, for values in [0, 1].

    The mean squared error is taken over all pixels and channels.
    """
    decibels = -10 * torch.log10((image_01 - target_01).square().mean(dim=(1, 2, 3)))
    return decibels.clamp(max=MAX_PSNR_DB)
