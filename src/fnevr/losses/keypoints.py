"""Distance of detected keypoints from the targets that dense landmarks give (distillation)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from fnevr.geometry.keypoints import Keypoints


def position_distance(detected: Keypoints, target: Keypoints) -> Float[Tensor, ""]:
    """Mean L1 distance of the positions, over the keypoints that have a target (the first ones)."""
    num_targets = target.positions.shape[1]
    return (detected.positions[:, :num_targets] - target.positions).abs().mean()


def jacobian_distance(detected: Keypoints, target: Keypoints) -> Float[Tensor, ""]:
    """Mean L1 distance of the Jacobians, over the keypoints that have a target (the first ones)."""
    num_targets = target.positions.shape[1]
    return (detected.jacobians[:, :num_targets] - target.jacobians).abs().mean()
