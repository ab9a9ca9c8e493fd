"""Training losses, one per file; each returns an unweighted scalar (weights live in the recipe)."""

from fnevr.losses.adversarial import (
    GANS,
    discriminator_adversarial,
    discriminator_hinge,
    discriminator_relativistic,
    generator_adversarial,
    generator_hinge,
)
from fnevr.losses.equivariance import (
    affine_equivariance,
    jacobian_equivariance,
    position_equivariance,
)
from fnevr.losses.face import FaceLoss
from fnevr.losses.feature_matching import feature_matching
from fnevr.losses.keypoint_prior import keypoint_distance, keypoint_prior
from fnevr.losses.keypoints import jacobian_distance, position_distance
from fnevr.losses.log_squared import log_squared
from fnevr.losses.perceptual import PerceptualLoss
from fnevr.losses.pose_edit import pose_edit_distance
from fnevr.losses.pyramid import pyramid_l1
from fnevr.losses.region import region_weights, weighted_l1
from fnevr.losses.sigma_matching import sigma_matching
from fnevr.losses.style import StyleLoss

__all__ = [
    "GANS",
    "FaceLoss",
    "PerceptualLoss",
    "StyleLoss",
    "affine_equivariance",
    "discriminator_adversarial",
    "discriminator_hinge",
    "discriminator_relativistic",
    "feature_matching",
    "generator_adversarial",
    "generator_hinge",
    "jacobian_distance",
    "jacobian_equivariance",
    "keypoint_distance",
    "keypoint_prior",
    "log_squared",
    "pose_edit_distance",
    "position_distance",
    "position_equivariance",
    "pyramid_l1",
    "region_weights",
    "sigma_matching",
    "weighted_l1",
]
