"""Equivariance of keypoints under a known warp (FOMM, section 3.3).

A detector that finds the same parts in a picture and in its warp needs no labels. The warped
picture W shows at z what the original shows at T(z), hence ``p = T(p_W)`` and
``J = T'(p_W) J_W``.

Shapes: B batch, K keypoints.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from fnevr.geometry.inverse import invert_2x2
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.thin_plate import ThinPlateWarp


def position_equivariance(
    original: Keypoints, warped: Keypoints, warp: ThinPlateWarp, *, first: int = 0
) -> Float[Tensor, ""]:
    """Return ``mean |T(p_W) - p|`` (FOMM, section 3.3).

    Args:
        original: keypoints detected on the picture.
        warped: keypoints detected on the warped picture.
        warp: T.
        first: index of the first keypoint to compare (those before it have targets of their own).

    Raises:
        ValueError: if there is no keypoint from `first` on.
    """
    _check_first(original, first)
    return (warp.points(warped.positions[:, first:]) - original.positions[:, first:]).abs().mean()


def jacobian_equivariance(
    original: Keypoints, warped: Keypoints, warp: ThinPlateWarp, *, first: int = 0
) -> Float[Tensor, ""]:
    """Return ``mean |1 - J^-1 T'(p_W) J_W|`` (FOMM, section 3.3).

    The product, rather than the difference of ``J`` and ``T'(p_W) J_W``, keeps the Jacobians from
    shrinking to zero together.

    Args:
        original: keypoints detected on the picture; a singular Jacobian gives infinities.
        warped: keypoints detected on the warped picture.
        warp: T.
        first: as for the positions.

    Raises:
        ValueError: if there is no keypoint from `first` on.
    """
    _check_first(original, first)
    chain = warp.jacobians(warped.positions[:, first:]) @ warped.jacobians[:, first:]
    product = invert_2x2(original.jacobians[:, first:]) @ chain
    return (torch.eye(2).to(product) - product).abs().mean()


def affine_equivariance(
    original: Keypoints,
    warped: Keypoints,
    matrix: Float[Tensor, "B 2 2"],
    offset: Float[Tensor, "B 2"],
    *,
    first: int = 0,
) -> Float[Tensor, ""]:
    """Return ``mean |A p_W + t - p|`` for ``T(z) = A z + t``: positions alone.

    The Jacobians learn from what the warped pictures cost. Comparing them here by their difference
    ``A J_W - J`` was tried: Jacobians that shrink together cost less, so 12 of `lite`'s 20 free
    keypoints (those without landmark targets) collapsed to determinants below 0.01, and their
    motions were of no use.

    Args:
        original: keypoints detected on the picture.
        warped: keypoints detected on the warped picture.
        matrix: A.
        offset: t, in [-1, 1] units.
        first: index of the first keypoint to compare (those before it have targets of their own).

    Raises:
        ValueError: if there is no keypoint from `first` on.
    """
    _check_first(original, first)
    positions = torch.einsum("bij,bkj->bki", matrix, warped.positions) + offset[:, None]
    return (positions - original.positions)[:, first:].abs().mean()


def _check_first(original: Keypoints, first: int) -> None:
    if not 0 <= first < original.num_keypoints:
        raise ValueError(
            f"first must be the index of one of {original.num_keypoints} keypoints, got {first}"
        )
