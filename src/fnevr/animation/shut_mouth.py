"""A portrait that shows its teeth, with its lips shut: what is drawn when they are to touch.

A warp can squeeze what is between the lips, but not take it away: a strip of teeth stays. So where
lips are to touch, the networks are given the portrait with its lips drawn on over the teeth, up to
a dark line in the middle. The same is done to the foreground, which the warp takes its texture
from. Each lip goes on as its own mirror image, so that its colours and its edge stay.

Shapes: N = 478 landmarks, C channels, H and W pixels of a picture, h and w of the box around the
lips; H2 and W2 pixels of a foreground.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np
from jaxtyping import Float

from fnevr.animation.detail import in_foreground
from fnevr.animation.open_mouth import LOWER, UPPER, mouth_axes
from fnevr.faces.landmarks import Landmarks
from fnevr.geometry.splines import catmull_rom
from fnevr.media.arrays import to_images_01
from fnevr.media.image import Picture
from fnevr.models.encoded_source import Detail, EncodedSource

ReadSource = Callable[[Float[np.ndarray, "1 3 H W"]], EncodedSource]

# In MediaPipe's mesh: the contours of the outer lips from corner to corner.
OUTER_UPPER = [61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291]
OUTER_LOWER = [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291]

BEYOND = 0.011  # of the mouth's width: how far the lips begin beyond their inner contours
REACH = 0.8  # of a lip: how much of it is mirrored at most
SEAM, DARK = 0.12, 0.35  # of the gap: half the width of the line between the lips; its darkness
EDGE = 1.0  # pixels over which the drawn lips begin
CORNER = 0.02  # of the mouth's width, over which they begin at its corners
RGB = 3


@dataclass(frozen=True)
class _Patch:
    """The part of a picture around the lips.

    Attributes:
        box: where it is, all channels.
        own: as the portrait has it.
        shut: with the lips shut.
    """

    box: tuple[slice, slice, slice]
    own: Float[np.ndarray, "C h w"]
    shut: Float[np.ndarray, "C h w"]

    def put(self, image: Float[np.ndarray, "C H W"], share: float) -> None:
        """Draw it into the picture, shut by a share."""
        image[self.box] = self.own + share * (self.shut - self.own)


class ShutMouth:
    """Shuts the lips of one portrait.

    Args:
        view: the portrait, as the model sees it.
        landmarks: of its face, in pixels of the view.
        detail: the portrait in layers; None for models without.
    """

    def __init__(self, view: Picture, landmarks: Landmarks, detail: Detail | None) -> None:
        self.view, self.landmarks, self.detail = view, landmarks, detail
        self.reading = Lock()
        self.encoded: EncodedSource | None = None
        self.patch: _Patch | None = None

    def of(self, read_source: ReadSource, source: EncodedSource, share: float) -> EncodedSource:
        """Return the source with its lips shut by a share.

        Args:
            read_source: of the engine that read the source.
            source: the portrait.
            share: from 0, as they are, to 1.
        """
        with self.reading:
            if self.encoded is None:
                self.encoded = self._read(read_source, source)
        image_01, features = (
            own + share * (shut - own)
            for own, shut in (
                (source.image_01, self.encoded.image_01),
                (source.features, self.encoded.features),
            )
        )
        return replace(source, image_01=image_01, features=features)

    @contextmanager
    def shown(self, foreground: Float[np.ndarray, "1 4 H2 W2"], share: float) -> Iterator[None]:
        """Shut the lips of the foreground by a share, for as long as the block runs."""
        if self.patch is None:  # nobody has asked for it yet
            yield
            return
        self.patch.put(foreground[0], share)
        try:
            yield
        finally:
            self.patch.put(foreground[0], 0.0)

    def _read(self, read_source: ReadSource, source: EncodedSource) -> EncodedSource:
        """Draw the lips in the view and in the foreground, and encode the view."""
        view_01 = to_images_01([self.view])
        patch = _shut(view_01[0], self.landmarks[:, :2] - 0.5)
        if patch is None:
            return source
        patch.put(view_01[0], 1.0)
        if self.detail is not None:
            signed = self.landmarks[:, :2] * (2 / len(self.view)) - 1
            self.patch = _shut(self.detail.foreground[0], in_foreground(self.detail, signed))
        return read_source(view_01)


def _shut(image: Float[np.ndarray, "C H W"], points: Float[np.ndarray, "N 2"]) -> _Patch | None:
    """Draw the lips of a picture shut; None where they are not wholly in it.

    Args:
        image: red, green and blue, and what else there is.
        points: landmarks, in pixels; the middle of the first one is at 0.
    """
    corner, axis = points[UPPER[0]], points[UPPER[-1]] - points[UPPER[0]]
    length = float(np.linalg.norm(axis))
    lips = points[OUTER_UPPER + OUTER_LOWER]
    least = np.floor(lips.min(axis=0)).astype(int) - 1
    most = np.ceil(lips.max(axis=0)).astype(int) + 2
    if length < 1 or least.min() < 0 or (most > image.shape[:0:-1]).any():
        return None
    to_mouth = mouth_axes(axis)
    y, x = np.mgrid[least[1] : most[1], least[0] : most[0]]
    along, down = np.moveaxis((np.stack((x, y), axis=-1) - corner) @ to_mouth, -1, 0)
    top, upper, lower, bottom = (
        _line(along, (points[contour] - corner) @ to_mouth)
        for contour in (OUTER_UPPER, UPPER, LOWER, OUTER_LOWER)
    )
    upper, lower = upper - BEYOND * length, lower + BEYOND * length
    half = np.maximum(lower - upper, 1e-3) / 2
    # Down to the middle the upper lip, mirrored at its edge, and then the lower one.
    strides = [
        np.minimum(REACH * np.maximum(lip, 1) / half, 1) for lip in (upper - top, bottom - lower)
    ]
    from_upper, from_lower = down - upper, lower - down
    looks = np.where(
        from_upper < half, upper - strides[0] * from_upper, lower + strides[1] * from_lower
    )
    places = np.stack((along, looks), axis=-1) @ to_mouth.T - (least - corner)
    box = (slice(None), slice(least[1], most[1]), slice(least[0], most[0]))
    own = np.array(image[box])
    mirrored = catmull_rom(own, places[..., 0], places[..., 1])
    mirrored[:RGB] *= 1 - DARK * np.exp(-np.square((from_upper - half) / (2 * SEAM * half)))
    ends = np.minimum(along, length - along) / (CORNER * length)
    inside = (np.minimum(from_upper, from_lower) / EDGE).clip(0, 1) * ends.clip(0, 1)
    return _Patch(box, own, (own + inside * (mirrored - own)).astype(own.dtype))


def _line(
    along: Float[np.ndarray, "h w"], contour: Float[np.ndarray, "P 2"]
) -> Float[np.ndarray, "h w"]:
    """Return how far down a contour is at each place along the mouth."""
    return np.interp(along, *contour[np.argsort(contour[:, 0])].T)
