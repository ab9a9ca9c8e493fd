"""Sigma matching: the renderer's density features should lie where the head's mesh is.

Zeng et al., "FNeVR: Neural Volume Rendering for Face Animation", NeurIPS 2022 (face volume
rendering: L_sigma). The paper gives neither alpha1 nor alpha2, and does not say how features of
several channels meet a mesh feature of one.

Shapes: B batch, C channels, D planes (front to back), H and W rays.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def sigma_matching(
    density_features: Float[Tensor, "B C D H W"],
    mesh_feature: Float[Tensor, "B D H W"],
    *,
    alpha1: float = 1.0,
    alpha2: float = math.exp(-1),
) -> Float[Tensor, ""]:
    """Return ``mean exp(-alpha1 <F_sigma, F_m>) - alpha2``, <.,.> the cosine over the volume.

    The mean over the channels stands for F_sigma: it has to follow the mesh, and what differs
    between the channels stays free. With the defaults a perfect match costs 0, unrelated volumes
    0.632 and opposite ones 2.350. A mesh feature of zeros (no face) gives no gradient.

    Args:
        density_features: the volume that the renderer computes density from (`Generated`).
        mesh_feature: F_m on the same grid, >= 0, as `face3d.mesh_feature` makes it of vertices and
            `density_features.shape[-3:]`; outside the autograd graph.
        alpha1: how steeply the loss falls with the match.
        alpha2: what is subtracted.

    Raises:
        ValueError: if the two volumes differ in size.
    """
    shape = (density_features.shape[0], *density_features.shape[2:])
    if mesh_feature.shape != shape:
        raise ValueError(
            "the mesh feature must be on the grid of the density features, without channels: "
            f"got {tuple(mesh_feature.shape)}, wanted {tuple(shape)}"
        )
    density = density_features.mean(dim=1).flatten(start_dim=1)
    cosine = F.cosine_similarity(density, mesh_feature.flatten(start_dim=1), dim=1, eps=1e-8)
    return (torch.exp(-alpha1 * cosine) - alpha2).mean()
