"""First pass over a video: the face of each span, frame by frame, and where scenes are cut.

Shapes: T frames, H and W of the frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from fnevr.data.sources import Span
from fnevr.faces.detector import Box, FaceDetector
from fnevr.faces.find import find_faces
from fnevr.faces.landmarks import NUM_LANDMARKS, FaceMesh, Landmarks, landmarks_box
from fnevr.faces.tracker import FaceTracker
from fnevr.media.cuts import CutDetector
from fnevr.media.reader import VideoReader

BOX_MARGIN = 0.25


@dataclass(frozen=True)
class FaceTrack:
    """One face through a stretch of a video.

    Attributes:
        first: number of the first frame in the video.
        times_s: of the frames, from the start of the video.
        landmarks_px: x and y in pixels of the video; NaN where the face was not found.
        is_cut: whether a frame starts a new scene.
        width: of the video.
        height: of the video.
    """

    first: int
    times_s: Float[np.ndarray, " T"]
    landmarks_px: Float[np.ndarray, "T 478 2"]
    is_cut: Bool[np.ndarray, " T"]
    width: int
    height: int

    @property
    def is_found(self) -> Bool[np.ndarray, " T"]:
        """Whether the face was found."""
        return ~np.isnan(self.landmarks_px[:, 0, 0])


class Follower:
    """Follows one span's face."""

    def __init__(self, span: Span, detector: FaceDetector, mesh: FaceMesh) -> None:
        self.span = span
        self.tracker = FaceTracker(max_lost=0, detector=detector, mesh=mesh)
        self.first: int | None = None
        self.times_s: list[float] = []
        self.landmarks: list[np.ndarray] = []
        self.cuts: list[bool] = []

    def update(
        self, index: int, seconds: float, rgb: UInt8[np.ndarray, "H W 3"], is_cut: bool
    ) -> None:
        """Look for the face in the next frame of the span."""
        if self.first is None:
            self.first = index
        if is_cut:
            self.tracker.reset()
        face = self._find(seconds, rgb)
        if face is None:
            xy = np.full((NUM_LANDMARKS, 2), np.nan, np.float32)
        else:
            xy = face[:, :2].astype(np.float32)
        self.times_s.append(seconds)
        self.landmarks.append(xy)
        self.cuts.append(is_cut)

    def track(self, width: int, height: int) -> FaceTrack:
        """Return what was found."""
        return FaceTrack(
            self.first or 0,
            np.array(self.times_s, np.float64),
            np.array(self.landmarks, np.float32).reshape(-1, NUM_LANDMARKS, 2),
            np.array(self.cuts, bool),
            width,
            height,
        )

    def _find(self, seconds: float, rgb: UInt8[np.ndarray, "H W 3"]) -> Landmarks | None:
        height, width = rgb.shape[:2]
        box = self.span.box_at(seconds, width, height)
        if box is not None and self.tracker.last is None:
            return self._find_in(box, rgb)
        track = self.tracker.update(rgb)
        if track is None or track.status == "held":
            return None
        if box is not None and not is_in(track.landmarks, box):
            return self._find_in(box, rgb)
        return track.landmarks

    def _find_in(self, box: Box, rgb: UInt8[np.ndarray, "H W 3"]) -> Landmarks | None:
        """Look for the face that the list means, among all there are."""
        faces = find_faces(rgb, self.tracker.detector, self.tracker.mesh, thorough=False)
        target = next((face for face in faces if is_in(face, box)), None)
        if target is None:
            self.tracker.reset()
        else:
            self.tracker.start(target)
        return target


def is_in(landmarks: Landmarks, box: Box) -> bool:
    """Whether the middle of a face is in a box, or not farther than a quarter of it outside."""
    left, top, right, bottom = landmarks_box(landmarks)
    x, y = (left + right) / 2, (top + bottom) / 2
    margin_x, margin_y = BOX_MARGIN * (box[2] - box[0]), BOX_MARGIN * (box[3] - box[1])
    inside_x = box[0] - margin_x <= x <= box[2] + margin_x
    return inside_x and box[1] - margin_y <= y <= box[3] + margin_y


def track_spans(video: VideoReader, spans: Sequence[Span]) -> list[FaceTrack]:
    """Follow the face of every span, reading the video once.

    Args:
        video: to read; frames after the last span are not.
        spans: whom to follow, and when.

    Returns:
        A track for each span, in the same order.
    """
    detector, mesh, cuts = FaceDetector(1), FaceMesh(1), CutDetector()
    followers = [Follower(span, detector, mesh) for span in spans]
    last_s = max(span.stop_s for span in spans)
    for index, frame in enumerate(video):
        seconds = float(frame.time)
        if seconds >= last_s:
            break
        is_cut = cuts.update(frame.rgb)
        for follower in followers:
            if follower.span.start_s <= seconds < follower.span.stop_s:
                follower.update(index, seconds, frame.rgb, is_cut)
    return [follower.track(video.info.width, video.info.height) for follower in followers]
