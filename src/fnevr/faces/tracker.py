"""Follow one face through a video.

The landmarks of a frame say where to look in the next one, so the detector runs only at the start
and when the face is lost. While it is lost the last landmarks are held.

Shapes: H and W of the frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from fnevr.faces.detector import FaceDetector
from fnevr.faces.find import find_faces
from fnevr.faces.landmarks import FaceMesh, Landmarks, landmarks_box, landmarks_region


@dataclass(frozen=True)
class Track:
    """The face in one frame.

    Attributes:
        landmarks: in pixels of the frame.
        status: found where the last frame said ("tracked"), found by the detector ("detected"),
            or not found, so these are the last landmarks seen ("held").
        num_lost: frames since the face was last seen; 0 unless held.
    """

    landmarks: Landmarks
    status: Literal["tracked", "detected", "held"]
    num_lost: int = 0

    @property
    def seen(self) -> Landmarks | None:
        """The landmarks, where the face was found in this frame; None where it is held."""
        return None if self.status == "held" else self.landmarks


class FaceTracker:
    """Give the landmarks of one face, frame by frame.

    Args:
        index: which face to follow, the largest being 0; None means the largest. Until there are
            that many, no face is found.
        max_lost: frames for which a lost face is held; after that any face will do.
        num_threads: threads that one call may use.
        detector: shared with the caller, or None for one of its own.
        mesh: the same for the landmark model.
    """

    def __init__(
        self,
        index: int | None = None,
        max_lost: int = 50,
        num_threads: int = 2,
        detector: FaceDetector | None = None,
        mesh: FaceMesh | None = None,
    ) -> None:
        self.index = index or 0
        self.max_lost = max_lost
        self.detector = detector or FaceDetector(num_threads)
        self.mesh = mesh or FaceMesh(num_threads)
        self.last: Landmarks | None = None
        self.num_lost = 0
        self.is_first = True

    def reset(self) -> None:
        """Forget the face: the next frame starts anew."""
        self.last = None
        self.num_lost = 0

    def start(self, landmarks: Landmarks) -> None:
        """Follow the face with these landmarks, found by other means in the coming frame."""
        self.last = landmarks
        self.num_lost = 0

    def update(self, rgb: UInt8[np.ndarray, "H W 3"]) -> Track | None:
        """Find the face in the next frame.

        Returns:
            None before the first face, and when it is lost for longer than ``max_lost`` frames.
        """
        if self.last is not None and self.num_lost == 0:
            mesh = self.mesh.mesh(rgb, landmarks_region(self.last), num_passes=1)
            if mesh.is_face:
                self.last = mesh.landmarks
                return Track(mesh.landmarks, "tracked")
        face = self._detect(rgb)
        if face is not None:
            self.last, self.num_lost = face, 0
            return Track(face, "detected")
        if self.last is None:
            return None
        self.num_lost += 1
        if self.num_lost > self.max_lost:
            self.reset()
            return None
        return Track(self.last, "held", self.num_lost)

    def _detect(self, rgb: UInt8[np.ndarray, "H W 3"]) -> Landmarks | None:
        """Detect anew: the face nearest to the last one, or the one asked for."""
        faces = find_faces(rgb, self.detector, self.mesh, self.is_first, self.index == 0)
        self.is_first = False
        if self.last is None:
            return faces[self.index] if self.index < len(faces) else None
        left, top, right, bottom = landmarks_box(self.last)
        centre, size = np.array([left + right, top + bottom]) / 2, max(right - left, bottom - top)

        def distance(face: Landmarks) -> float:
            box = np.array(landmarks_box(face))
            return float(np.linalg.norm((box[:2] + box[2:]) / 2 - centre))

        # Farther than two faces away it is somebody else.
        near = [face for face in faces if distance(face) < 2 * size]
        return min(near, key=distance, default=None)
