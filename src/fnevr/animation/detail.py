"""A portrait at its own resolution, in two layers: the person, and what stands still behind.

Shapes: H and W of the picture; S the side of what is drawn, S2 with its surroundings, in pixels;
N places.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from fnevr.faces.crop import CropBox, crop
from fnevr.faces.parts import PersonParts
from fnevr.faces.paste import FEATHER
from fnevr.geometry.arrays import smooth_step
from fnevr.media.arrays import to_images_01
from fnevr.media.guided_filter import box_mean
from fnevr.media.image import Picture
from fnevr.media.plate import background_plate
from fnevr.models.encoded_source import Detail

Share = Callable[[CropBox, int], Float[np.ndarray, "S S"]]
"""Gives a share in [0, 1] of each pixel of a square that is brought to a side."""

MARGIN = 1 / 4  # of the side: how much of the surroundings the foreground shows on each side
LEAST_FACE = 0.9  # share of the person in the face's box, below which the parts are not believed
BORDER = 1 / 96  # of what is drawn: who is nearer to its border crosses it
TOP_FADE = 0.04  # of what is drawn: a head that crosses the top fades there, a body in more
GRAY = 1.5 / 255  # largest mean difference of the colours of a pixel in a gray picture
SPARSE = 4  # of as many pixels one is looked at
STRETCH = 0.3  # of what is drawn: how much of a head that crosses the border is stretched
NEAR = 1 / 6  # of what is drawn: as much beside that is stretched too
WIDENING = 1 / 24  # of what is drawn: how far around a person inside it the picture is hidden
FACE_SHARE = 0.3  # of the square's side: a box in its middle that lies on the face


def layered(
    picture: Picture,
    box: CropBox,
    side: int,
    parts: PersonParts,
    share: Share | None = None,
    canvas: float = 1.0,
) -> Detail:
    """Cut a square and its surroundings out of a picture, the person apart from the background.

    Where no person is found on the face (a statue, a drawing) there is one layer, all of which
    moves.

    Args:
        picture: the portrait.
        box: the square, which is framed around a face.
        side: of the square, in pixels.
        parts: finds the person.
        share: how much of each pixel of a square belongs to this person, where there are others;
            the others stand behind, in the background. None for all of it.
        canvas: side of what is drawn where a person is found, of the square's.
    """
    margin = round(MARGIN * side)
    reach = margin * box.size / side
    around = CropBox(box.left - reach, box.top - reach, box.size + 2 * reach)
    view = crop(picture, around, side + 2 * margin)
    # Beyond the picture's border alpha and plate are repeated, as a crop repeats the picture.
    inside, repeated = _inside(picture, around, len(view))
    alpha = parts.parts(view).person[inside][repeated]
    inset = margin + round((1 - FACE_SHARE) / 2 * side)
    if alpha[inset:-inset, inset:-inset].mean() < LEAST_FACE:
        alpha, plate, canvas = np.ones_like(alpha), view, 1.0
    else:
        if share is not None:
            alpha = alpha * share(around, len(view))[inside][repeated]
        plate = background_plate(view[inside], alpha[inside])[repeated]
    view_01, plate_01 = to_images_01([view]), to_images_01([plate])
    colours = view_01 - (1 - alpha) * plate_01
    foreground = np.concatenate([colours, alpha[None, None]], axis=1, dtype=np.float32)
    beyond = margin - round((canvas - 1) / 2 * side)
    middle = slice(beyond, len(view) - beyond)
    plate_01 = np.ascontiguousarray(plate_01[:, :, middle, middle])
    return Detail(foreground, plate_01, canvas=canvas)


def in_foreground(detail: Detail, landmarks: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N 2"]:
    """Return where places of the networks' picture, in [-1, 1], are in the foreground, in pixels.

    The middle of its first pixel is at 0.
    """
    side = detail.foreground.shape[-1]
    zoom = detail.plate_01.shape[-1] / (detail.canvas * side)
    return (np.asarray(landmarks)[:, :2] * zoom + 1) * (side / 2) - 0.5


def in_its_colours(detail: Detail) -> Detail:
    """Return a detail that says whether the portrait is gray."""
    sparse = (slice(None), slice(3), slice(None, None, SPARSE), slice(None, None, SPARSE))
    spread = np.ptp(detail.foreground[sparse], axis=1), np.ptp(detail.plate_01[sparse], axis=1)
    return replace(detail, is_gray=max(float(part.mean()) for part in spread) < GRAY)


def inside_border(detail: Detail) -> Float[np.ndarray, "S S"]:
    """Say where the person of the picture must not show through when what is drawn is put back.

    That is on the person and near it, for there it may have moved away. But where the person
    crosses the border of the square, what is drawn has to fade into the picture.

    Returns:
        1 where the picture is hidden, 0 where it need not be.
    """
    person = _person(detail)
    side = len(person)
    crosses = np.zeros((side, side), np.float32)
    for turns, fade in enumerate((TOP_FADE, FEATHER, FEATHER, FEATHER)):
        reach = math.ceil(fade * side)
        line = _crossing(np.rot90(person, turns))
        near = box_mean(line[None].astype(np.float32), reach) > 0
        strip = box_mean(near.astype(np.float32), reach // 2)
        strip = strip * np.linspace(2, 0, reach, dtype=np.float32)[:, None].clip(max=1)
        turned = np.rot90(crosses, turns)[:reach]  # a view of the side that is at the top now
        np.maximum(turned, strip, out=turned)
    wide = (4 * box_mean(person.astype(np.float32), math.ceil(WIDENING * side))).clip(0, 1)
    return (wide * (1 - crosses)).astype(np.float32)


def kept_at_border(detail: Detail, cells: int) -> Float[np.ndarray, "h w"]:
    """Say how far the person may move: not where it crosses the border of the square.

    What is drawn ends there, and the picture goes on.

    Args:
        detail: in layers.
        cells: h and w.

    Returns:
        1 where it is free, falling to 0 at the border.
    """
    person = _person(detail)
    distance = (np.arange(cells, dtype=np.float32) + 0.5) / (STRETCH * cells)
    rising = smooth_step(distance)
    kept = np.ones((cells, cells), np.float32)
    for turns in range(4):
        line = _crossing(np.rot90(person, turns)).astype(np.float32)
        columns = np.linspace(0, len(line) - 1, cells).round().astype(int)
        near = box_mean(line[None], math.ceil(NEAR * len(line)))[:, columns] > 0
        soft = box_mean(near.astype(np.float32), math.ceil(NEAR * cells))[0]
        turned = np.rot90(kept, turns)  # a view
        turned *= 1 - soft * (1 - rising[:, None])
    return kept


def _person(detail: Detail) -> Bool[np.ndarray, "S S"]:
    """Return where the square shows the person."""
    side = detail.plate_01.shape[-1]
    margin = (detail.foreground.shape[-1] - side) // 2
    middle = slice(margin, margin + side)
    return np.greater(detail.foreground[0, 3, middle, middle], 0)


def _crossing(person: Bool[np.ndarray, "S S"]) -> Bool[np.ndarray, " S"]:
    """Return in which columns the person crosses the top of the square."""
    return np.logical_or.reduce(person[: math.ceil(BORDER * len(person))])


def _inside(
    picture: Picture, box: CropBox, side: int
) -> tuple[tuple[slice, slice], tuple[np.ndarray, np.ndarray]]:
    """Say which part of a crop shows the picture, and from where in that part all of it comes.

    Args:
        picture: what is cropped.
        box: the crop.
        side: of the crop, in pixels.

    Returns:
        Slices of the crop, and indices of the part that make the whole by repeating its border.
    """
    scale = side / box.size
    parts, indices = [], []
    for start, length in zip((box.top, box.left), picture.shape[:2], strict=True):
        first = min(max(math.ceil(-start * scale), 0), side - 1)
        last = min(max(math.floor((length - start) * scale) - 1, first), side - 1)
        parts.append(slice(first, last + 1))
        indices.append(np.arange(side).clip(first, last) - first)
    return (parts[0], parts[1]), (indices[0][:, None], indices[1])
