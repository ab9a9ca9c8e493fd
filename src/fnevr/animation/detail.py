"""A portrait at its own resolution, in two layers: the person, and what stands still behind.

Shapes: H and W of the picture; S the side of what is drawn, S2 with its surroundings, in pixels.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from fnevr.faces.crop import CropBox, crop
from fnevr.faces.parts import PersonParts
from fnevr.media.arrays import to_images_01
from fnevr.media.image import Picture
from fnevr.media.plate import background_plate
from fnevr.models.encoded_source import Detail

MARGIN = 1 / 4  # of the side: how much of the surroundings the foreground shows on each side
LEAST_FACE = 0.9  # share of the person in the face's box, below which the parts are not believed
FACE_SHARE = 0.3  # of the square's side: a box in its middle that lies on the face


def layered(picture: Picture, box: CropBox, side: int, parts: PersonParts) -> Detail:
    """Cut a square and its surroundings out of a picture, the person apart from the background.

    Where no person is found on the face (a statue, a drawing) there is one layer, all of which
    moves.

    Args:
        picture: the portrait.
        box: the square, which is framed around a face.
        side: S, of what is drawn.
        parts: finds the person.
    """
    margin = round(MARGIN * side)
    reach = margin * box.size / side
    around = CropBox(box.left - reach, box.top - reach, box.size + 2 * reach)
    view = crop(picture, around, side + 2 * margin)
    alpha = _inside(picture, around, parts.parts(view).person)
    middle = slice(margin, margin + side)
    inset = margin + round((1 - FACE_SHARE) / 2 * side)
    if alpha[inset:-inset, inset:-inset].mean() < LEAST_FACE:
        alpha, plate = np.ones_like(alpha), view
    else:
        plate = background_plate(view, alpha)
    view_01, plate_01 = to_images_01([view]), to_images_01([plate])
    colours = view_01 - (1 - alpha) * plate_01
    foreground = np.concatenate([colours, alpha[None, None]], axis=1, dtype=np.float32)
    return Detail(foreground, np.ascontiguousarray(plate_01[:, :, middle, middle]))


def _inside(
    picture: Picture, box: CropBox, alpha: Float[np.ndarray, "S2 S2"]
) -> Float[np.ndarray, "S2 S2"]:
    """Repeat alpha beyond the picture's border, as a crop repeats the picture there."""
    scale = len(alpha) / box.size
    rows, columns = (
        np.arange(len(alpha)).clip(
            math.ceil(-start * scale), max(math.floor((length - start) * scale) - 1, 0)
        )
        for start, length in zip((box.top, box.left), picture.shape[:2], strict=True)
    )
    return alpha[rows[:, None], columns]
