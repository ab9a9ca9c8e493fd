"""Rotations: axis-angle vectors, matrices, and the angles of a head.

Coordinates are right-handed. Shapes: any batch.
"""

from __future__ import annotations

import math

from jaxtyping import Float

from fnevr.geometry.arrays import Array, identity, namespace

SMALL_ANGLE = 1e-2  # radians; below it three terms of the series are exact in double precision
DEGREES = 180 / math.pi  # of a radian


def rotation_matrices(axis_angle: Float[Array, "*batch 3"]) -> Float[Array, "*batch 3 3"]:
    """Return ``R = I + sin(t)/t K + (1 - cos t)/t^2 K^2`` (Rodrigues), smooth at t = 0.

    Args:
        axis_angle: the axis times the angle t in radians; K is its cross-product matrix.
    """
    cross = cross_matrices(axis_angle)
    sine, cosine, _ = _factors(axis_angle)
    return identity(3, cross) + sine * cross + cosine * (cross @ cross)


def rotation_derivatives(axis_angle: Float[Array, "*batch 3"]) -> Float[Array, "*batch 3 3 3"]:
    """Return the derivatives of R by each of the three entries of its vector: ``[L e_k]_x R``.

    ``L = I + (1 - cos t)/t^2 K + (t - sin t)/t^3 K^2`` is the left Jacobian of rotations.
    """
    cross = cross_matrices(axis_angle)
    _, cosine, rest = _factors(axis_angle)
    left = identity(3, cross) + cosine * cross + rest * (cross @ cross)
    turned = cross_matrices(left.mT)  # of each column
    return turned @ rotation_matrices(axis_angle)[..., None, :, :]


def cross_matrices(vectors: Float[Array, "*batch 3"]) -> Float[Array, "*batch 3 3"]:
    """Return the matrices [v]_x that take w to the cross product of v and w."""
    xp = namespace(vectors)
    x, y, z = (vectors[..., axis] for axis in range(3))
    zero = xp.zeros_like(x)
    rows = xp.stack((zero, -z, y, z, zero, -x, -y, x, zero), axis=-1)
    return xp.reshape(rows, (*vectors.shape, 3))


def _factors(axis_angle: Array) -> tuple[Array, Array, Array]:
    """Return sin(t)/t, (1 - cos t)/t^2 and (t - sin t)/t^3, by their series near 0."""
    xp = namespace(axis_angle)
    squared = xp.sum(axis_angle**2, axis=-1)[..., None, None]
    is_small = squared < SMALL_ANGLE**2
    safe = xp.where(is_small, xp.ones_like(squared), squared)
    angle = xp.sqrt(safe)
    sine, half_sine = xp.sin(angle) / angle, 2 * xp.sin(angle / 2) / angle
    return (
        xp.where(is_small, 1 - squared / 6 * (1 - squared / 20 * (1 - squared / 42)), sine),
        xp.where(
            is_small,
            0.5 - squared / 24 * (1 - squared / 30 * (1 - squared / 56)),
            0.5 * half_sine**2,
        ),
        xp.where(is_small, (1 - squared / 20 * (1 - squared / 42)) / 6, (1 - sine) / safe),
    )


def axis_angles(rotations: Float[Array, "*batch 3 3"]) -> Float[Array, "*batch 3"]:
    """Return the axis times the angle of rotations by less than a half turn; no gradient at 0."""
    xp = namespace(rotations)
    skew = rotations - rotations.mT
    axis = xp.stack((skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]), axis=-1) / 2
    sine = xp.linalg.vector_norm(axis, axis=-1, keepdims=True)
    cosine = (xp.linalg.trace(rotations)[..., None] - 1) / 2
    is_small, one = sine < 1e-6, xp.ones_like(sine)
    factor = xp.atan2(sine, cosine) / xp.where(is_small, one, sine)
    return axis * xp.where(is_small, one, factor)


def head_angles_deg(rotations: Float[Array, "*batch 3 3"]) -> Float[Array, "*batch 3"]:
    """Return yaw, pitch and roll of heads (y up, z out of the face, x to the viewer's right).

    Positive yaw turns the head to the viewer's right, positive pitch up, positive roll clockwise
    as seen: ``R = R_y(yaw) R_x(-pitch) R_z(-roll)``.
    """
    xp = namespace(rotations)
    yaw = xp.atan2(rotations[..., 0, 2], rotations[..., 2, 2])
    pitch = xp.asin(xp.clip(rotations[..., 1, 2], -1, 1))
    roll = xp.atan2(-rotations[..., 1, 0], rotations[..., 1, 1])
    return xp.stack((yaw, pitch, roll), axis=-1) * DEGREES


def head_rotations(angles_deg: Float[Array, "*batch 3"]) -> Float[Array, "*batch 3 3"]:
    """Return the rotations of heads with these yaw, pitch and roll: `head_angles_deg` backwards.

    The angles come back for a pitch within 90 degrees.
    """
    xp = namespace(angles_deg)
    yaw, pitch, roll = (angles_deg[..., axis] / DEGREES for axis in range(3))
    zero = xp.zeros_like(yaw)
    about_y = rotation_matrices(xp.stack((zero, yaw, zero), axis=-1))
    about_x = rotation_matrices(xp.stack((-pitch, zero, zero), axis=-1))
    about_z = rotation_matrices(xp.stack((zero, zero, -roll), axis=-1))
    return about_y @ about_x @ about_z
