"""Gaze: the irises of a source are moved in its picture before it is drawn.

No keypoint sees the irises, so a model draws them where the portrait has them. What moves them is
a small warp of the portrait inside each eye: between the corners of the eye, along the line through
them, the iris is shifted as a whole and the white on either side is stretched or squeezed. Across
that line the shift fades out behind the lids, whose edges run along it.

Shapes: N = 478 landmarks, H2 and W2 pixels of a foreground, h and w of the box around an eye.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from fnevr.face3d.performance import EYE_CORNERS, IRISES, eye_openings
from fnevr.faces.landmarks import Landmarks
from fnevr.geometry.arrays import smooth_step
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
        rows: of the box around it.
        columns: of the box.
        along: of each pixel of the box, from the middle of the eye towards its right corner, in
            eye widths.
        share: how much of a shift each pixel takes part in, by how far it is beyond the lids.
        iris: where the iris is.
        axis: from the left corner to the right one, as long as the eye.
    """

    rows: slice
    columns: slice
    along: Float[np.ndarray, "h w"]
    share: Float[np.ndarray, "h w"]
    iris: float
    axis: Float[np.ndarray, " 2"]


class Irises:
    """Moves the irises of one source.

    Args:
        detail: the source, in arrays; it is not changed.
        landmarks: of its face, in [-1, 1] of the networks' picture.
    """

    def __init__(self, detail: Detail, landmarks: Landmarks) -> None:
        self.source = detail
        self.foreground = np.array(detail.foreground)
        zoom = detail.plate_01.shape[-1] / (detail.canvas * self.foreground.shape[-1])
        points = (np.asarray(landmarks)[:, :2] * zoom + 1) * (self.foreground.shape[-1] / 2) - 0.5
        openings = eye_openings(np.asarray(landmarks, np.float64))
        self.eyes = [
            eye
            for index, opening in enumerate(openings)
            if opening > LEAST_OPEN
            and (eye := _eye(points, index, self.foreground.shape[-1])) is not None
        ]

    def detail(self, shift: Float[np.ndarray, " 2"]) -> Detail:
        """Return the source with both irises moved.

        Args:
            shift: to the picture's right and down along the eyes, in eye widths.

        Returns:
            It holds an array of this object, which the next call writes anew.
        """
        if not (self.eyes and np.any(shift)):
            return self.source
        for eye in self.eyes:
            box = (0, slice(None), eye.rows, eye.columns)
            self.foreground[box] = _moved(self.source.foreground, eye, shift)
        return replace(self.source, foreground=self.foreground)


def _eye(points: Float[np.ndarray, "N 2"], index: int, side: int) -> _Eye | None:
    """Return an eye; None where it is not wholly in the picture."""
    corners, upper, lower = (points[list(part)] for part in (EYE_CORNERS[index], *LIDS[index]))
    axis = corners[1] - corners[0]
    width = float(np.linalg.norm(axis))
    contour = np.concatenate((corners, upper, lower))
    least = np.floor(contour.min(axis=0) - MARGIN * width).astype(int)
    most = np.ceil(contour.max(axis=0) + MARGIN * width).astype(int) + 1
    if width < 1 or least.min() < 0 or most.max() > side:
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
    return _Eye(rows, columns, along, share, iris, axis)


def _edge(along: Float[np.ndarray, "h w"], lid: Float[np.ndarray, "P 2"]) -> np.ndarray:
    """Return where the edge of a lid is at each place along an eye, between the corners."""
    ordered = lid[np.argsort(lid[:, 0])]
    inside = ordered[np.abs(ordered[:, 0]) < 0.5]
    x, y = np.concatenate(([[-0.5, 0.0]], inside, [[0.5, 0.0]])).T
    return np.interp(along, x, y)


def _moved(
    foreground: Float[np.ndarray, "1 4 H2 W2"], eye: _Eye, shift: Float[np.ndarray, " 2"]
) -> Float[np.ndarray, "4 h w"]:
    """Return the box of an eye with its iris moved."""
    end = float(np.clip(eye.iris + shift[0], -FARTHEST, FARTHEST))
    radius = min(IRIS, 0.5 - 0.02 - max(abs(eye.iris), abs(end)))
    # Where each place along the eye looks in the source: the corners stay, the iris keeps its size.
    ends = [-0.5, end - radius, end + radius, 0.5]
    starts = [-0.5, eye.iris - radius, eye.iris + radius, 0.5]
    along = eye.share * (np.interp(eye.along, ends, starts, left=0, right=0) - eye.along)
    along[(eye.along <= ends[0]) | (eye.along >= ends[-1])] = 0
    down = -float(np.clip(shift[1], -FARTHEST_DOWN, FARTHEST_DOWN)) * eye.share
    down *= (1 - np.square(2 * eye.along)).clip(0, 1)
    y, x = np.mgrid[eye.rows, eye.columns]
    right = along * eye.axis[0] - down * eye.axis[1]
    below = along * eye.axis[1] + down * eye.axis[0]
    return _sampled(foreground[0], x + right, y + below)


def _sampled(
    image: Float[np.ndarray, "4 H2 W2"],
    x: Float[np.ndarray, "h w"],
    y: Float[np.ndarray, "h w"],
) -> Float[np.ndarray, "4 h w"]:
    """Sample at pixels, by Catmull-Rom splines (Keys, 1981)."""
    side = np.array(image.shape[1:])
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    across, down = _weights(x - left), _weights(y - top)
    total = np.zeros((len(image), *x.shape))
    for i in range(4):
        row = (top + i - 1).clip(0, side[0] - 1)
        line = np.zeros_like(total)
        for j in range(4):
            line += across[j] * image[:, row, (left + j - 1).clip(0, side[1] - 1)]
        total += down[i] * line
    return total


def _weights(t: Float[np.ndarray, "h w"]) -> list[Float[np.ndarray, "h w"]]:
    """Return the weights of four neighbours at a share t of the way between the inner two."""
    return [
        -0.5 * t + t**2 - 0.5 * t**3,
        1 - 2.5 * t**2 + 1.5 * t**3,
        0.5 * t + 2 * t**2 - 1.5 * t**3,
        -0.5 * t**2 + 0.5 * t**3,
    ]
