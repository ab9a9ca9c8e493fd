"""A source picture made ready for a model: its faces are prepared once, drawn many times.

Shapes: H and W of pictures, H2 and W2 of a foreground, S the side of the model's image, B frames
at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from jaxtyping import Float, UInt8

from fnevr.animation.detail import Share, in_its_colours, inside_border, layered
from fnevr.animation.motions import motion_of
from fnevr.config.stages import PortraitConfig
from fnevr.errors import FnevrError
from fnevr.faces.crop import CropBox, crop
from fnevr.faces.detector import FaceDetector
from fnevr.faces.find import MIN_FACE_PX, FaceChoice, choose_faces, face_size, find_face
from fnevr.faces.landmarks import FaceMesh, Landmarks
from fnevr.faces.parts import PersonParts
from fnevr.faces.paste import PasteBack
from fnevr.faces.territory import territory
from fnevr.geometry.driving import Driving
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.patches import FacePatches
from fnevr.media.arrays import to_images_01, to_pictures
from fnevr.media.image import Picture
from fnevr.media.pixels import PLAYED_PIXELS
from fnevr.media.resize import at_most, resize
from fnevr.models.encoded_source import Detail, EncodedSource
from fnevr.runtime.engine import Engine

MAX_DETAIL = 1024
EIGHTH = 8  # squares are so many times as large as what is drawn beyond each side of them
CANVAS = 1 + 2 / EIGHTH  # side of what is drawn, where it is put back, of the square around a face
# In a view whose brightest parts are darker than this, keypoints are found when it is lit so far.
BRIGHT, DARK, LIT = 0.95, 0.2, 0.6


@dataclass(frozen=True)
class Framing:
    """How a source picture becomes the model's square image, and back.

    Attributes:
        crop: look for the face; False takes the whole picture, stretched to a square.
        paste_back: frames of the picture's size; False gives the square alone.
        face: which faces, the largest being 0; several are put back into one picture.
        detail: the square keeps the picture's own resolution up to this side, in pixels, in models
            that use it (`config.uses_detail`).
        still_background: only the person moves, in the same models, where the face is looked for.
    """

    crop: bool = True
    paste_back: bool = True
    face: FaceChoice = None
    detail: int = MAX_DETAIL
    still_background: bool = True


@dataclass(frozen=True)
class Source:
    """What is computed of one face once for all frames.

    Attributes:
        encoded: what the engine needs of it to draw.
        view: the picture as the model sees it.
        landmarks: of its face, in pixels of the view; None where the face was not looked for.
        detail: its own resolution, in arrays; None for models that do not use it.
        is_put_back: whether what is drawn goes back into the picture, which goes on around it.
    """

    encoded: EncodedSource
    view: Picture
    landmarks: Landmarks | None
    detail: Detail | None
    is_put_back: bool = False

    @cached_property
    def has_layers(self) -> bool:
        """Whether the person is apart from the background."""
        return self.detail is not None and not self.detail.is_opaque

    @cached_property
    def keypoints(self) -> Keypoints:
        """Where its keypoints are, batch 1, of models that are driven by keypoints."""
        return self.encoded.keypoints.numpy()


@dataclass(frozen=True)
class Scene:
    """A picture and its faces that are animated.

    Attributes:
        sources: the faces.
        finish: turns the drawn images, one of each face, into a frame of the output.
        width: of the output.
        height: of the output.
    """

    sources: tuple[Source, ...]
    finish: Callable[[Sequence[Picture]], Picture]
    width: int
    height: int

    @property
    def drawn_side(self) -> int:
        """The largest side of what is drawn of a face, in pixels."""
        return max(
            len(source.view) if source.detail is None else source.detail.plate_01.shape[-1]
            for source in self.sources
        )


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


def prepare(engine: Engine, picture: Picture, framing: Framing) -> Scene:
    """Find the faces of a source picture and encode them.

    Raises:
        FaceError: if there is no usable face.
        FnevrError: if several faces are to be cropped out.
    """
    if not framing.crop:
        return _whole(engine, picture, framing)
    # One thread: graphs are loaded beside this. The driver's face is found by the same models.
    found = choose_faces(picture, framing.face, FaceDetector(1), FaceMesh(1))
    if len(found.faces) > 1 and not framing.paste_back:
        raise FnevrError(
            f"{len(found.faces)} faces have no square of their own: choose one face, or leave "
            "`paste_back=False` out",
            argument="face",
        )
    people = found.faces + [face for face in found.others if face_size(face) >= MIN_FACE_PX]
    size, motion = engine.config.image_size, motion_of(engine)
    layers = engine.config.uses_detail and framing.still_background
    parts = PersonParts() if layers else None
    sources, pastes = [], []
    for index, face in enumerate(found.faces):
        share = partial(territory, people, index) if len(people) > 1 else None
        box, side = framed(engine.config, motion.box(face), framing.detail)
        canvas = CANVAS if layers and framing.paste_back else 1.0
        detail = _detail(engine, picture, box, side, parts, share, canvas)
        view = crop(picture, box, size)
        source = _read(engine, picture, view, detail, box.to_view(face, size))
        sources.append(replace(source, is_put_back=framing.paste_back))
        if framing.paste_back:
            pastes.append(_paste_back(picture, box, side, detail if layers else None, share))
    if not framing.paste_back:
        return Scene(tuple(sources), _alone, side, side)
    height, width = picture.shape[:2]
    return Scene(tuple(sources), _PastedBack(picture, tuple(pastes)), width, height)


def _whole(engine: Engine, picture: Picture, framing: Framing) -> Scene:
    """Take the picture as it is, stretched to a square."""
    height, width = picture.shape[:2]
    size = engine.config.image_size
    side = detail_side(engine.config, float(max(height, width)), framing.detail)
    detail = None
    if engine.config.uses_detail:
        detail = Detail.opaque(to_images_01([resize(picture, side, side)]))
    source = _read(engine, picture, resize(picture, size, size), detail, None)
    if not framing.paste_back:
        return Scene((source,), _alone, side, side)
    return Scene((source,), _Resized(width, height), width, height)


def _read(
    engine: Engine,
    picture: Picture,
    view: UInt8[np.ndarray, "S S 3"],
    detail: Detail | None,
    landmarks: Landmarks | None,
) -> Source:
    """Encode a view; where its face was not looked for, but the model has to be told, find it."""

    def find() -> Landmarks:
        return _in_whole(picture, len(view)) if landmarks is None else landmarks

    detail = None if detail is None else in_its_colours(detail)
    told = motion_of(engine).of_source(view, find)
    view_01 = to_images_01([view])
    encoded = engine.read_source(view_01, detail, told)
    light = float(np.quantile(view_01, BRIGHT))
    if 0 < light < DARK and engine.config.driven_by == "keypoints":
        lit = engine.read_source((view_01 * np.float32(LIT / light)).clip(0, 1))
        encoded = replace(encoded, own=lit.own)
    return Source(encoded, view, landmarks, detail)


def mirrored(engine: Engine, source: Source, foreground: Float[np.ndarray, "1 4 H2 W2"]) -> Source:
    """Read the mirror image of a person in layers, before the same background.

    Args:
        engine: the one that read the source.
        source: its landmarks are known.
        foreground: its own, which nobody else uses.
    """
    assert source.detail is not None, "there are layers"
    assert source.landmarks is not None, "the face was looked for"
    view = np.ascontiguousarray(source.view[:, ::-1])
    landmarks = source.landmarks[FacePatches.packaged().mirror]
    landmarks = np.array([len(view), 0, 0]) + landmarks * np.array([-1, 1, 1])
    detail = replace(source.detail, foreground=np.ascontiguousarray(foreground[..., ::-1]))
    twin = _read(engine, view, view, detail, landmarks.astype(np.float32))
    return replace(twin, is_put_back=source.is_put_back)


def _in_whole(picture: Picture, size: int) -> Landmarks:
    """Find the largest face of a picture, in pixels of what it is stretched to."""
    height, width = picture.shape[:2]
    face = find_face(picture, None, FaceDetector(1), FaceMesh(1))
    return face * np.array([size / width, size / height, size / width], np.float32)


def _detail(
    engine: Engine,
    picture: Picture,
    box: CropBox,
    side: int,
    parts: PersonParts | None,
    share: Share | None,
    canvas: float,
) -> Detail | None:
    """Return a square at the picture's resolution, in layers where parts are found."""
    if not engine.config.uses_detail:
        return None
    if parts is not None:
        return layered(picture, box, side, parts, share, canvas)
    return Detail.opaque(to_images_01([crop(picture, box, side)]))


def _paste_back(
    picture: Picture, box: CropBox, side: int, layers: Detail | None, share: Share | None
) -> PasteBack:
    if layers is not None:
        box, side = box.grown(layers.canvas), layers.plate_01.shape[-1]
    mask = None if share is None else share(box, side)
    unfaded = None if layers is None else inside_border(layers)
    if mask is not None and unfaded is not None:
        unfaded = unfaded * mask
    return PasteBack(picture, box, side, mask, unfaded=unfaded)


def framed(config: PortraitConfig, box: CropBox, limit: int) -> tuple[CropBox, int]:
    """Return a square, on whole pixels if it is drawn at the picture's resolution, and its side.

    Args:
        config: of the model that draws it.
        box: in pixels of the picture.
        limit: the largest side.
    """
    side = EIGHTH * (detail_side(config, box.size + EIGHTH / 2, limit) // EIGHTH)
    return (box.on_pixels(side) if abs(side - box.size) <= EIGHTH / 2 else box), side


def detail_side(config: PortraitConfig, length: float, limit: int) -> int:
    """Return the side at which a square of a picture is drawn: even, and the model's at least.

    Args:
        config: of the model, which says whether there is detail.
        length: side of the square in the picture, in pixels.
        limit: the largest side.
    """
    size = config.image_size
    if not config.uses_detail:
        return size
    return max(size, min(2 * round(length / 2), 2 * (limit // 2)))


def draw(
    engine: Engine, source: Source, moved: Driving, detail: Detail | None = None
) -> list[UInt8[np.ndarray, "S S 3"]]:
    """Draw the source as it is to move, one image per batch entry.

    Args:
        engine: the one that the source was prepared with.
        source: the picture.
        moved: what drives it.
        detail: takes the place of the source's own.
    """
    return list(to_pictures(engine.draw(source.encoded, moved, detail)))


@dataclass(frozen=True)
class _Resized:
    width: int
    height: int

    def __call__(self, images: Sequence[Picture]) -> UInt8[np.ndarray, "h w 3"]:
        (image,) = images
        return resize(image, self.width, self.height)


@dataclass(frozen=True)
class _PastedBack:
    picture: Picture
    pastes: tuple[PasteBack, ...]

    def __call__(self, images: Sequence[Picture]) -> UInt8[np.ndarray, "h w 3"]:
        result = self.picture.copy()
        for paste, image in zip(self.pastes, images, strict=True):
            paste.add(image, result)
        return result


def _alone(images: Sequence[Picture]) -> Picture:
    (image,) = images
    return image
