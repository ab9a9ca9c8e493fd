"""From a face's track to clips: when each starts and stops, and its square; nothing is decoded.

A clip ends where the face is lost or jumps, where the scene is cut, where the face would leave the
square or changes size too much, and after the longest time allowed.

Shapes: T frames.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from fnevr.data.settings import PrepareSettings
from fnevr.data.tracking import FaceTrack
from fnevr.faces.crop import LIFT_PER_FACE, SIDE_PER_FACE, CropBox
from fnevr.faces.landmarks import NUM_MESH

MAX_JUMP = 0.4  # of the face's size, from one frame to the next
MAX_GROWTH = 1.35  # of the face's size, from one frame to the next, or against the clip's median
MIN_SIDE_SHARE = 0.85  # a square may shrink by this to fit into the picture
MAX_OUTSIDE = 0.1  # share of the square that may lie outside the picture

TOO_SHORT, TOO_FEW, TOO_SMALL, CUT_OFF = (
    "too short",
    "too few frames",
    "face too small",
    "face at the picture's edge",
)


@dataclass(frozen=True)
class Segment:
    """A clip to be cut out.

    Attributes:
        start: its first frame, counted in the track.
        stop: the frame after its last.
        box: the square, in pixels of the video.
        face_px: longer side of the face mesh, the median.
        motion: deviation of the face's centre, in face heights.
    """

    start: int
    stop: int
    box: CropBox
    face_px: float
    motion: float


def face_boxes(track: FaceTrack) -> Float[np.ndarray, "T 4"]:
    """Return left, top, right and bottom of the face mesh; NaN where there is no face."""
    mesh = track.landmarks_px[:, :NUM_MESH]
    return np.concatenate((mesh.min(axis=1), mesh.max(axis=1)), axis=1)


def plan_clips(track: FaceTrack, settings: PrepareSettings) -> tuple[list[Segment], Counter[str]]:
    """Divide a track into clips.

    Returns:
        The clips, in order of time, and how often what was left out, and why.
    """
    boxes = face_boxes(track)
    segments: list[Segment] = []
    reasons: Counter[str] = Counter()
    for start, stop in find_runs(track, boxes):
        for first, last in divide_run(boxes, track.times_s, start, stop, settings.max_seconds):
            outcome = make_segment(track, boxes, first, last, settings)
            if isinstance(outcome, Segment):
                segments.append(outcome)
            else:
                reasons[outcome] += 1
    return segments, reasons


def find_runs(track: FaceTrack, boxes: Float[np.ndarray, "T 4"]) -> list[tuple[int, int]]:
    """Find the longest stretches in which one face moves without a break."""
    sizes, centres = _sizes(boxes), (boxes[:, :2] + boxes[:, 2:]) / 2
    is_found = track.is_found
    runs, start = [], None
    for index in range(len(boxes)):
        if start is not None and (
            not is_found[index] or track.is_cut[index] or _jumps(centres, sizes, index)
        ):
            runs.append((start, index))
            start = None
        if start is None and is_found[index]:
            start = index
    return runs if start is None else [*runs, (start, len(boxes))]


def divide_run(
    boxes: Float[np.ndarray, "T 4"],
    times_s: Float[np.ndarray, " T"],
    start: int,
    stop: int,
    max_seconds: float,
) -> list[tuple[int, int]]:
    """Divide a run into parts of which a square can stand still around the face."""
    parts = []
    while start < stop:
        # As many parts of equal length as are needed, rather than a short rest.
        seconds = float(times_s[stop - 1] - times_s[start])
        longest = seconds / max(1, int(np.ceil(seconds / max_seconds)))
        last = int(np.searchsorted(times_s[:stop], times_s[start] + longest + 1e-6, side="right"))
        end = _fitting(boxes, start, last)
        parts.append((start, end))
        start = end
    return parts


def make_segment(
    track: FaceTrack,
    boxes: Float[np.ndarray, "T 4"],
    start: int,
    stop: int,
    settings: PrepareSettings,
) -> Segment | str:
    """Place the square of a clip.

    Returns:
        The clip, or why there is none.
    """
    faces = boxes[start:stop]
    face_px = float(np.median(_sizes(faces)))
    seconds = clip_seconds(track.times_s[start:stop])
    if seconds < settings.min_seconds:
        return TOO_SHORT
    if stop - start < settings.min_frames:
        return TOO_FEW
    if face_px < settings.min_face_px:
        return TOO_SMALL
    box = place_square(faces, track.width, track.height)
    if box is None:
        return CUT_OFF
    return Segment(start, stop, box, face_px, face_motion(faces))


def clip_seconds(times_s: Float[np.ndarray, " T"]) -> float:
    """Return how long frames last, the last one as long as the others on average."""
    if len(times_s) < 2:
        return 0.0
    return float(times_s[-1] - times_s[0]) * len(times_s) / (len(times_s) - 1)


def face_motion(boxes: Float[np.ndarray, "T 4"]) -> float:
    """Return how far a face moves: the deviation of its centre, in face heights."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    height = float(np.median(boxes[:, 3] - boxes[:, 1]))
    return float(np.linalg.norm(centres.std(axis=0))) / max(height, 1e-6)


def place_square(faces: Float[np.ndarray, "T 4"], width: int, height: int) -> CropBox | None:
    """Frame the faces of a clip as `crop_box` frames one, within the picture if that is possible.

    Returns:
        The square; None if a face leaves it, or too much of it lies outside the picture.
    """
    low, high = faces[:, :2].min(axis=0), faces[:, 2:].max(axis=0)
    face_px = float(np.median(_sizes(faces)))
    side = SIDE_PER_FACE * face_px
    side = min(side, max(min(width, height), MIN_SIDE_SHARE * side))
    middle = np.median((faces[:, :2] + faces[:, 2:]) / 2, axis=0)
    corner = middle - [0, LIFT_PER_FACE * face_px] - side / 2
    corner = np.clip(corner, high - side, low) if (high - low <= side).all() else corner
    room = np.array([width, height]) - side
    corner = np.where(room >= 0, np.clip(corner, 0, np.maximum(room, 0)), room / 2)
    inside = np.minimum(corner + side, (width, height)) - np.maximum(corner, 0)
    is_outside = 1 - float(np.prod(inside.clip(0))) / side**2 > MAX_OUTSIDE
    slack = 0.02 * side
    if is_outside or (low < corner - slack).any() or (high > corner + side + slack).any():
        return None
    return CropBox(float(corner[0]), float(corner[1]), float(side))


def _fitting(boxes: Float[np.ndarray, "T 4"], start: int, stop: int) -> int:
    """Return where a clip that starts here must stop, for its faces to fit into one square."""
    for end in range(start + 1, stop):
        faces = boxes[start : end + 1]
        sizes = _sizes(faces)
        median = float(np.median(sizes))
        extent = faces[:, 2:].max(axis=0) - faces[:, :2].min(axis=0)
        is_steady = sizes.max() < MAX_GROWTH * median < MAX_GROWTH**2 * sizes.min()
        if (extent > SIDE_PER_FACE * median).any() or not is_steady:
            return end
    return stop


def _sizes(boxes: Float[np.ndarray, "T 4"]) -> Float[np.ndarray, " T"]:
    return (boxes[:, 2:] - boxes[:, :2]).max(axis=1)


def _jumps(centres: Float[np.ndarray, "T 2"], sizes: Float[np.ndarray, " T"], index: int) -> bool:
    """Whether the face is elsewhere than a frame before, or of another size."""
    size = min(sizes[index - 1], sizes[index])
    is_far = np.linalg.norm(centres[index] - centres[index - 1]) > MAX_JUMP * size
    return bool(is_far or max(sizes[index - 1], sizes[index]) > MAX_GROWTH * size)
