"""Linear blend skinning along a kinematic tree.

Li et al., "Learning a model of facial shape and expression from 4D scans" (FLAME), 2017, section
3: the function W of v = W(T_p, J, theta, weights).

Shapes: B batch, J joints, V vertices.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def joint_transforms(
    rotations: Float[Tensor, "B J 3 3"], joints: Float[Tensor, "B J 3"], parents: Sequence[int]
) -> tuple[Float[Tensor, "B J 3 3"], Float[Tensor, "B J 3"]]:
    """Chain the joints' rotations: each turns about its own joint, and with its parent.

    Args:
        rotations: of each joint relative to its parent.
        joints: where they are at rest.
        parents: index of each joint's parent, which comes before it; -1 for the root.

    Returns:
        Rotation A and posed position g of each joint: a point x that follows joint j goes to
        ``A_j (x - joint_j) + g_j``.
    """
    turned = [rotations[:, 0]]
    placed = [joints[:, 0]]
    for index, parent in enumerate(parents[1:], start=1):
        offset = joints[:, index] - joints[:, parent]
        turned.append(turned[parent] @ rotations[:, index])
        placed.append(placed[parent] + (turned[parent] @ offset.unsqueeze(-1)).squeeze(-1))
    return torch.stack(turned, dim=1), torch.stack(placed, dim=1)


def skin(
    vertices: Float[Tensor, "B V 3"],
    joints: Float[Tensor, "B J 3"],
    rotations: Float[Tensor, "B J 3 3"],
    weights: Float[Tensor, "V J"],
    parents: Sequence[int],
) -> tuple[Float[Tensor, "B V 3"], Float[Tensor, "B J 3"]]:
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
    turned, placed = joint_transforms(rotations, joints, parents)
    offsets = placed - (turned @ joints.unsqueeze(-1)).squeeze(-1)
    blended = torch.einsum("vj,bjrc->bvrc", weights, turned)
    moved = torch.einsum("bvrc,bvc->bvr", blended, vertices)
    return moved + torch.einsum("vj,bjr->bvr", weights, offsets), placed
