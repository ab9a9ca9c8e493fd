"""Pictures as the arrays that networks take and give, and back.

Shapes: B pictures, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8

from fnevr.media.image import Picture


def to_images_01(
    pictures: Sequence[Picture] | UInt8[np.ndarray, "B H W 3"],
) -> Float[np.ndarray, "B 3 H W"]:
    """Stack pictures of one size into a batch of float32 images in [0, 1], channels first."""
    batch = np.stack(pictures) if isinstance(pictures, (list, tuple)) else np.asarray(pictures)
    return np.ascontiguousarray(batch.transpose(0, 3, 1, 2), dtype=np.float32) / np.float32(255)


def to_pictures(images_01: Float[np.ndarray, "B 3 H W"]) -> UInt8[np.ndarray, "B H W 3"]:
    """Return images as pictures, channels last; values outside of [0, 1] are clipped."""
    levels = images_01 * np.float32(255)
    np.rint(levels, out=levels)
    np.clip(levels, 0, 255, out=levels)
    pictures = np.empty((len(levels), *levels.shape[2:], 3), np.uint8)
    for channel in range(3):
        pictures[..., channel] = levels[:, channel]
    return pictures
