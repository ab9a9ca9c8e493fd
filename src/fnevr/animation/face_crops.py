"""Frames of a driving video brought to the model's view, and what the face does in them.

Shapes: S the side of the model's image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

import numpy as np

from fnevr.errors import FaceError, counted
from fnevr.face3d.performance import Performance, PerformanceReader
from fnevr.faces.crop import CropBox, CropSmoother, crop, crop_box
from fnevr.faces.landmarks import Landmarks
from fnevr.faces.tracker import FacesTracker, Track
from fnevr.media.cuts import CutDetector
from fnevr.media.image import Picture
from fnevr.media.reader import VideoFrame
from fnevr.media.resize import resize

T = TypeVar("T")


@dataclass(frozen=True)
class Sighting:
    """One face of a frame.

    Attributes:
        track: where it is; None before it is seen for the first time.
        seconds: since the last frame with a track.
    """

    track: Track | None
    seconds: float


@dataclass(frozen=True)
class SeenFaces:
    """What the faces do in a frame.

    Attributes:
        performances: of each face, one frame.
        time: when it is shown.
        rgb: the frame in the model's view of the first face; None where nobody asked.
    """

    performances: tuple[Performance, ...]
    time: Fraction
    rgb: Picture | None = None


def face_crops(
    frames: Iterable[VideoFrame], size: int, face: int = 0, lost: list[Fraction] | None = None
) -> Iterator[VideoFrame]:
    """Crop a video around a face, the box smoothed over time.

    While no face is seen, the last picture of it stands still: keypoints of a picture without a
    face would tear the portrait. Frames before its first appearance show that first appearance. So
    the motion stays in time with the sound.

    Args:
        frames: the video.
        size: side of the crops, in pixels.
        face: which face, the largest being 0.
        lost: gets the times of frames without the face.

    Raises:
        FaceError: at the end, if no frame shows the face.
    """
    view = FaceView(size)
    crops = (
        ([view.update(frame, sighting)], frame.time)
        for frame, (sighting,) in followed(frames, [face], lost)
    )
    return (VideoFrame(rgb, time) for (rgb,), time in from_first(crops, [face]))


def performances(
    frames: Iterable[VideoFrame],
    smooth: bool,
    size: int | None = None,
    *,
    crops: bool = True,
    faces: Sequence[int] = (0,),
    lost: list[Fraction] | None = None,
) -> Iterator[SeenFaces]:
    """Read what faces of a video do.

    While a face is not seen, its expression fades and its pose is held. Frames before its first
    appearance show that first appearance; they come when all faces have appeared.

    Args:
        frames: the video.
        smooth: see `PerformanceReader`.
        size: also bring the frames to the model's view, of this side in pixels; None leaves that.
        crops: the view is cropped around the first face, as `face_crops` does; False takes whole
            frames.
        faces: which faces, the largest being 0.
        lost: gets the times of frames without one of the faces.

    Raises:
        FaceError: at the end, if no frame shows one of the faces.
    """
    readers = [PerformanceReader(smooth=smooth) for _ in faces]
    view = FaceView(size) if size is not None and crops else None

    def seen() -> Iterator[tuple[list[tuple[Performance, Picture | None] | None], Fraction]]:
        for frame, sightings in followed(frames, faces, lost):
            rgb = None if view is None else view.update(frame, sightings[0])
            if size is not None and view is None:
                rgb = resize(frame.rgb, size, size)
            for reader, now in zip(readers, sightings, strict=True):
                if now.track is not None and now.track.is_new:
                    reader.restart()
            performances = [
                reader.update(None if now.track is None else now.track.seen, now.seconds)
                for reader, now in zip(readers, sightings, strict=True)
            ]
            yield [None if one is None else (one, rgb) for one in performances], frame.time

    for now, time in from_first(seen(), faces):
        yield SeenFaces(tuple(performance for performance, _ in now), time, now[0][1])


@dataclass(frozen=True)
class ViewedFace:
    """Where the face is in a frame.

    Attributes:
        landmarks: in pixels of the model's view.
        time: when the frame is shown.
    """

    landmarks: Landmarks
    time: Fraction


def faces_in_view(
    frames: Iterable[VideoFrame],
    size: int,
    box: Callable[[Landmarks], CropBox] | None,
    face: int = 0,
    lost: list[Fraction] | None = None,
) -> Iterator[ViewedFace]:
    """Follow a face of a video in the model's view.

    While it is not seen, it stands still. Frames before its first appearance show that.

    Args:
        frames: the video.
        size: side of the view, in pixels.
        box: frames a face, smoothed over time; None takes whole frames.
        face: which face, the largest being 0.
        lost: gets the times of frames without the face.

    Raises:
        FaceError: at the end, if no frame shows the face.
    """
    smoother = CropSmoother()

    def in_view(frame: VideoFrame, sighting: Sighting) -> Landmarks | None:
        track = sighting.track
        if track is None:
            return None
        if box is None:
            height, width = frame.rgb.shape[:2]
            return track.landmarks * np.array([size / width, size / height, size / width])
        if track.is_new:
            smoother.reset()
        framed = smoother.update(box(track.landmarks), sighting.seconds)
        return framed.to_view(track.landmarks, size)

    seen = (
        ([in_view(frame, sighting)], frame.time)
        for frame, (sighting,) in followed(frames, [face], lost)
    )
    return (ViewedFace(landmarks, time) for (landmarks,), time in from_first(seen, [face]))


class FaceView:
    """The square around the face of a video, which is smoothed over time.

    Args:
        size: side of what is cut out, in pixels.
    """

    def __init__(self, size: int) -> None:
        self.size, self.smoother = size, CropSmoother()
        self.last: Picture | None = None

    def update(self, frame: VideoFrame, sighting: Sighting) -> Picture | None:
        """Cut the face out of the next frame; where it is lost, its last picture is returned."""
        track = sighting.track
        if track is not None:
            if track.is_new:
                self.smoother.reset()
            box = self.smoother.update(crop_box(track.landmarks), sighting.seconds)
            if track.seen is not None:
                self.last = crop(frame.rgb, box, self.size)
        return self.last


def followed(
    frames: Iterable[VideoFrame],
    faces: Sequence[int] = (0,),
    lost: list[Fraction] | None = None,
) -> Iterator[tuple[VideoFrame, list[Sighting]]]:
    """Follow faces, the largest being 0; they come in the order in which they are asked for.

    Args:
        frames: the video.
        faces: which.
        lost: gets the times of frames without one of the faces.
    """
    # One thread: this runs beside the drawing, which takes the others.
    tracker, last_times = FacesTracker(faces, num_threads=1), [Fraction(0)] * len(faces)
    cuts = CutDetector()
    for frame in frames:
        if cuts.update(frame.rgb):
            tracker.reset()
        tracks = tracker.update(frame.rgb)
        if lost is not None and any(track is None or track.seen is None for track in tracks):
            lost.append(frame.time)
        yield (
            frame,
            [
                Sighting(track, float(frame.time - last))
                for track, last in zip(tracks, last_times, strict=True)
            ],
        )
        last_times = [
            last if track is None else frame.time
            for track, last in zip(tracks, last_times, strict=True)
        ]


def from_first(
    values: Iterable[tuple[Sequence[T | None], Fraction]], faces: Sequence[int]
) -> Iterator[tuple[list[T], Fraction]]:
    """Give each face, in frames before the first one that has a value of it, that value.

    Args:
        values: of the faces, and when they are shown. A face that was seen once has a value always.
        faces: their numbers, for messages.

    Raises:
        FaceError: at the end, if no frame has a value of one of the faces.
    """
    waiting: list[tuple[Sequence[T | None], Fraction]] = []
    for now, time in values:
        first = [value for value in now if value is not None]
        waiting.append((now, time))
        if len(first) < len(now):
            continue
        for earlier, earlier_time in waiting:
            both = zip(earlier, first, strict=True)
            yield [value if value is not None else later for value, later in both], earlier_time
        waiting.clear()
    if waiting:
        last = zip(faces, waiting[-1][0], strict=True)
        missing = next(number for number, value in last if value is None)
        which = "no face" if missing == 0 else f"no face {missing} (the largest is 0)"
        raise FaceError(
            f"{which} found in the driving video ({counted(len(waiting), 'frame')}); use one that "
            "shows a face from the front, or `crop=False` if it is cropped already"
        )


def resized(frames: Iterable[VideoFrame], size: int) -> Iterator[VideoFrame]:
    """Bring whole frames to the model's size, whatever their shape."""
    return (VideoFrame(resize(frame.rgb, size, size), frame.time) for frame in frames)


def spans_text(times: Sequence[Fraction], apart: Fraction, most: int = 5) -> str:
    """Return when something was so, in words: "0.32 to 0.60 s, 1.20 s".

    Args:
        times: of frames, in order, in seconds.
        apart: times farther apart than this are of different spans, in seconds.
        most: spans that are named.
    """
    spans: list[list[Fraction]] = []
    for time in times:
        if spans and time - spans[-1][-1] <= apart:
            spans[-1] = [spans[-1][0], time]
        else:
            spans.append([time, time])
    words = [
        f"{float(first):.2f} s" if first == last else f"{float(first):.2f} to {float(last):.2f} s"
        for first, last in spans
    ]
    more = f" and {len(words) - most} times more" if len(words) > most else ""
    return ", ".join(words[:most]) + more
