"""Frames of a driving video brought to the model's view, and what the face does in them.

Shapes: S the side of the model's image.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

from fnevr.errors import FaceError, counted
from fnevr.face3d.performance import Performance, PerformanceReader
from fnevr.faces.crop import CropSmoother, crop, crop_box
from fnevr.faces.tracker import FaceTracker, Track
from fnevr.media.image import Picture
from fnevr.media.reader import VideoFrame
from fnevr.media.resize import resize

T = TypeVar("T")


@dataclass(frozen=True)
class SeenFace:
    """What the face does in a frame.

    Attributes:
        performance: one frame.
        time: when it is shown.
        rgb: the frame in the model's view; None where nobody asked.
    """

    performance: Performance
    time: Fraction
    rgb: Picture | None = None


def face_crops(
    frames: Iterable[VideoFrame], size: int, lost: list[Fraction] | None = None
) -> Iterator[VideoFrame]:
    """Crop a video around its largest face, the box smoothed over time.

    While no face is seen, the last picture of it stands still: keypoints of a picture without a
    face would tear the portrait. Frames before its first appearance show that first appearance. So
    the motion stays in time with the sound.

    Args:
        frames: the video.
        size: side of the crops, in pixels.
        lost: gets the times of frames without the face.

    Raises:
        FaceError: at the end, if no frame shows a face.
    """
    view = FaceView(size)
    crops = (
        (view.update(frame, track, seconds), frame.time)
        for frame, track, seconds in followed(frames, lost)
    )
    return (VideoFrame(rgb, time) for rgb, time in from_first(crops))


def performances(
    frames: Iterable[VideoFrame],
    smooth: bool,
    size: int | None = None,
    *,
    crops: bool = True,
    lost: list[Fraction] | None = None,
) -> Iterator[SeenFace]:
    """Read what the largest face of a video does.

    While no face is seen, its expression fades and its pose is held. Frames before its first
    appearance show that first appearance.

    Args:
        frames: the video.
        smooth: see `PerformanceReader`.
        size: also bring the frames to the model's view, of this side in pixels; None leaves that.
        crops: the view is cropped around the face, as `face_crops` does; False takes whole frames.
        lost: gets the times of frames without the face.

    Raises:
        FaceError: at the end, if no frame shows a face.
    """
    reader = PerformanceReader(smooth=smooth)
    view = FaceView(size) if size is not None and crops else None

    def seen() -> Iterator[tuple[tuple[Performance, Picture | None] | None, Fraction]]:
        for frame, track, seconds in followed(frames, lost):
            performance = reader.update(None if track is None else track.seen, seconds)
            rgb = None if view is None else view.update(frame, track, seconds)
            if size is not None and view is None:
                rgb = resize(frame.rgb, size, size)
            yield None if performance is None else (performance, rgb), frame.time

    for (performance, rgb), time in from_first(seen()):
        yield SeenFace(performance, time, rgb)


class FaceView:
    """The square around the face of a video, which is smoothed over time.

    Args:
        size: side of what is cut out, in pixels.
    """

    def __init__(self, size: int) -> None:
        self.size, self.smoother = size, CropSmoother()
        self.last: Picture | None = None

    def update(self, frame: VideoFrame, track: Track | None, seconds: float) -> Picture | None:
        """Cut the face out of the next frame; where it is lost, its last picture is returned."""
        if track is not None:
            box = self.smoother.update(crop_box(track.landmarks), seconds)
            if track.seen is not None:
                self.last = crop(frame.rgb, box, self.size)
        return self.last


def followed(
    frames: Iterable[VideoFrame], lost: list[Fraction] | None = None
) -> Iterator[tuple[VideoFrame, Track | None, float]]:
    """Follow the largest face; with each frame come the seconds since the last one with a track.

    Args:
        frames: the video.
        lost: gets the times of frames without the face.
    """
    # One thread: this runs beside the drawing, which takes the others.
    tracker, last_time = FaceTracker(num_threads=1), Fraction(0)
    for frame in frames:
        track = tracker.update(frame.rgb)
        if lost is not None and (track is None or track.seen is None):
            lost.append(frame.time)
        yield frame, track, float(frame.time - last_time)
        if track is not None:
            last_time = frame.time


def from_first(values: Iterable[tuple[T | None, Fraction]]) -> Iterator[tuple[T, Fraction]]:
    """Give frames before the first one with a value that value.

    Raises:
        FaceError: at the end, if no frame has one.
    """
    waiting: list[Fraction] = []
    for value, time in values:
        if value is None:
            waiting.append(time)
            continue
        for earlier in waiting:
            yield value, earlier
        waiting.clear()
        yield value, time
    if waiting:
        raise FaceError(
            f"no face found in the driving video ({counted(len(waiting), 'frame')}); use one that "
            "shows a face from the front, or `crop=False` if it is cropped already"
        )


def resized(frames: Iterable[VideoFrame], size: int) -> Iterator[VideoFrame]:
    """Bring whole frames to the model's size, whatever their shape."""
    return (VideoFrame(resize(frame.rgb, size, size), frame.time) for frame in frames)
