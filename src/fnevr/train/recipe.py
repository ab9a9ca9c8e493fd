"""What a training run does: stage, budget, learning rates, loss weights."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from fnevr.config import FrozenConfig


class LossWeights(FrozenConfig):
    """Weight of each term of the loss."""

    image: float = 10.0
    """Pyramid L1 of the final picture (stage "full")."""

    image_squared: float = 60.0
    """Mean squared error of the final picture (stage "full")."""

    regions: float = 5.0
    """L1 of the final picture, with more weight on eyes and mouth (stage "full")."""

    decoded_regions: float = 2.5
    """The same of the decoded picture before the composite (stage "full")."""

    warped: float = 10.0
    """Pyramid L1 of the warped source at half size."""

    auxiliary: float = 1.5
    """Pyramid L1 of the volume renderer's auxiliary picture (stage "full")."""

    decoded: float = 5.0
    """Pyramid L1 of the decoded picture before the composite (stage "full")."""

    position: float = 20.0
    """L1 of the keypoints from those of the landmarks."""

    jacobian: float = 4.0
    """L1 of the Jacobians from those of the landmarks."""

    equivariance: float = 3.0
    """Affine equivariance of the keypoints without targets."""

    smoothness: float = 0.1
    """Mean absolute difference of neighbouring displacements."""


class Recipe(FrozenConfig):
    """One training run."""

    stage: Literal["motion", "full"] = "full"
    """What is trained: detector and dense motion on warped pictures ("motion"), or everything."""

    minutes: PositiveFloat = 60.0
    """Time budget; the learning rate falls over it along a cosine."""

    batch_size: PositiveInt = 12
    """Pairs per step."""

    generator_rate: PositiveFloat = 1e-3
    """Adam's learning rate of encoder, renderer and decoder."""

    motion_rate: PositiveFloat = 3e-4
    """Adam's learning rate of detector and dense motion."""

    prior_rate: PositiveFloat = 1e-3
    """Adam's learning rate of the Gaussian blend's widths and biases."""

    window: PositiveInt = Field(default=128, multiple_of=32)
    """Side of the window that is decoded and compared, in pixels; a multiple of 32."""

    region_gain: NonNegativeFloat = 12.0
    """How much more than the rest the middle of an eye or the mouth weighs in `regions`."""

    target_keypoints: float = Field(default=0.0, ge=0, le=1)
    """Share of the steps that take the landmarks' keypoints instead of the detected ones."""

    equivariance_every: PositiveInt = 4
    """Steps between two equivariance terms (each costs a detector pass)."""

    weights: LossWeights = LossWeights()
    """Weights of the loss terms."""

    seed: NonNegativeInt = 0
    """Seed of the pairs, windows and warps."""

    checkpoint_every: PositiveInt = 600
    """Steps between two checkpoints."""


RECIPES = {
    "motion": Recipe(
        stage="motion", minutes=25, batch_size=16, motion_rate=1e-3, target_keypoints=0.15
    ),
    "full": Recipe(),
}
"""Where to start from, by stage."""
