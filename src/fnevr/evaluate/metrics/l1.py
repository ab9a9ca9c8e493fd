"""Mean absolute error."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def l1(
    image_01: Float[Tensor, "B C H W"], target_01: Float[Tensor, "B C H W"]
) -> Float[Tensor, " B"]:
    """Return the mean of |x - y| over each picture's pixels and channels, for values in [0, 1]."""
    return (image_01 - target_01).abs().mean(dim=(1, 2, 3))
