"""Linear blend skinning along a kinematic tree.

Li et al., "Learning a model of facial shape and expression from 4D scans" (FLAME), 2017, section
3: the function W of v = W(T_p, J, theta, weights).

Shapes: any batch (of vertices and joints, and of rotations, as far as they broadcast), J joints,
V vertices.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float

from fnevr.geometry.arrays import Array, namespace


def joint_transforms(
    rotations: Float[Array, "*#batch J 3 3"],
    joints: Float[Array, "*#batch J 3"],
    parents: Sequence[int],
) -> tuple[Float[Array, "*#batch J 3 3"], Float[Array, "*#batch J 3"]]:
    """Chain the joints' rotations: each turns about its own joint, and with its parent.

    Args:
        rotations: of each joint relative to its parent.
        joints: where they are at rest.
        parents: index of each joint's parent, which comes before it; -1 for the root.

    Returns:
        Rotation A and posed position g of each joint: a point x that follows joint j goes to
        ``A_j (x - joint_j) + g_j``.
    """
    xp = namespace(rotations)
    turned, placed = [rotations[..., 0, :, :]], [joints[..., 0, :]]
    for index, parent in enumerate(parents[1:], start=1):
        offset = joints[..., index, :] - joints[..., parent, :]
        turned.append(turned[parent] @ rotations[..., index, :, :])
        placed.append(placed[parent] + (turned[parent] @ offset[..., None])[..., 0])
    return xp.stack(turned, axis=-3), xp.stack(xp.broadcast_arrays(*placed), axis=-2)


def skin(
    vertices: Float[Array, "*#batch V 3"],
    joints: Float[Array, "*#batch J 3"],
    rotations: Float[Array, "*#batch J 3 3"],
    weights: Float[Array, "V J"],
    parents: Sequence[int],
) -> tuple[Float[Array, "*#batch V 3"], Float[Array, "*#batch J 3"]]:
    """Pose vertices: each is moved by the weighted mean of the joints' transforms.

    Args:
        vertices: at rest.
        joints: at rest.
        rotations: of each joint relative to its parent.
        weights: how much each vertex follows each joint; rows sum to 1.
        parents: index of each joint's parent; -1 for the root, which comes first.

    Returns:
        Posed vertices, posed joints.
    """
    xp = namespace(vertices)
    turned, placed = joint_transforms(rotations, joints, parents)
    offsets = placed - (turned @ joints[..., None])[..., 0]
    blended = xp.reshape(turned, (*turned.shape[:-2], 9)).mT @ weights.mT
    blended = xp.reshape(blended, (*blended.shape[:-2], 3, 3, -1))
    # All vertices at once, column by column: as many products of small matrices take longer.
    columns = (blended[..., axis, :] * vertices.mT[..., axis, None, :] for axis in range(3))
    return (sum(columns) + offsets.mT @ weights.mT).mT, placed
