"""Follow faces through a video.

The landmarks of a frame say where to look in the next one, so whole frames are searched only at the
start and when the face is lost. While it is lost the last landmarks are held. Where to look hardly
moves while the face hardly does: otherwise an error in one frame's landmarks moves the next search,
and at a blink a hundredth of a pixel may decide whether lids are found open or shut.

Shapes: H and W of the frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from fnevr.faces.detector import FaceDetector
from fnevr.faces.find import find_faces, is_free
from fnevr.faces.landmarks import FaceMesh, Landmarks, Mesh, landmarks_box, landmarks_region
from fnevr.faces.region import Region, drawn_along

MAX_LOST, MAX_LOST_OF_SEVERAL = 15, 50
FRAMES_PER_SEARCH = 10  # of which one is searched thoroughly, while no face is known


@dataclass(frozen=True)
class Track:
    """The face in one frame.

    Attributes:
        landmarks: in pixels of the frame.
        status: found where the last frame said ("tracked"), found by the detector ("detected"),
            or not found, so these are the last landmarks seen ("held").
        num_lost: frames since the face was last seen; 0 unless held.
        is_new: whether it was looked for everywhere: the first face, or one after a cut or a long
            absence, which may be somebody else's.
    """

    landmarks: Landmarks
    status: Literal["tracked", "detected", "held"]
    num_lost: int = 0
    is_new: bool = False

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
        asked_every: of so many frames of a face that is followed, the detector is asked in one
            whether there still is a face.
    """

    def __init__(
        self,
        index: int | None = None,
        max_lost: int = MAX_LOST,
        num_threads: int = 2,
        detector: FaceDetector | None = None,
        mesh: FaceMesh | None = None,
        asked_every: int = 1,
    ) -> None:
        self.index = index or 0
        self.max_lost = max_lost
        self.detector = detector or FaceDetector(num_threads)
        self.mesh = mesh or FaceMesh(num_threads)
        self.last: Landmarks | None = None
        self.region: Region | None = None  # in which the last landmarks were found
        self.num_lost = 0
        self.num_searched = 0
        self.asked_every, self.num_unasked = asked_every, 0

    def reset(self) -> None:
        """Forget the face: the next frame starts anew."""
        self.last = self.region = None
        self.num_lost = 0
        self.num_searched = 0

    def start(self, landmarks: Landmarks) -> None:
        """Follow the face with these landmarks, found by other means in the coming frame."""
        self.last, self.region = landmarks, None
        self.num_lost = 0

    @property
    def seen(self) -> Landmarks | None:
        """Where the face was in the last frame; None where it was not found there."""
        return None if self.num_lost else self.last

    def update(
        self, rgb: UInt8[np.ndarray, "H W 3"], taken: Sequence[Landmarks] = ()
    ) -> Track | None:
        """Find the face in the next frame.

        Args:
            rgb: the frame.
            taken: faces that others follow.

        Returns:
            None before the first face, and when it is lost for longer than ``max_lost`` frames.
        """
        last = self.seen
        if last is not None:
            region = landmarks_region(last)
            if self.region is not None:
                region = drawn_along(self.region, region)
            mesh = self.mesh.mesh(rgb, region, num_passes=1)
            if mesh.is_face and is_free(mesh.landmarks, taken) and self._is_seen(rgb, mesh):
                self.last, self.region = mesh.landmarks, region
                return Track(mesh.landmarks, "tracked")
        self.region = None
        is_new = self.last is None
        face = self._detect(rgb, taken)
        if face is not None:
            self.last, self.num_lost = face, 0
            return Track(face, "detected", is_new=is_new)
        if self.last is None:
            return None
        self.num_lost += 1
        if self.num_lost > self.max_lost:
            self.last, self.num_lost = None, 0
            return None
        return Track(self.last, "held", self.num_lost)

    def _is_seen(self, rgb: UInt8[np.ndarray, "H W 3"], mesh: Mesh) -> bool:
        """Ask the detector too: the mesh goes on where a hand hides the whole face."""
        self.num_unasked = (self.num_unasked + 1) % self.asked_every
        if self.num_unasked:
            return True
        box = landmarks_box(mesh.landmarks)
        return self.detector.may_see(rgb, landmarks_region(mesh.landmarks), box)

    def _detect(
        self, rgb: UInt8[np.ndarray, "H W 3"], taken: Sequence[Landmarks]
    ) -> Landmarks | None:
        """Detect anew: the face nearest to the last one, or the one asked for."""
        only = self.index == 0 and not taken
        # A face may be small. Others than the largest are searched for until they are found.
        thorough = self.last is None and (
            self.index > 0 or self.num_searched % FRAMES_PER_SEARCH == 0
        )
        found = find_faces(rgb, self.detector, self.mesh, thorough, only)
        self.num_searched += 1
        faces = [face for face in found if is_free(face, taken)]
        if self.last is None:
            if self.index >= len(found) or not faces:
                return None
            asked = found[self.index]
            return asked if is_free(asked, taken) else faces[0]
        left, top, right, bottom = landmarks_box(self.last)
        centre, size = np.array([left + right, top + bottom]) / 2, max(right - left, bottom - top)

        def distance(face: Landmarks) -> float:
            box = np.array(landmarks_box(face))
            return float(np.linalg.norm((box[:2] + box[2:]) / 2 - centre))

        # Farther than two faces away it is somebody else.
        near = [face for face in faces if distance(face) < 2 * size]
        return min(near, key=distance, default=None)


class FacesTracker:
    """Follow several faces, none of which is taken for another.

    Args:
        indices: which faces, the largest being 0.
        num_threads: threads that one call may use.
    """

    def __init__(self, indices: Sequence[int] = (0,), num_threads: int = 2) -> None:
        detector, mesh = FaceDetector(num_threads), FaceMesh(num_threads, is_for_videos=True)
        # Several who are lost could be taken for each other, so each is waited for longer.
        max_lost = MAX_LOST if len(indices) == 1 else MAX_LOST_OF_SEVERAL
        self.trackers = [FaceTracker(index, max_lost, 2, detector, mesh) for index in indices]

    def reset(self) -> None:
        """Forget all faces, as after a cut: the next frame starts anew."""
        for tracker in self.trackers:
            tracker.reset()

    def update(self, rgb: UInt8[np.ndarray, "H W 3"]) -> list[Track | None]:
        """Find the faces in the next frame, in the order of `indices`; see `FaceTracker.update`."""
        tracks: dict[int, Track | None] = {}
        # Who knows where to look comes first, so that a lost face is not looked for there.
        order = sorted(range(len(self.trackers)), key=lambda k: self.trackers[k].seen is None)
        for number in order:
            others = (other for k, other in enumerate(self.trackers) if k != number)
            taken = [other.seen for other in others if other.seen is not None]
            tracks[number] = self.trackers[number].update(rgb, taken)
        return [tracks[number] for number in range(len(self.trackers))]
