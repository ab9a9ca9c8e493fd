"""Distance of detected keypoints from the targets that dense landmarks give (distillation)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from fnevr.geometry.keypoints import Keypoints


def position_distance(detected: Keypoints, target: Keypoints) -> Float[Tensor, ""]:
    """Return the mean L1 distance of the positions from their targets.

    Only the first keypoints have targets; more targets than keypoints are a ValueError.
    """
    count = _num_targets(detected, target)
    return (detected.positions[:, :count] - target.positions).abs().mean()


def jacobian_distance(detected: Keypoints, target: Keypoints) -> Float[Tensor, ""]:
    """Return the mean L1 distance of the Jacobians from their targets, as for the positions."""
    count = _num_targets(detected, target)
    return (detected.jacobians[:, :count] - target.jacobians).abs().mean()


def _num_targets(detected: Keypoints, target: Keypoints) -> int:
    if target.num_keypoints > detected.num_keypoints:
        raise ValueError(
            f"{target.num_keypoints} targets for {detected.num_keypoints} detected keypoints"
        )
    return target.num_keypoints
