"""Inverses of small matrices, written out: engines have no such operation, and this is quicker.

A singular matrix gives infinities or not-a-number, not an error. Shapes: any batch.
"""

from __future__ import annotations

from jaxtyping import Float

from fnevr.geometry.arrays import Array, namespace


def invert(matrices: Float[Array, "*batch N N"]) -> Float[Array, "*batch N N"]:
    """Invert matrices of 2 or 3 rows, such as the Jacobians of keypoints."""
    return invert_2x2(matrices) if matrices.shape[-1] == 2 else invert_3x3(matrices)


def invert_2x2(matrices: Float[Array, "*batch 2 2"]) -> Float[Array, "*batch 2 2"]:
    """Invert 2x2 matrices by Cramer's rule."""
    xp = namespace(matrices)
    a, b = matrices[..., 0, 0], matrices[..., 0, 1]
    c, d = matrices[..., 1, 0], matrices[..., 1, 1]
    adjugate = xp.reshape(xp.stack((d, -b, -c, a), axis=-1), matrices.shape)
    return adjugate / (a * d - b * c)[..., None, None]


def invert_3x3(matrices: Float[Array, "*batch 3 3"]) -> Float[Array, "*batch 3 3"]:
    """Invert 3x3 matrices: the columns of the inverse are cross products of the rows."""
    xp = namespace(matrices)
    a, b, c = (matrices[..., row, :] for row in range(3))
    pairs = ((b, c), (c, a), (a, b))
    columns = xp.stack([xp.linalg.cross(left, right, axis=-1) for left, right in pairs], axis=-1)
    return columns / xp.sum(a * columns[..., 0], axis=-1)[..., None, None]
