"""Structural similarity (Wang et al., 2004), computed by torchmetrics."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from fnevr.errors import FnevrError
from fnevr.extras import how_to_install

GAUSSIAN_SIGMA = 1.5


def ssim(
    image_01: Float[Tensor, "B C H W"], target_01: Float[Tensor, "B C H W"]
) -> Float[Tensor, " B"]:
    """Return each picture's mean SSIM, for values in [0, 1].

    The paper's constants (0.01, 0.03), a Gaussian window of 11 x 11 pixels with deviation 1.5, each
    channel by itself, borders reflected; mean over pixels and channels.

    Raises:
        FnevrError: if torchmetrics is not installed.
    """
    try:
        from torchmetrics.functional.image import (  # noqa: PLC0415 - an extra
            structural_similarity_index_measure,
        )
    except ImportError as error:
        raise FnevrError(f"SSIM needs torchmetrics: {how_to_install('eval')}") from error
    values = structural_similarity_index_measure(
        image_01,
        target_01,
        gaussian_kernel=True,
        sigma=GAUSSIAN_SIGMA,
        data_range=1.0,
        reduction="none",
    )
    assert isinstance(values, Tensor)
    return values
