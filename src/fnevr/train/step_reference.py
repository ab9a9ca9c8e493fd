"""One training step of FNeVR (`base`) or FOMM: the model, then the discriminator.

Siarohin et al., "First Order Motion Model for Image Animation", NeurIPS 2019, section 3.3; Zeng et
al., "FNeVR: Neural Volume Rendering for Face Animation", NeurIPS 2022. Weights and optimizers are
those of the released configuration.

Shapes: B batch, H and W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from pydantic import NonNegativeFloat
from torch import Generator, Tensor
from torch.optim import Adam

from fnevr.config import FrozenConfig
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.thin_plate import ThinPlateWarp
from fnevr.losses import (
    PerceptualLoss,
    discriminator_adversarial,
    feature_matching,
    generator_adversarial,
    jacobian_equivariance,
    position_equivariance,
)
from fnevr.models.discriminator import Judgement, MultiScaleDiscriminator, frozen
from fnevr.models.portrait import ReferenceModel

Images = Float[Tensor, "B 3 H W"]


class ReferenceLossWeights(FrozenConfig):
    """Weight of each term of the loss; the defaults are the released configuration's."""

    perceptual: NonNegativeFloat = 10.0
    """Perceptual distance, per layer and scale."""

    feature_matching: NonNegativeFloat = 10.0
    """Feature matching, per layer and scale of the discriminator."""

    generator: NonNegativeFloat = 1.0
    """Least-squares GAN, generator."""

    discriminator: NonNegativeFloat = 1.0
    """Least-squares GAN, discriminator."""

    equivariance_position: NonNegativeFloat = 10.0
    """Equivariance of the keypoints' positions."""

    equivariance_jacobian: NonNegativeFloat = 10.0
    """Equivariance of the keypoints' Jacobians."""

    auxiliary: NonNegativeFloat = 5.0
    """L1 distance of the volume renderer's auxiliary image (FNeVR only)."""


@dataclass(frozen=True)
class ReferenceNetworks:
    """What a step needs.

    Attributes:
        model: what is trained; its batch statistics are updated.
        discriminator: trained in turn.
        perceptual: the frozen features, with the scales they are compared at.
    """

    model: ReferenceModel
    discriminator: MultiScaleDiscriminator
    perceptual: PerceptualLoss

    def optimizers(self, rate: float = 2e-4) -> ReferenceOptimizers:
        """Return Adam with the released betas for the model and for the discriminator."""
        betas = (0.5, 0.999)
        return ReferenceOptimizers(
            Adam(self.model.parameters(), lr=rate, betas=betas),
            Adam(self.discriminator.parameters(), lr=rate, betas=betas),
        )


@dataclass(frozen=True)
class ReferenceOptimizers:
    """One optimizer for each of the two that learn."""

    model: Adam
    discriminator: Adam


def generator_terms(
    networks: ReferenceNetworks, source_01: Images, driving_01: Images, rng: Generator
) -> tuple[dict[str, Tensor], Images, Keypoints]:
    """Return the unweighted terms of the model's loss, by the names of `ReferenceLossWeights`.

    The driving picture is both what the keypoints come from and what the result is compared with.
    No gradient reaches the discriminator's parameters.

    Args:
        networks: the model, the discriminator and the features.
        source_01: one batch of sources.
        driving_01: another frame of each source's clip.
        rng: of the warps.

    Returns:
        The terms, the generated pictures and the driving keypoints.
    """
    model = networks.model
    driving = model.keypoints(driving_01)
    generated = model.generate(source_01, model.keypoints(source_01), driving)
    terms = {"perceptual": networks.perceptual(generated.image, driving_01)}
    if generated.rendered is not None:
        terms["auxiliary"] = (generated.rendered - driving_01).abs().mean()

    with frozen(networks.discriminator):
        fake = _judge(networks.discriminator, generated.image, driving)
        with torch.no_grad():
            real = _judge(networks.discriminator, driving_01, driving)
    terms["generator"] = generator_adversarial([judged.score for judged in fake])
    terms["feature_matching"] = feature_matching(
        [judged.features for judged in fake], [judged.features for judged in real]
    )

    warp = ThinPlateWarp.random(len(driving_01), rng, like=driving_01)
    warped = model.keypoints(warp.view(driving_01))
    terms["equivariance_position"] = position_equivariance(driving, warped, warp)
    terms["equivariance_jacobian"] = jacobian_equivariance(driving, warped, warp)
    return terms, generated.image, driving


def discriminator_terms(
    discriminator: MultiScaleDiscriminator,
    generated_01: Images,
    driving_01: Images,
    driving: Keypoints,
) -> dict[str, Tensor]:
    """Return the unweighted term of the discriminator's loss; no gradient reaches the model."""
    fake = _judge(discriminator, generated_01.detach(), driving)
    real = _judge(discriminator, driving_01, driving)
    loss = discriminator_adversarial(
        [judged.score for judged in real], [judged.score for judged in fake]
    )
    return {"discriminator": loss}


def weigh_terms(terms: dict[str, Tensor], weights: ReferenceLossWeights) -> Float[Tensor, ""]:
    """Return the weighted sum of the terms."""
    return torch.stack([getattr(weights, name) * term for name, term in terms.items()]).sum()


def update(
    networks: ReferenceNetworks,
    optimizers: ReferenceOptimizers,
    source_01: Images,
    driving_01: Images,
    weights: ReferenceLossWeights,
    rng: Generator,
) -> dict[str, float]:
    """Update the model, then the discriminator on what the model made before its update.

    Returns:
        The unweighted terms of both.
    """
    terms, generated_01, driving = generator_terms(networks, source_01, driving_01, rng)
    optimizers.model.zero_grad()
    weigh_terms(terms, weights).backward()
    optimizers.model.step()

    judged = discriminator_terms(networks.discriminator, generated_01, driving_01, driving)
    optimizers.discriminator.zero_grad()
    weigh_terms(judged, weights).backward()
    optimizers.discriminator.step()
    return {name: term.item() for name, term in (terms | judged).items()}


def _judge(
    discriminator: MultiScaleDiscriminator, image_01: Images, driving: Keypoints
) -> list[Judgement]:
    return discriminator(image_01, driving.detach() if discriminator.num_keypoints else None)
