"""GAN losses, for the generator and for the discriminator; `GANS` has all kinds by name.

Least squares: Mao et al., "Least Squares Generative Adversarial Networks", ICCV 2017, Eq. 9 without
the factor 1/2, as in FOMM and the released FNeVR. Hinge: Lim and Ye, "Geometric GAN", 2017, as in
Face vid2vid. Relativistic hinge: Jolicoeur-Martineau, "The Relativistic Discriminator", ICLR 2019,
against the mean score, as in Bilayer.

A discriminator of several scales has one map of scores for each; the scales are summed. Scores of
generated pictures must be detached from the generator in the discriminator's loss, those of real
pictures from the discriminator in the generator's.

Shapes: B batch, h and w patches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import relu

Scores = Float[Tensor, "B 1 _ _"]
Loss = Callable[[Sequence[Tensor], Sequence[Tensor]], Tensor]


@dataclass(frozen=True)
class Gan:
    """The two losses of one kind of GAN, of the scores of real and of generated pictures."""

    generator: Loss
    discriminator: Loss


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
        fake_scores: of the generated pictures.

    Raises:
        ValueError: if there is no scale, or the two differ in their number.
    """
    _check_scales(real_scores, fake_scores)
    real = [(score - 1).square().mean() for score in real_scores]
    fake = [score.square().mean() for score in fake_scores]
    return torch.stack(real + fake).sum()


def generator_hinge(fake_scores: Sequence[Scores]) -> Float[Tensor, ""]:
    """Return ``-sum_s mean D_s(G)``; it has no lower bound.

    Args:
        fake_scores: of the generated pictures, inside the generator's graph, one map per scale.

    Raises:
        ValueError: if there is no scale.
    """
    _check_scales(fake_scores)
    return -torch.stack([score.mean() for score in fake_scores]).sum()


def discriminator_hinge(
    real_scores: Sequence[Scores], fake_scores: Sequence[Scores]
) -> Float[Tensor, ""]:
    """Return ``sum_s mean max(0, 1 - D_s(y)) + mean max(0, 1 + D_s(G))``.

    Args:
        real_scores: of the real pictures, one map per scale.
        fake_scores: of the generated pictures.

    Raises:
        ValueError: if there is no scale, or the two differ in their number.
    """
    _check_scales(real_scores, fake_scores)
    real = [relu(1 - score).mean() for score in real_scores]
    fake = [relu(1 + score).mean() for score in fake_scores]
    return torch.stack(real + fake).sum()


def discriminator_relativistic(
    real_scores: Sequence[Scores], fake_scores: Sequence[Scores]
) -> Float[Tensor, ""]:
    """Return the hinge loss of ``D_s(y) - mean D_s(G)`` and ``D_s(G) - mean D_s(y)``.

    The generator's loss is the same with the two exchanged.

    Args:
        real_scores: of the real pictures, one map per scale.
        fake_scores: of the generated pictures.

    Raises:
        ValueError: if there is no scale, or the two differ in their number.
    """
    _check_scales(real_scores, fake_scores)
    pairs = list(zip(real_scores, fake_scores, strict=True))
    return discriminator_hinge(
        [real - fake.mean() for real, fake in pairs], [fake - real.mean() for real, fake in pairs]
    )


GANS = {
    "least-squares": Gan(lambda _, fake: generator_adversarial(fake), discriminator_adversarial),
    "hinge": Gan(lambda _, fake: generator_hinge(fake), discriminator_hinge),
    "relativistic-hinge": Gan(
        lambda real, fake: discriminator_relativistic(fake, real), discriminator_relativistic
    ),
}


def _check_scales(*scores: Sequence[Tensor]) -> None:
    if not all(scores):
        raise ValueError("there are no scores: a discriminator has at least one scale")
    if len({len(each) for each in scores}) > 1:
        real, fake = (len(each) for each in scores)
        raise ValueError(
            f"one map of scores per scale is wanted for both, got {real} of real pictures and "
            f"{fake} of generated ones"
        )
