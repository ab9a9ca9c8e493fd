"""Peak signal-to-noise ratio."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def psnr(
    image_01: Float[Tensor, "B C H W"], target_01: Float[Tensor, "B C H W"]
) -> Float[Tensor, " B"]:
    """Return 10 log10(1 / MSE) of each picture, in decibels, for values in [0, 1].

    The mean squared error is taken over all pixels and channels; identical pictures give infinity.
    """
    return -10 * torch.log10((image_01 - target_01).square().mean(dim=(1, 2, 3)))
