"""Sigma matching in training: the head of the landmarks against the renderer's density features.

Shapes: B pictures, N landmarks, C channels, D planes, H and W rays.
"""

from __future__ import annotations

import functools

import torch
from jaxtyping import Float
from torch import Tensor

from fnevr.face3d.camera import signed_points
from fnevr.face3d.fitting import fit_landmarks
from fnevr.face3d.head_model import HeadModel
from fnevr.face3d.mesh_feature import mesh_feature
from fnevr.losses import sigma_matching
from fnevr.models.lite import Window

FIT_STEPS = 2  # vertices are then 0.03 pixels of 256 from where ten steps bring them
SIDE_PX = 256  # any size would do: the fit does not depend on it


def density_distance(
    density_features: Float[Tensor, "B C D H W"],
    landmarks: Float[Tensor, "B N 2"],
    window: Window,
    cells: int,
) -> Float[Tensor, ""]:
    """Fit the head to the driving landmarks and return the sigma matching of its mesh feature.

    Args:
        density_features: of the window.
        landmarks: of the driving pictures, in [-1, 1].
        window: which part of the picture was rendered.
        cells: side of the whole picture, in cells.
    """
    head = _head(density_features.device)
    with torch.no_grad():
        points_px = (landmarks + 1) * (SIDE_PX / 2)
        vertices_px = fit_landmarks(head, points_px, FIT_STEPS).vertices_px
        vertices = signed_points(vertices_px, SIDE_PX, SIDE_PX)
        whole = mesh_feature(vertices, (density_features.shape[2], cells, cells))
    return sigma_matching(density_features, window.of_cells(whole))


@functools.cache
def _head(device: torch.device) -> HeadModel:
    """Load the open head model once."""
    return HeadModel.packaged().like(torch.zeros(1, device=device))
