"""Gaze: the irises of a source are moved in its picture before it is drawn.

No keypoint sees the irises, so a model draws them where the portrait has them. What moves them is
a small warp of the portrait inside each eye: between the corners of the eye, along the line through
them, the iris is shifted as a whole and the white on either side is stretched or squeezed. Across
that line the shift fades out behind the lids, whose edges run along it.

Shapes: N = 478 landmarks, H2 and W2 pixels of a foreground, h and w of the box around an eye.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from fnevr.animation.detail import in_foreground
from fnevr.face3d.performance import EYE_CORNERS, IRISES, eye_openings
from fnevr.faces.landmarks import Landmarks
from fnevr.geometry.arrays import smooth_step
from fnevr.geometry.splines import catmull_rom
from fnevr.models.encoded_source import Detail

IRIS = 0.22  # radius of an iris, in eye widths
FARTHEST = 0.24  # of an iris from the middle of its eye, in eye widths
FARTHEST_DOWN = 0.08  # or up
BEYOND = 0.06  # how far beyond lids something still moves, in eye widths
MARGIN = 0.2  # of the box around an eye, in eye widths
LEAST_OPEN = 0.12  # aspect ratio of an eye in which an iris is seen

# Points of the upper and the lower lid in MediaPipe's mesh, from the picture's left to its right.
LIDS = (
    ((246, 161, 160, 159, 158, 157, 173), (7, 163, 144, 145, 153, 154, 155)),
    ((398, 384, 385, 386, 387, 388, 466), (382, 381, 380, 374, 373, 390, 249)),
)


@dataclass(frozen=True)
class _Eye:
    """One eye of a picture, in pixels of the foreground.

    Attributes:
        box: around it, in the foreground.
        patch: the foreground there.
        along: of each pixel of the box, from the middle of the eye towards its right corner, in
            eye widths.
        share: how much of a shift each pixel takes part in, by how far it is beyond the lids.
        iris: where the iris is.
        axis: from the left corner to the right one, as long as the eye.
    """

    box: tuple[int, slice, slice, slice]
    patch: Float[np.ndarray, "4 h w"]
    along: Float[np.ndarray, "h w"]
    share: Float[np.ndarray, "h w"]
    iris: float
    axis: Float[np.ndarray, " 2"]

    def moved(self, shift: Float[np.ndarray, " 2"]) -> Float[np.ndarray, "4 h w"]:
        """Return the patch with its iris moved.

        Args:
            shift: to the picture's right and down along the eye, in eye widths.
        """
        end = float(np.clip(self.iris + shift[0], -FARTHEST, FARTHEST))
        radius = min(IRIS, 0.5 - 0.02 - max(abs(self.iris), abs(end)))
        # Where each place along the eye looks: the corners stay, the iris keeps its size.
        ends = [-0.5, end - radius, end + radius, 0.5]
        starts = [-0.5, self.iris - radius, self.iris + radius, 0.5]
        along = self.share * (np.interp(self.along, ends, starts, left=0, right=0) - self.along)
        along[(self.along <= ends[0]) | (self.along >= ends[-1])] = 0
        down = -float(np.clip(shift[1], -FARTHEST_DOWN, FARTHEST_DOWN)) * self.share
        down *= (1 - np.square(2 * self.along)).clip(0, 1)
        y, x = np.indices(self.along.shape, dtype=np.float32)
        right = along * self.axis[0] - down * self.axis[1]
        below = along * self.axis[1] + down * self.axis[0]
        return catmull_rom(self.patch, x + right, y + below)


class Irises:
    """Moves the irises of one source.

    Args:
        detail: the source, in arrays; its foreground is changed while it is used.
        landmarks: of its face, in [-1, 1] of the networks' picture.
    """

    def __init__(self, detail: Detail, landmarks: Landmarks) -> None:
        self.source = detail
        self.idle = [detail.foreground]  # more of them where several threads draw
        points = in_foreground(detail, landmarks)
        openings = eye_openings(np.asarray(landmarks, np.float64))
        self.eyes = [
            eye
            for index, opening in enumerate(openings)
            if opening > LEAST_OPEN and (eye := _eye(points, index, detail.foreground)) is not None
        ]

    @contextmanager
    def moved(self, shift: Float[np.ndarray, " 2"]) -> Iterator[Float[np.ndarray, "1 4 H2 W2"]]:
        """Give the foreground with both irises moved, to one thread, until it is done with it.

        Args:
            shift: to the picture's right and down along the eyes, in eye widths.
        """
        try:
            foreground = self.idle.pop()
        except IndexError:
            foreground = np.array(self.source.foreground)
        try:
            for eye in self.eyes:
                foreground[eye.box] = eye.moved(shift) if np.any(shift) else eye.patch
            yield foreground
        finally:
            for eye in self.eyes:
                foreground[eye.box] = eye.patch
            self.idle.append(foreground)


def _eye(
    points: Float[np.ndarray, "N 2"], index: int, foreground: Float[np.ndarray, "1 4 H2 W2"]
) -> _Eye | None:
    """Return an eye; None where it is not wholly in the picture."""
    corners, upper, lower = (points[list(part)] for part in (EYE_CORNERS[index], *LIDS[index]))
    axis = corners[1] - corners[0]
    width = float(np.linalg.norm(axis))
    contour = np.concatenate((corners, upper, lower))
    least = np.floor(contour.min(axis=0) - MARGIN * width).astype(int)
    most = np.ceil(contour.max(axis=0) + MARGIN * width).astype(int) + 1
    if width < 1 or least.min() < 0 or most.max() > foreground.shape[-1]:
        return None
    columns, rows = (slice(int(a), int(b)) for a, b in zip(least, most, strict=True))
    y, x = np.mgrid[rows, columns]
    grid = np.stack((x, y), axis=-1)
    to_eye = np.array([[axis[0], axis[1]], [-axis[1], axis[0]]]) / width**2
    middle = corners.mean(axis=0)
    local = (grid - middle) @ to_eye.T
    lids = [(part - middle) @ to_eye.T for part in (upper, lower)]
    along = local[..., 0]
    ends = [_edge(along, lid) for lid in lids]
    beyond = np.maximum(ends[0] - local[..., 1], local[..., 1] - ends[1])
    share = smooth_step(1 - beyond / BEYOND)
    iris = float(((points[IRISES[index]] - middle) @ to_eye.T)[0])
    box = (0, slice(None), rows, columns)
    patch = np.array(foreground[box])
    return _Eye(box, patch, along.astype(np.float32), share.astype(np.float32), iris, axis)


def _edge(along: Float[np.ndarray, "h w"], lid: Float[np.ndarray, "P 2"]) -> np.ndarray:
    """Return where the edge of a lid is at each place along an eye, between the corners."""
    ordered = lid[np.argsort(lid[:, 0])]
    inside = ordered[np.abs(ordered[:, 0]) < 0.5]
    x, y = np.concatenate(([[-0.5, 0.0]], inside, [[0.5, 0.0]])).T
    return np.interp(along, x, y)
