"""Equivariance of keypoints under a known affine warp (FOMM, Eq. 9 to 11, affine case).

Shapes: B batch, K keypoints.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from fnevr.geometry.keypoints import Keypoints


def affine_equivariance(
    original: Keypoints,
    warped: Keypoints,
    matrix: Float[Tensor, "B 2 2"],
    offset: Float[Tensor, "B 2"],
    *,
    first: int = 0,
) -> Float[Tensor, ""]:
    """Compare keypoints of a picture with those of its warp, taken back through the warp.

    The warped picture W shows at z what the original shows at A z + t, hence p = A p_W + t and
    J = A J_W: the loss is mean |A p_W + t - p| + 1/2 mean |A J_W - J|.

    Args:
        original: keypoints detected on the picture.
        warped: keypoints detected on the warped picture.
        matrix: A.
        offset: t, in [-1, 1] units.
        first: index of the first keypoint to compare (those before it have targets of their own).

    Raises:
        ValueError: if there is no keypoint from `first` on.
    """
    if not 0 <= first < original.num_keypoints:
        raise ValueError(
            f"first must be the index of one of {original.num_keypoints} keypoints, got {first}"
        )
    positions = torch.einsum("bij,bkj->bki", matrix, warped.positions) + offset[:, None]
    jacobians = torch.einsum("bij,bkjl->bkil", matrix, warped.jacobians)
    position_error = (positions - original.positions)[:, first:].abs().mean()
    return position_error + 0.5 * (jacobians - original.jacobians)[:, first:].abs().mean()
