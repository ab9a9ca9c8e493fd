"""A source picture made ready for a model: prepared once, drawn many times.

Shapes: H and W of pictures, S the side of the model's image, B frames at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from fnevr.animation.detail import inside_border, layered
from fnevr.faces.crop import crop, crop_box
from fnevr.faces.detector import FaceDetector
from fnevr.faces.find import find_face
from fnevr.faces.landmarks import FaceMesh, Landmarks
from fnevr.faces.parts import PersonParts
from fnevr.faces.paste import PasteBack
from fnevr.geometry.keypoints import Keypoints
from fnevr.media.arrays import to_images_01, to_pictures
from fnevr.media.image import Picture
from fnevr.media.pixels import PLAYED_PIXELS
from fnevr.media.resize import at_most, resize
from fnevr.models.encoded_source import Detail, EncodedSource
from fnevr.runtime.engine import Engine

MAX_DETAIL = 1024


@dataclass(frozen=True)
class Framing:
    """How a source picture becomes the model's square image, and back.

    Attributes:
        crop: look for the face; False takes the whole picture, stretched to a square.
        paste_back: frames of the picture's size; False gives the square alone.
        face: which face, the largest being 0; None means the largest.
        detail: the square keeps the picture's own resolution up to this side, in pixels, in models
            that use it (`config.uses_detail`).
        still_background: only the person moves, in the same models, where the face is looked for.
    """

    crop: bool = True
    paste_back: bool = True
    face: int | None = None
    detail: int = MAX_DETAIL
    still_background: bool = True


@dataclass(frozen=True)
class Source:
    """What is computed once for all frames.

    Attributes:
        encoded: what the engine needs of it to draw.
        keypoints: where its keypoints are, batch 1.
        view: the picture as the model sees it.
        landmarks: of its face, in pixels of the view; None where the face was not looked for.
        finish: turns a drawn image into a frame of the output.
        width: of the output.
        height: of the output.
    """

    encoded: EncodedSource
    keypoints: Keypoints
    view: Picture
    landmarks: Landmarks | None
    finish: Callable[[Picture], Picture]
    width: int
    height: int


def for_video(picture: Picture, size: int | None) -> tuple[UInt8[np.ndarray, "h w 3"], list[str]]:
    """Reduce a source picture to what videos have, before anything is done with it.

    Args:
        picture: the source.
        size: of the video: its longer side at most, in pixels; None takes what players open.

    Returns:
        The picture, and what to say about it.
    """
    fitted = at_most(picture, size, PLAYED_PIXELS)
    if size is not None or fitted.shape == picture.shape:
        return fitted, []
    sizes = [f"{rgb.shape[1]} x {rgb.shape[0]}" for rgb in (picture, fitted)]
    return fitted, [
        f"few players open videos of {sizes[0]} pixels: the result is {sizes[1]}; "
        f"`size={max(fitted.shape)}` says the same without this warning, `size=1920` suits phones"
    ]


def prepare(engine: Engine, picture: Picture, framing: Framing) -> Source:
    """Find the face of a source picture and encode it.

    Raises:
        FaceError: if there is no usable face.
    """
    size = engine.config.image_size
    height, width = picture.shape[:2]
    detail: Detail | None = None
    landmarks: Landmarks | None = None
    unfaded: Float[np.ndarray, "S S"] | None = None
    if framing.crop:
        # One thread: graphs are loaded beside this. The driver's face is found by the same models.
        face = find_face(picture, framing.face, FaceDetector(1), FaceMesh(1))
        box = crop_box(face)
        side = detail_side(engine, box.size, framing.detail)
        if abs(side - box.size) <= 1:
            box = box.on_pixels(side)
        view = crop(picture, box, size)
        landmarks = box.to_view(face, size)
        if engine.config.uses_detail and framing.still_background:
            detail = layered(picture, box, side, PersonParts())
            unfaded = inside_border(detail)
        elif side > size:
            detail = Detail.opaque(to_images_01([crop(picture, box, side)]))
    else:
        side = detail_side(engine, float(max(height, width)), framing.detail)
        view = resize(picture, size, size)
        if side > size:
            detail = Detail.opaque(to_images_01([resize(picture, side, side)]))
    finish: Callable[[Picture], Picture] = _unchanged
    if not framing.paste_back:
        width = height = side
    elif framing.crop:
        finish = PasteBack(picture, box, side, unfaded=unfaded)
    else:
        finish = _Resize(width, height)

    encoded = engine.read_source(to_images_01([view]), detail)
    return Source(encoded, encoded.keypoints.numpy(), view, landmarks, finish, width, height)


def detail_side(engine: Engine, length: float, limit: int) -> int:
    """Return the side at which a square of a picture is drawn: even, and the model's at least.

    Args:
        engine: its model decides whether there is detail.
        length: side of the square in the picture, in pixels.
        limit: the largest side.
    """
    size = engine.config.image_size
    if not engine.config.uses_detail:
        return size
    return max(size, min(2 * round(length / 2), 2 * (limit // 2)))


def driving_keypoints(
    engine: Engine, pictures: list[Picture], source: EncodedSource | None = None
) -> Keypoints:
    """Find the keypoints of driving pictures that have the model's size.

    Args:
        engine: finds them.
        pictures: a batch.
        source: the source to be animated; None where there is none, as in recording.
    """
    images_01 = to_images_01(pictures)
    if source is None:
        return engine.keypoints(images_01)
    return engine.driving_keypoints(images_01, source)


def draw(engine: Engine, source: Source, moved: Keypoints) -> list[UInt8[np.ndarray, "S S 3"]]:
    """Draw the source at the moved keypoints, one image per batch entry."""
    return list(to_pictures(engine.draw(source.encoded, moved)))


@dataclass(frozen=True)
class _Resize:
    width: int
    height: int

    def __call__(self, rgb: Picture) -> UInt8[np.ndarray, "h w 3"]:
        return resize(rgb, self.width, self.height)


def _unchanged(rgb: Picture) -> Picture:
    return rgb
