"""Whose part of a picture: between people who are close, each face moves what is nearer to it.

How far a face is from a point: to the circle around the face. Between two faces the share of each
goes from 1 to 0 in a band whose width is a share of the smaller face's; the shares of all faces sum
to 1 everywhere.

Shapes: H and W of the picture, S the side of a square of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from PIL import Image

from fnevr.faces.crop import CropBox
from fnevr.faces.find import face_size
from fnevr.faces.landmarks import Landmarks, landmarks_box
from fnevr.geometry.arrays import smooth_step

BAND = 0.3  # of the smaller face's size
CELL = 4  # pixels; shares change slowly


def territory(
    faces: Sequence[Landmarks], index: int, box: CropBox, side: int
) -> Float[np.ndarray, "S S"]:
    """Return how much of each pixel of a square belongs to one of the faces, in [0, 1].

    Args:
        faces: all faces, in pixels of the picture.
        index: of the face among them.
        box: the square, in pixels of the picture.
        side: S, of the result.
    """
    cells = max(1, side // CELL)
    steps = (np.arange(cells) + 0.5) * (box.size / cells)
    x, y = box.left + steps[None], box.top + steps[:, None]
    sizes = [face_size(face) for face in faces]
    distances = []
    for face, size in zip(faces, sizes, strict=True):
        left, top, right, bottom = landmarks_box(face)
        away = np.hypot(x - (left + right) / 2, y - (top + bottom) / 2)
        distances.append(away - size / 2)
    nearest = [
        np.prod(
            [
                smooth_step(0.5 + (other - own) / (BAND * min(size, other_size)))
                for k, (other, other_size) in enumerate(zip(distances, sizes, strict=True))
                if k != number
            ],
            axis=0,
        )
        * np.ones((cells, cells))
        for number, (own, size) in enumerate(zip(distances, sizes, strict=True))
    ]
    share = nearest[index] / np.sum(nearest, axis=0)
    image = Image.fromarray(share.astype(np.float32))
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))
