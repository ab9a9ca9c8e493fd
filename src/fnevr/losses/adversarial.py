"""Least-squares GAN losses, for the generator and for the discriminator.

Mao et al., "Least Squares Generative Adversarial Networks", ICCV 2017, Eq. 9 without the factor
1/2, as in FOMM and the released FNeVR. A discriminator of several scales has one map of scores for
each; the scales are summed.

Shapes: B batch, h and w patches.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

Scores = Float[Tensor, "B 1 _ _"]


def generator_adversarial(fake_scores: Sequence[Scores]) -> Float[Tensor, ""]:
    """Return ``sum_s mean (D_s(G) - 1)^2``: generated pictures should be taken for real.

    Args:
        fake_scores: of the generated pictures, inside the generator's graph, one map per scale.

    Raises:
        ValueError: if there is no scale.
    """
    _check_scales(fake_scores)
    return torch.stack([(score - 1).square().mean() for score in fake_scores]).sum()


def discriminator_adversarial(
    real_scores: Sequence[Scores], fake_scores: Sequence[Scores]
) -> Float[Tensor, ""]:
    """Return ``sum_s mean (D_s(y) - 1)^2 + mean D_s(G)^2``: tell real pictures from generated ones.

    Args:
        real_scores: of the real pictures, one map per scale.
        fake_scores: of the generated pictures, which must be detached from the generator.

    Raises:
        ValueError: if there is no scale, or the two differ in their number.
    """
    _check_scales(real_scores)
    if len(real_scores) != len(fake_scores):
        raise ValueError(
            f"one map of scores per scale is wanted for both, got {len(real_scores)} of real "
            f"pictures and {len(fake_scores)} of generated ones"
        )
    real = [(score - 1).square().mean() for score in real_scores]
    fake = [score.square().mean() for score in fake_scores]
    return torch.stack(real + fake).sum()


def _check_scales(scores: Sequence[Tensor]) -> None:
    if not scores:
        raise ValueError("there are no scores: a discriminator has at least one scale")
