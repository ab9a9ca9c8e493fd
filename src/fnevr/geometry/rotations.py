"""Rotations: axis-angle vectors, matrices, and the angles of a head.

Coordinates are right-handed. Shapes: any batch.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

SMALL_ANGLE = 1e-2  # radians; below it three terms of the series are exact in double precision


def rotation_matrices(axis_angle: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Return ``R = I + sin(t)/t K + (1 - cos t)/t^2 K^2`` (Rodrigues), smooth at t = 0.

    Args:
        axis_angle: the axis times the angle t in radians; K is its cross-product matrix.
    """
    cross = cross_matrices(axis_angle)
    sine, cosine, _ = _factors(axis_angle)
    return _identity(cross) + sine * cross + cosine * (cross @ cross)


def rotation_derivatives(axis_angle: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3 3"]:
    """Return dR by each of the three entries: ``[L e_k]_x R``.

    ``L = I + (1 - cos t)/t^2 K + (t - sin t)/t^3 K^2`` is the left Jacobian of rotations.
    """
    cross = cross_matrices(axis_angle)
    _, cosine, rest = _factors(axis_angle)
    left = _identity(cross) + cosine * cross + rest * (cross @ cross)
    turned = cross_matrices(left.transpose(-1, -2))  # of each column
    return turned @ rotation_matrices(axis_angle).unsqueeze(-3)


def cross_matrices(vectors: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Return the matrices [v]_x that take w to the cross product of v and w."""
    x, y, z = vectors.unbind(dim=-1)
    zero = torch.zeros_like(x)
    rows = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), dim=-1)
    return rows.unflatten(-1, (3, 3))


def _factors(axis_angle: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return sin(t)/t, (1 - cos t)/t^2 and (t - sin t)/t^3, by their series near 0."""
    squared = axis_angle.square().sum(dim=-1, keepdim=True).unsqueeze(-1)
    is_small = squared < SMALL_ANGLE**2
    safe = torch.where(is_small, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    sine = torch.sinc(angle / math.pi)
    return (
        torch.where(is_small, 1 - squared / 6 * (1 - squared / 20 * (1 - squared / 42)), sine),
        torch.where(
            is_small,
            0.5 - squared / 24 * (1 - squared / 30 * (1 - squared / 56)),
            0.5 * torch.sinc(angle / (2 * math.pi)).square(),
        ),
        torch.where(is_small, (1 - squared / 20 * (1 - squared / 42)) / 6, (1 - sine) / safe),
    )


def _identity(like: Tensor) -> Tensor:
    return torch.eye(3, dtype=like.dtype, device=like.device)


def axis_angles(rotations: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """Return the axis times the angle of rotations by less than a half turn; no gradient at 0."""
    skew = rotations - rotations.transpose(-1, -2)
    axis = torch.stack((skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]), dim=-1) / 2
    sine = axis.norm(dim=-1, keepdim=True)
    cosine = (rotations.diagonal(dim1=-2, dim2=-1).sum(dim=-1, keepdim=True) - 1) / 2
    is_small = sine < 1e-6
    factor = torch.atan2(sine, cosine) / torch.where(is_small, torch.ones_like(sine), sine)
    return axis * torch.where(is_small, torch.ones_like(sine), factor)


def head_angles_deg(rotations: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """Return yaw, pitch and roll of heads (y up, z out of the face, x to the viewer's right).

    Positive yaw turns the head to the viewer's right, positive pitch up, positive roll clockwise
    as seen: ``R = R_y(yaw) R_x(-pitch) R_z(-roll)``.
    """
    yaw = torch.atan2(rotations[..., 0, 2], rotations[..., 2, 2])
    pitch = torch.asin(rotations[..., 1, 2].clamp(-1, 1))
    roll = torch.atan2(-rotations[..., 1, 0], rotations[..., 1, 1])
    return torch.rad2deg(torch.stack((yaw, pitch, roll), dim=-1))


def head_rotations(angles_deg: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Return the rotations of heads with these yaw, pitch and roll: `head_angles_deg` backwards.

    The angles come back for a pitch within 90 degrees.
    """
    yaw, pitch, roll = torch.deg2rad(angles_deg).unbind(dim=-1)
    zero = torch.zeros_like(yaw)
    about_y = rotation_matrices(torch.stack((zero, yaw, zero), dim=-1))
    about_x = rotation_matrices(torch.stack((-pitch, zero, zero), dim=-1))
    about_z = rotation_matrices(torch.stack((zero, zero, -roll), dim=-1))
    return about_y @ about_x @ about_z
