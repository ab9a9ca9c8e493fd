"""Augmentation of a pair: mirrored, moved and recoloured, both pictures and their landmarks alike.

One pair at a time stays in the processor's caches; the result is uint8, a quarter of the memory to
hand to another process.

Shapes: 2 pictures of a pair, H and W pixels, R frames whose N landmarks are known, the first two of
them those of the pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

from fnevr.geometry.flow import affine_view
from fnevr.geometry.inverse import invert_2x2
from fnevr.geometry.patches import FacePatches

FLIP_SHARE, MOVE_SHARE = 0.5, 0.6
ANGLE, LOG_SCALE, SHIFT = 0.15, 0.13, 0.08  # deviations: 9 degrees, 13 %, 4 % of the side
LOG_STRETCH = 0.1  # deviation; along any axis and, inverted, across it: faces of other shapes
LOG_GAIN, LOG_CHANNEL_GAIN, BRIGHTNESS = 0.13, 0.09, 0.05  # deviations
CONTRAST, SATURATION = 0.1, 0.25  # ranges
HUE = 0.02  # range, in turns; the released configuration's 0.1 makes some faces green or violet
# Some pairs take any hue: what moves must not be told by the colours of the few who were filmed.
ANY_HUE_SHARE, ANY_HUE = 0.25, 0.5

# YIQ: luma, and two axes of colour in whose plane a rotation changes the hue.
YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
RGB = np.linalg.inv(YIQ)


@dataclass(frozen=True)
class Augmentation:
    """What happens to one pair.

    Attributes:
        is_flipped: whether it is mirrored.
        matrix: A of `affine_view`, None where the pair is not moved.
        shift: t of `affine_view`.
        colour: linear map of RGB.
        contrast: factor of the distance from the source's mean.
        brightness: what is added to each channel, where 1 is white.
    """

    is_flipped: bool
    matrix: Float[np.ndarray, "2 2"] | None
    shift: Float[np.ndarray, " 2"]
    colour: Float[np.ndarray, "3 3"]
    contrast: float
    brightness: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Augmentation:
        """Draw everything for one pair."""
        max_hue = ANY_HUE if rng.random() < ANY_HUE_SHARE else HUE
        is_flipped, is_moved = rng.random(2) < (FLIP_SHARE, MOVE_SHARE)
        angle, log_scale = rng.normal(0, (ANGLE, LOG_SCALE))
        cosine, sine = np.cos(angle) * np.exp(log_scale), np.sin(angle) * np.exp(log_scale)
        matrix = np.array([[cosine, -sine], [sine, cosine]])
        matrix = matrix @ stretch_matrix(*rng.normal(0, LOG_STRETCH, 2))
        shift = rng.normal(0, SHIFT, 2)
        gain = np.exp(rng.normal(0, LOG_GAIN) + rng.normal(0, LOG_CHANNEL_GAIN, 3))
        saturation = 1 + rng.uniform(-SATURATION, SATURATION)
        hue = hue_matrix(rng.uniform(-max_hue, max_hue), saturation)
        return cls(
            bool(is_flipped),
            matrix if is_moved else None,
            shift,
            gain[:, None] * hue,
            float(1 + rng.uniform(-CONTRAST, CONTRAST)),
            float(rng.normal(0, BRIGHTNESS)),
        )


def stretch_matrix(upright: float, diagonal: float) -> Float[np.ndarray, "2 2"]:
    """Return the symmetric matrix of determinant 1 that stretches along one axis.

    It is the exponential of ``[[upright, diagonal], [diagonal, -upright]]``: by
    ``exp(sqrt(upright^2 + diagonal^2))`` along its axis, and by the inverse across it.
    """
    size = float(np.hypot(upright, diagonal))
    ratio = np.sinh(size) / size if size else 1.0
    return np.cosh(size) * np.eye(2) + ratio * np.array([[upright, diagonal], [diagonal, -upright]])


def hue_matrix(turns: float, saturation: float) -> Float[np.ndarray, "3 3"]:
    """Return the map of RGB that turns and scales colour about the gray axis; gray stays."""
    cosine, sine = np.cos(2 * np.pi * turns) * saturation, np.sin(2 * np.pi * turns) * saturation
    turn = np.array([[1.0, 0.0, 0.0], [0.0, cosine, -sine], [0.0, sine, cosine]])
    return RGB @ turn @ YIQ


def augment(
    images_255: Float[Tensor, "2 3 H W"],
    points: Float[Tensor, "R N 2"],
    augmentation: Augmentation,
    patches: FacePatches,
) -> tuple[UInt8[Tensor, "2 3 H W"], Float[Tensor, "R N 2"]]:
    """Apply everything, in the order move, recolour, mirror; the inputs are left as they are.

    Args:
        images_255: source and driving picture, in 0 to 255.
        points: their landmarks, in [-1, 1], and those of frames beside them.
        augmentation: what to do.
        patches: know the landmarks' mirror images.
    """
    if augmentation.matrix is not None:
        matrix, shift = augmentation.matrix, augmentation.shift
        images_255, points = move(images_255, points, matrix, shift)
    images = recolour(images_255, augmentation)
    return flip(images, points, patches) if augmentation.is_flipped else (images, points)


def flip(
    images: Shaped[Tensor, "2 3 H W"], points: Float[Tensor, "R N 2"], patches: FacePatches
) -> tuple[Shaped[Tensor, "2 3 H W"], Float[Tensor, "R N 2"]]:
    """Mirror a pair."""
    return images.flip(3), patches.mirrored(points)


def move(
    images_255: Float[Tensor, "2 3 H W"],
    points: Float[Tensor, "R N 2"],
    matrix: Float[np.ndarray, "2 2"],
    shift: Float[np.ndarray, " 2"],
) -> tuple[Float[Tensor, "2 3 H W"], Float[Tensor, "R N 2"]]:
    """Rotate, scale, stretch and shift a pair: pixel z shows what was at A z + t."""
    a = torch.from_numpy(matrix).float().expand(2, 2, 2)
    t = torch.from_numpy(shift).float().expand(2, 2)
    points = torch.einsum("ij,bnj->bni", invert_2x2(a)[0], points - t[0])
    return affine_view(images_255, a, t), points


def recolour(
    images_255: Float[Tensor, "2 3 H W"], augmentation: Augmentation
) -> UInt8[Tensor, "2 3 H W"]:
    """Change colour linearly, then the contrast about the source's mean, then the brightness."""
    colour = torch.from_numpy(augmentation.colour).float()
    mean = colour @ images_255[0, :, ::8, ::8].mean(dim=(1, 2))
    offset = mean.mean() * (1 - augmentation.contrast) + 255 * augmentation.brightness
    # The half rounds: what is stored is cut off behind the point.
    flat = torch.baddbmm(
        (offset + 0.5).expand(2, 3, 1),
        (augmentation.contrast * colour).expand(2, 3, 3),
        images_255.flatten(2),
    )
    return flat.clamp_(0, 255).to(torch.uint8).view_as(images_255)
