"""Somebody before a camera moves a portrait, one frame at a time.

Shapes: H and W of the camera's pictures and of the portrait.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import UInt8

from fnevr.animation.source import Framing
from fnevr.face3d.performance import Performance, PerformanceReader
from fnevr.faces.crop import crop_box
from fnevr.faces.find import find_face, find_faces
from fnevr.faces.landmarks import FaceMesh, landmarks_box
from fnevr.faces.tracker import FaceTracker
from fnevr.geometry.rotations import axis_angles, rotation_matrices
from fnevr.media.image import Picture
from fnevr.media.resize import resize

SIDE = 512  # of what a live portrait shows, in pixels
AROUND = 2.0  # its side over that of the square around the face
ASKED_EVERY = 3  # frames, in one of which a detector is asked whether the face is still there
SHUT_SHARE = 0.3  # eyes less open than this are no measure of how open they usually are


class CameraReader:
    """Reads what the largest face before a camera does.

    Args:
        smooth: see `PerformanceReader`.
    """

    def __init__(self, *, smooth: bool = True) -> None:
        # One thread: this runs beside the drawing, which takes the others.
        mesh = FaceMesh(num_threads=1, is_for_videos=True)
        self._tracker = FaceTracker(num_threads=1, mesh=mesh, asked_every=ASKED_EVERY)
        self._reader = PerformanceReader(smooth=smooth)
        self._last: Performance | None = None
        self._neutral: Performance | None = None
        self.is_seen = False

    def update(self, rgb: Picture, seconds: float) -> Performance | None:
        """Read the next frame.

        Args:
            rgb: from the camera.
            seconds: since the last frame.

        Returns:
            One frame; None before a face is seen for the first time.
        """
        track = self._tracker.update(rgb)
        seen = None if track is None else track.seen
        self.is_seen = seen is not None
        self._last = self._reader.update(seen, seconds)
        if self._last is None or self._neutral is None:
            return self._last
        return from_neutral(self._last, self._neutral)

    def take_neutral(self) -> bool:
        """Take what the face does now for its neutral look, from which all else is measured.

        Returns:
            Whether there is a face.
        """
        if self.is_seen:
            self._neutral = self._last
        return self.is_seen


def from_neutral(performance: Performance, neutral: Performance) -> Performance:
    """Measure a performance from a neutral look: the look itself leaves a portrait as it is.

    Places of the head are measured from where it was in the last second already.

    Args:
        performance: one frame.
        neutral: one frame.
    """
    rotation = rotation_matrices(performance.rotations[0])
    turned = rotation @ rotation_matrices(neutral.rotations[0]).T
    return replace(
        performance,
        rotations=axis_angles(turned)[None],
        expressions=performance.expressions - neutral.expressions,
        eyes=performance.eyes / np.maximum(neutral.eyes, SHUT_SHARE),
        lips=(performance.lips - neutral.lips).clip(0),
        gazes=performance.gazes - neutral.gazes,
    )


def live_square(
    picture: Picture, face: int | None = None
) -> tuple[UInt8[np.ndarray, "S S 3"], Framing]:
    """Cut the square out of a portrait that is shown live, which always has the same size.

    Args:
        picture: shows a face.
        face: which face, the largest being 0; None means the largest.

    Returns:
        The square, and how it is animated.

    Raises:
        FaceError: if there is no usable face.
    """
    box = crop_box(find_face(picture, face))
    height, width = picture.shape[:2]
    side = min(height, width, round(AROUND * box.size))
    left, top = (
        int(np.clip(round(float(middle) - side / 2), 0, length - side))
        for middle, length in zip(box.centre, (width, height), strict=True)
    )
    square = resize(picture[top : top + side, left : left + side], SIDE, SIDE)
    wanted = (box.centre - np.array([left, top])) * SIDE / side
    faces = [np.reshape(landmarks_box(found), (2, 2)).mean(axis=0) for found in find_faces(square)]
    distances = [float(np.linalg.norm(centre - wanted)) for centre in faces]
    index = int(np.argmin(distances)) if distances else None
    return square, Framing(face=index, detail=SIDE)
