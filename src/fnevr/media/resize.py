"""Pictures of another size.

Shapes: H and W before, h and w after, in pixels.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from fnevr.media.image import Picture


def resize(rgb: Picture, width: int, height: int) -> UInt8[np.ndarray, "h w 3"]:
    """Resize a picture, bicubic and without aliasing; unchanged if it has the size."""
    if rgb.shape[:2] == (height, width):
        return rgb
    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.BICUBIC))
