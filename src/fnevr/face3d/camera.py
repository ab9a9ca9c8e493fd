"""Weak-perspective camera: the head model's frame to pixels of a picture.

Shapes: B batch, V points.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class WeakPerspective:
    """x = s X + t_x, y = t_y - s Y; depth is -s Z about the points' mean.

    Attributes:
        scale: s, pixels per metre.
        shift: t, where the origin of the head's frame is, in pixels.
    """

    scale: Float[Tensor, " B"]
    shift: Float[Tensor, "B 2"]

    def project(self, points: Float[Tensor, "B V 3"]) -> Float[Tensor, "B V 3"]:
        """Return (x, y, depth) in pixels; depth grows away from the camera, 0 at the mean."""
        flipped = points * points.new_tensor([1.0, -1.0, -1.0])
        scaled = self.scale[:, None, None] * flipped
        depth = scaled[..., 2:] - scaled[..., 2:].mean(dim=1, keepdim=True)
        return torch.cat((scaled[..., :2] + self.shift.unsqueeze(1), depth), dim=-1)


def signed_points(
    points_px: Float[Tensor, "B V 3"], width: int, height: int
) -> Float[Tensor, "B V 3"]:
    """Take points from pixels to the image's [-1, 1], edge to edge, as `mesh_feature` wants them.

    Depth is in units of half the picture's mean side, so for square pictures all three agree.
    """
    size = points_px.new_tensor([width, height, (width + height) / 2])
    return 2 * points_px / size - points_px.new_tensor([1.0, 1.0, 0.0])
