"""Face detection with MediaPipe's BlazeFace models.

Two single-shot detectors look at the whole picture: the short-range one (896 anchors, faces of
about a fifth of the picture and more) and the full-range one (2304 anchors, down to about a
fifteenth). A thorough search also looks at overlapping parts of the picture, for faces down to a
fortieth, and at the picture shrunk inside a black frame, for a face that fills it.

Bazarevsky et al., BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs, 2019.

Shapes: A anchors, K = 6 points of a face (eyes, nose tip, mouth, ears), N detections.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, UInt8

from fnevr.faces.region import Region, cut_out
from fnevr.faces.session import FaceModel
from fnevr.media.strips import reduced

MAX_OVERLAP = 0.3  # intersection over union above which two boxes are one face
MAYBE = 0.4  # score of what may be a face where one is expected: faces in the dark have 0.45
MIN_PICTURE = 16  # pixels: a smaller picture holds no face
ENOUGH = 2048  # pixels of the longer side: the smallest faces that are searched for have 50 then

Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Face:
    """A detected face, in pixels of the picture.

    Attributes:
        box: left, top, right, bottom; from the brows to the chin, no hair.
        score: the detector's confidence in [0, 1].
        keypoints: (6, 2): right eye, left eye (the person's), nose tip, mouth, right and left ear.
    """

    box: Box
    score: float
    keypoints: Float[np.ndarray, "6 2"]

    @property
    def size(self) -> float:
        """The longer side of the box."""
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])

    def enlarged(self, factor: int) -> Face:
        """Return the face in a picture that is so many times as large."""
        left, top, right, bottom = (factor * value for value in self.box)
        return Face((left, top, right, bottom), self.score, factor * self.keypoints)

    def region(self) -> Region:
        """Where to look for landmarks: half as large again, turned so that the eyes are level."""
        left, top, right, bottom = self.box
        dx, dy = self.keypoints[1] - self.keypoints[0]
        angle_rad = float(np.arctan2(dy, dx))
        return Region((left + right) / 2, (top + bottom) / 2, 1.5 * self.size, angle_rad)


class SingleShotDetector:
    """One detection network with its anchors: a square of the picture in, boxes out.

    Args:
        name: of the bundled model.
        side: of its square input, in pixels.
        layers: (stride, anchors per cell) of each output layer.
        min_score: boxes below are dropped.
        num_threads: threads that one call may use.
    """

    def __init__(
        self,
        name: str,
        side: int,
        layers: tuple[tuple[int, int], ...],
        min_score: float,
        num_threads: int = 2,
    ) -> None:
        self.model = FaceModel(name, num_threads)
        self.side = side
        self.min_score = min_score
        self.anchors = np.concatenate([anchor_centres(side // s, n) for s, n in layers]) * side

    def detect(
        self, rgb: UInt8[np.ndarray, "H W 3"], view: Region, min_score: float | None = None
    ) -> list[Face]:
        """Find faces in a square of the picture, best first; below `min_score` are none."""
        image = cut_out(rgb, view, self.side, border="constant")
        boxes, scores = self.model(image.astype(np.float32) / 127.5 - 1.0)
        probability = 1.0 / (1.0 + np.exp(-scores[0, :, 0].clip(-50.0, 50.0)))
        is_face = probability >= (self.min_score if min_score is None else min_score)
        # Each row: centre, width and height, then the points; all but the size from the anchor.
        rows = boxes[0, is_face].reshape(-1, 8, 2)
        rows[:, [0, *range(2, 8)]] += self.anchors[is_face, None]
        scale = view.size / self.side
        centre = np.array([view.centre_x, view.centre_y], np.float32)
        rows[:, 0] = (rows[:, 0] - self.side / 2) * scale + centre
        rows[:, 2:] = (rows[:, 2:] - self.side / 2) * scale + centre
        rows[:, 1] *= scale
        return weighted_suppression(rows, probability[is_face])


class FaceDetector:
    """Find the faces of a picture.

    Args:
        num_threads: threads that one call may use.
    """

    def __init__(self, num_threads: int = 2) -> None:
        self.short_range = SingleShotDetector(
            "face_detection_short_range", 128, ((8, 2), (16, 6)), 0.5, num_threads
        )
        self.full_range = SingleShotDetector(
            "face_detection_full_range", 192, ((4, 1),), 0.6, num_threads
        )

    def detect(
        self, rgb: UInt8[np.ndarray, "H W 3"], thorough: bool = True, parts: bool = True
    ) -> list[Face]:
        """Find every face, largest first.

        Args:
            rgb: the picture.
            thorough: search with a frame around the picture too, and its parts: for stills.
            parts: False leaves out the parts, where small faces are found.
        """
        height, width = rgb.shape[:2]
        if min(height, width) < MIN_PICTURE:
            return []
        factor = max(height, width) // ENOUGH
        if factor > 1:
            small = reduced(lambda first, last: rgb[first:last], height, width, factor)
            return [face.enlarged(factor) for face in self.detect(small, thorough, parts)]
        side = float(max(height, width))
        whole = Region(width / 2, height / 2, side)
        faces = self.short_range.detect(rgb, whole) + self.full_range.detect(rgb, whole)
        if thorough:
            faces += self.short_range.detect(rgb, Region(width / 2, height / 2, 2 * side))
            for view in part_views(width, height, self.full_range.side) if parts else ():
                faces += self.full_range.detect(rgb, view)
        return sorted(distinct(faces), key=lambda face: face.size, reverse=True)

    def may_see(self, rgb: UInt8[np.ndarray, "H W 3"], region: Region, box: Box) -> bool:
        """Return whether there may be a face where one is expected, as landmarks have it.

        Landmark models find faces in hands too, in whatever is round and before a face.

        Args:
            rgb: the picture.
            region: around the face, larger than it by half.
            box: of the face, in pixels of the picture.
        """
        view = replace(region, size=2 * region.size)
        faces = self.short_range.detect(rgb, view, MAYBE)
        return any(contained(face.box, box) > 0.5 for face in faces)


def anchor_centres(cells: int, per_cell: int) -> Float[np.ndarray, "A 2"]:
    """Centres of a square layer's anchors in [0, 1], row by row, each repeated."""
    centres = (np.arange(cells, dtype=np.float32) + 0.5) / cells
    y, x = np.meshgrid(centres, centres, indexing="ij")
    return np.repeat(np.stack([x, y], axis=-1).reshape(-1, 2), per_cell, axis=0)


def part_views(width: int, height: int, min_size: int) -> Iterator[Region]:
    """Give overlapping squares that cover a picture: large ones, then small ones.

    Args:
        width: of the picture.
        height: of the picture.
        min_size: smaller squares are left out: enlarging a picture shows nothing new.
    """
    for parts in (2, 4):
        size = 1.5 * max(width, height) / parts
        if size >= min_size:
            for centre_y in _centres(height, size):
                for centre_x in _centres(width, size):
                    yield Region(centre_x, centre_y, size)


def _centres(length: int, size: float) -> list[float]:
    if length <= size:
        return [length / 2]
    count = int(np.ceil((length - size) / (size * 2 / 3))) + 1
    return [float(c) for c in np.linspace(size / 2, length - size / 2, count)]


def overlap(a: Float[np.ndarray, "*A 4"], b: Float[np.ndarray, "*B 4"]) -> np.ndarray:
    """Intersection over union of boxes (left, top, right, bottom)."""
    size = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    intersection = size.clip(min=0.0).prod(axis=-1)
    total = (a[..., 2:] - a[..., :2]).prod(axis=-1) + (b[..., 2:] - b[..., :2]).prod(axis=-1)
    return intersection / np.maximum(total - intersection, 1e-9)


def contained(a: Box, b: Box) -> float:
    """Give the share of the smaller box that lies in the larger one."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return max(width, 0.0) * max(height, 0.0) / max(smaller, 1e-9)


def weighted_suppression(
    rows: Float[np.ndarray, "N 8 2"], scores: Float[np.ndarray, " N"]
) -> list[Face]:
    """Average the boxes that overlap the best one, weighted by score, until none is left.

    Args:
        rows: centre, size, and 6 points of each detection, in pixels.
        scores: in [0, 1].
    """
    corners = np.concatenate([rows[:, 0] - rows[:, 1] / 2, rows[:, 0] + rows[:, 1] / 2], axis=1)
    queue = np.argsort(-scores, kind="stable")
    faces = []
    while len(queue):
        same = overlap(corners[queue], corners[queue[:1]]) > MAX_OVERLAP
        same[0] = True  # even a box of no area goes with itself
        group, queue = queue[same], queue[~same]
        weights = scores[group] / scores[group].sum()
        box = weights @ corners[group]
        points = np.einsum("n,nkc->kc", weights, rows[group, 2:])
        left, top, right, bottom = (float(v) for v in box)
        faces.append(Face((left, top, right, bottom), float(scores[group[0]]), points))
    return faces


def distinct(faces: list[Face]) -> list[Face]:
    """Drop each face that lies by half or more in an earlier one, or the other way round."""
    result: list[Face] = []
    for face in faces:
        if not any(contained(face.box, other.box) > 0.5 for other in result):
            result.append(face)
    return result
