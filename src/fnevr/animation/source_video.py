"""A video as a source: in each of its frames, the faces as they are there.

Each face keeps its square for as long as it stays near the middle (`faces.crop.CropSmoother`), and
who it is and how far its eyes are usually open become surer from frame to frame. Where a face is
not seen, the frame stays as it is; where it comes back, what it is given comes back gradually.

Shapes: S the side of what is drawn.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from jaxtyping import Float, UInt8

from fnevr.animation.face_crops import Sighting, followed
from fnevr.animation.source import Framing, framed
from fnevr.config.stages import PortraitConfig
from fnevr.errors import FaceError
from fnevr.face3d.face_fit import FaceFit, Similarity
from fnevr.face3d.performance import Performance, PerformanceReader
from fnevr.faces.crop import CropBox, CropSmoother, crop, crop_box
from fnevr.faces.detector import FaceDetector
from fnevr.faces.find import choose_faces, face_numbers, find_faces
from fnevr.faces.landmarks import FaceMesh, Landmarks
from fnevr.media.image import Picture
from fnevr.media.reader import VideoFrame

SIDE_STEP = 16  # pixels; engines take a while to get ready for a side that they have not drawn yet
RETURN_S = 0.3  # in which a face that was lost takes on the driver's motion again


@dataclass(frozen=True)
class FrameFace:
    """A face of one frame.

    Attributes:
        landmarks: in pixels of the frame.
        box: the square around it, in pixels of the frame.
        view: the square as the model sees it.
        square: the square at the resolution at which it is drawn.
        fit: its face in [-1, 1] of the square.
        own: what it does itself; its head is where it is.
        open_eyes: aspect ratios of its eyes when they are open as usual.
        share: how much of the driver's motion it takes on, in [0, 1].
    """

    landmarks: Landmarks
    box: CropBox
    view: Picture
    square: UInt8[np.ndarray, "S S 3"]
    fit: FaceFit
    own: Performance
    open_eyes: Float[np.ndarray, " 2"]
    share: float

    @property
    def in_square(self) -> Landmarks:
        """The landmarks in [-1, 1] of the square."""
        return self.box.to_view(self.landmarks, 2) - np.array([1.0, 1.0, 0.0])


@dataclass(frozen=True)
class SourceFrame:
    """One frame of a source video.

    Attributes:
        rgb: the frame.
        time: when it is shown.
        faces: that are animated, in the order of the choice; None where one is not seen.
    """

    rgb: Picture
    time: Fraction
    faces: tuple[FrameFace | None, ...]


def source_frames(
    frames: Iterable[VideoFrame], config: PortraitConfig, framing: Framing
) -> Iterator[SourceFrame]:
    """Follow the faces of a source video.

    Args:
        frames: the video.
        config: of the model.
        framing: which faces of the first frame that shows some are animated, and their resolution.

    Raises:
        FaceError: if there are no such faces; at the end, if no frame shows a face.
    """
    remaining = iter(frames)
    detector, mesh = FaceDetector(1), FaceMesh(1)
    for frame in remaining:
        if find_faces(frame.rgb, detector, mesh, thorough=frame.time == 0):
            break
        yield SourceFrame(frame.rgb, frame.time, ())
    else:
        raise FaceError(
            "no face found in any frame of the source video; use one that shows a face from the "
            "front"
        )
    if framing.face == "all":
        numbers = tuple(range(len(choose_faces(frame.rgb, "all", detector, mesh).faces)))
    else:
        numbers = face_numbers(framing.face)
        choose_faces(frame.rgb, numbers, detector, mesh)
    followers = [FaceFollower(config, framing) for _ in numbers]
    for now, sightings in followed(itertools.chain([frame], remaining), numbers):
        faces = [
            follower.update(now, sighting)
            for follower, sighting in zip(followers, sightings, strict=True)
        ]
        yield SourceFrame(now.rgb, now.time, tuple(faces))


class FaceFollower:
    """Reads one face of a source video.

    Args:
        config: of the model.
        framing: how its square is drawn.
    """

    def __init__(self, config: PortraitConfig, framing: Framing) -> None:
        self.config, self.framing = config, framing
        self.share = 1.0
        self._start()

    def _start(self) -> None:
        # What is smoothed comes late, and the frame's own motion would show by as much.
        self.reader, self.smoother = PerformanceReader(smooth=False), CropSmoother()

    def update(self, frame: VideoFrame, sighting: Sighting) -> FrameFace | None:
        """Read the face in the next frame; None where it is not seen."""
        track = sighting.track
        if track is None or track.seen is None:
            self.share = 0.0
            return None
        if track.is_new:
            self._start()  # it may be somebody else
        self.share = min(1.0, self.share + sighting.seconds / RETURN_S)
        seen = self.reader.update(track.landmarks, sighting.seconds)
        assert seen is not None, "there are landmarks"
        wanted = self.smoother.update(crop_box(track.landmarks), sighting.seconds)
        size = self.config.image_size
        if wanted.size > size:
            steps = math.ceil(wanted.size / SIDE_STEP)
            wanted = CropBox.around(wanted.centre, float(SIDE_STEP * steps))
        box, side = framed(self.config, wanted, self.framing.detail)
        return FrameFace(
            track.landmarks,
            box,
            crop(frame.rgb, box, size),
            crop(frame.rgb, box, side),
            in_square(self.reader.fit, box),
            replace(
                seen,
                rotations=np.zeros((1, 3)),
                shifts=np.zeros((1, 2)),
                zooms=np.zeros((1, 1)),
            ),
            self.reader.open_eyes,
            self.share,
        )


def in_square(fit: FaceFit, box: CropBox) -> FaceFit:
    """Return a fit to a picture as one to a square of it, in [-1, 1]."""
    placed, start, scale = copy.copy(fit), fit.similarity, 2 / box.size
    corner = np.array([box.left, box.top, 0.0])
    shift = (start.shift - corner) * scale - np.array([1.0, 1.0, 0.0])
    placed.similarity = Similarity(start.scale * scale, start.rotation, shift)
    return placed
