"""Pose editing loss L_LPE: predicted keypoints should be those of the driving frame.

Zeng et al., "FNeVR: Neural Volume Rendering for Face Animation", NeurIPS 2022
(lightweight pose editor).
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from fnevr.geometry.keypoints import Keypoints


def pose_edit_distance(
    edited: Keypoints, driving: Keypoints, *, lambda1: float = 1.0, lambda2: float = 1.0
) -> Float[Tensor, ""]:
    """Return ``lambda1 mean |p_D - p^| + lambda2 mean |J_D - J^|``.

    Args:
        edited: p^ = p_S + delta_p and J^ = J_S + delta_J, what the pose editor makes of the
            source's keypoints and the rotation to the driver's head.
        driving: p_D and J_D, detected on the driving frame; targets, no gradient goes through them.
        lambda1: weight of the positions.
        lambda2: weight of the Jacobians.

    Raises:
        ValueError: if the two differ in the number of pictures or keypoints.
    """
    if edited.positions.shape != driving.positions.shape:
        raise ValueError(
            f"got {edited.num_keypoints} edited keypoints of {len(edited)} pictures and "
            f"{driving.num_keypoints} driving ones of {len(driving)}: one for each is wanted"
        )
    target = driving.detach()
    positions = (edited.positions - target.positions).abs().mean()
    return lambda1 * positions + lambda2 * (edited.jacobians - target.jacobians).abs().mean()
