"""Training losses, one per file; each returns an unweighted scalar (weights live in the recipe)."""

from fnevr.losses.adversarial import discriminator_adversarial, generator_adversarial
from fnevr.losses.equivariance import affine_equivariance
from fnevr.losses.feature_matching import feature_matching
from fnevr.losses.keypoints import jacobian_distance, position_distance
from fnevr.losses.perceptual import PerceptualLoss
from fnevr.losses.pyramid import pyramid_l1

__all__ = [
    "PerceptualLoss",
    "affine_equivariance",
    "discriminator_adversarial",
    "feature_matching",
    "generator_adversarial",
    "jacobian_distance",
    "position_distance",
    "pyramid_l1",
]
