"""Training losses, one per file; each returns an unweighted scalar (weights live in the recipe)."""

from fnevr.losses.equivariance import affine_equivariance
from fnevr.losses.keypoints import jacobian_distance, position_distance
from fnevr.losses.pyramid import pyramid_l1

__all__ = ["affine_equivariance", "jacobian_distance", "position_distance", "pyramid_l1"]
