"""Keypoints kept apart from each other, and at a depth (Face vid2vid, DaGAN).

Wang et al., "One-Shot Free-View Neural Talking-Head Synthesis for Video Conferencing", CVPR 2021
(keypoint prior L_L); Hong et al., "Depth-Aware Generative Adversarial Network for Talking Head
Video Generation", CVPR 2022 (keypoints distance loss L_D).

Shapes: B batch, K keypoints.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

DISTANCE, DEPTH = 0.1, 0.33  # D_t, of squared distances, and z_t of Face vid2vid
BETA = 0.2  # of DaGAN


def keypoint_prior(positions: Float[Tensor, "B K 3"]) -> Float[Tensor, ""]:
    """Return ``mean_b sum_{i != j} max(0, 0.1 - |x_i - x_j|^2) + |mean_k z_k - 0.33|``.

    Face vid2vid sums over i = j too, which adds a constant.

    Args:
        positions: of the driving keypoints; z is along the volume, in [-1, 1].
    """
    squares = _differences(positions).square().sum(dim=-1)
    crowded = (DISTANCE - squares).clamp_min(0) * _others(positions)
    depths = (positions[..., 2].mean(dim=1) - DEPTH).abs()
    return (crowded.sum(dim=(1, 2)) + depths).mean()


def keypoint_distance(positions: Float[Tensor, "B K D"]) -> Float[Tensor, ""]:
    """Return ``2 mean_{b, i, j != i} max(0, 1 - |x_i - x_j| / beta)``, with beta = 0.2.

    DaGAN's ``1 - sign(|x_i - x_j| - beta)`` is 2 where this is above 0, and 0 where this is 0. It
    is constant but for its steps, so no gradient comes of it, and it moves no keypoint; this does.

    Args:
        positions: of the keypoints of any pictures.
    """
    squares = _differences(positions).square().sum(dim=-1)
    near = (1 - (squares + 1e-8).sqrt() / BETA).clamp_min(0) * _others(positions)
    return 2 * near.mean()


def _differences(positions: Float[Tensor, "B K D"]) -> Float[Tensor, "B K K D"]:
    return positions[:, :, None] - positions[:, None]


def _others(positions: Float[Tensor, "B K D"]) -> Float[Tensor, "K K"]:
    """Return 0 where a keypoint would be compared with itself, 1 elsewhere."""
    count = positions.shape[1]
    return 1 - torch.eye(count, device=positions.device, dtype=positions.dtype)
