"""Weak-perspective camera: the head model's frame to pixels of a picture.

Arrays are of NumPy or of PyTorch. Shapes: B batch, V points.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float

from fnevr.geometry.arrays import Array, as_like, namespace


@dataclass(frozen=True)
class WeakPerspective:
    """x = s X + t_x, y = t_y - s Y; depth is -s Z about the points' mean.

    Attributes:
        scale: s, pixels per metre.
        shift: t, where the origin of the head's frame is, in pixels.
    """

    scale: Float[Array, " B"]
    shift: Float[Array, "B 2"]

    def project(self, points: Float[Array, "B V 3"]) -> Float[Array, "B V 3"]:
        """Return (x, y, depth) in pixels; depth grows away from the camera, 0 at the mean."""
        xp = namespace(points)
        scaled = self.scale[:, None, None] * (points * as_like([1.0, -1.0, -1.0], points))
        depth = scaled[..., 2:] - xp.mean(scaled[..., 2:], axis=1, keepdims=True)
        return xp.concat((scaled[..., :2] + self.shift[:, None], depth), axis=-1)


def signed_points(
    points_px: Float[Array, "B V 3"], width: int, height: int
) -> Float[Array, "B V 3"]:
    """Take points from pixels to the image's [-1, 1], edge to edge, as `mesh_feature` wants them.

    Depth is in units of half the picture's mean side, so in square pictures x, y and depth have the
    same unit.
    """
    size = as_like([width, height, (width + height) / 2], points_px)
    return 2 * points_px / size - as_like([1.0, 1.0, 0.0], points_px)
