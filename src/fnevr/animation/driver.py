"""Drivers: where the motion comes from, frame by frame, as keypoints or as a performance.

A driver is a video, a folder of pictures, a keypoint track or arrays. It is read once and forgotten
frame by frame. Keypoints are those of its frames, cropped around the face; a performance is what
the face does (`face3d.performance`).

Shapes: h1 and w1 of driving pictures.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import UInt8

from fnevr.animation.face_crops import SeenFace, face_crops, performances, resized
from fnevr.animation.keypoint_log import DrivingBatch, M
from fnevr.animation.keypoint_track import KeypointTrack, is_track, load_track
from fnevr.animation.retargeting import can_retarget
from fnevr.animation.source import driving_keypoints
from fnevr.errors import MediaError, counted
from fnevr.face3d.performance import Performance
from fnevr.geometry.keypoints import Keypoints
from fnevr.media.files import PathLike
from fnevr.media.image import Picture, check_rgb
from fnevr.media.reader import VideoFrame, VideoReader, exact_rate
from fnevr.media.trim import Span, TrimmedReader
from fnevr.media.video import open_video
from fnevr.models.encoded_source import EncodedSource
from fnevr.runtime.ahead import Ahead
from fnevr.runtime.engine import Engine

ALL = Span()
READ_AHEAD = 4  # frames that wait to be used
RATE_TOLERANCE = 0.01  # share by which a rate and the average of all frames may differ
T = TypeVar("T")
Read = Callable[[EncodedSource | None], Iterator[DrivingBatch[M]]]
"""Gives a driver's motion for a source."""

ARRAY_RATE = Fraction(25)  # frames per second that arrays without time-stamps are taken to have


@dataclass
class Driver(Generic[M]):
    """An opened driver, which is not read yet.

    Attributes:
        read: gives its motion, once; takes the source to be animated, or None where there is none,
            as in recording.
        frame_rate: frames per second, nominal where times vary.
        num_frames: if known; files are sometimes wrong.
        audio_from: the file whose sound belongs to it, if any.
        audio_start: seconds after the file's first frame at which that sound begins.
        warnings: what the report should say about it.
    """

    read: Read[M]
    frame_rate: Fraction
    num_frames: int | None
    audio_from: Path | None = None
    audio_start: Fraction = Fraction(0)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Drivers:
    """Opens what drives a model.

    Videos are decoded and followed from when they are opened, in a thread of their own.

    Attributes:
        engine: finds the keypoints.
        name: of the model; a keypoint track of another one gets a warning.
        batch_size: frames at a time.
    """

    engine: Engine
    name: str
    batch_size: int

    @contextmanager
    def keypoints(
        self, path: PathLike, crop: bool, span: Span = ALL
    ) -> Iterator[Driver[Keypoints]]:
        """Open a keypoint track, a video or a folder of pictures, to be read as keypoints.

        Args:
            path: of the driver.
            crop: look for the face, where there are pictures.
            span: the part that drives.

        Raises:
            MediaError: if it cannot be read, or a track has other keypoints than the model.
        """
        if is_track(path):
            track = load_track(path)
            self._check_keypoints(path, track)
            driver: Driver[Keypoints] = self._of_track(track, track.keypoints, span)
            if track.model != self.name:
                driver.warnings.append(
                    f"'{path}' was recorded with the model '{track.model}', not '{self.name}'"
                )
            yield driver
            return
        with self._opened(path, partial(self._squares, crop=crop), span) as (squares, driver_of):
            yield driver_of(self._finds(squares))

    @contextmanager
    def performance(
        self, path: PathLike, smooth: bool, span: Span = ALL
    ) -> Iterator[Driver[Performance]]:
        """Open a keypoint track, a video or a folder of pictures, to be read as a performance.

        Args:
            path: of the driver.
            smooth: see `PerformanceReader`; a track is as it was recorded.
            span: the part that drives.

        Raises:
            MediaError: if it cannot be read, or is a track without a performance.
        """
        if is_track(path):
            track = load_track(path)
            if track.performance is None:
                raise MediaError(
                    f"'{path}' has keypoints only, which older versions recorded: record it again, "
                    "or use `transfer='relative'`"
                )
            yield self._of_track(track, track.performance, span)
            return
        with self._opened(path, partial(performances, smooth=smooth), span) as (faces, driver_of):
            yield driver_of(self._performs(faces))

    @contextmanager
    def recording(
        self, path: PathLike, crop: bool, smooth: bool, span: Span = ALL
    ) -> Iterator[tuple[Driver[Keypoints], Iterator[tuple[Keypoints, Performance | None]]]]:
        """Open a video or a folder of pictures, to be read as keypoints and as a performance.

        Args:
            path: of the driver.
            crop: look for the face; False takes whole pictures for the keypoints.
            smooth: see `PerformanceReader`. There is a performance where the model can be driven by
                one.
            span: the part to record.

        Yields:
            The driver, whose frame rate is the average of all frames once they are read, and the
            motion.

        Raises:
            MediaError: if it cannot be read.
        """
        if not can_retarget(self.engine):
            with self.keypoints(path, crop, span) as driver:
                batches = driver.read(None)
                yield driver, _counted(driver, ((b.motion, None, b.times[-1]) for b in batches))
            return
        size = self.engine.config.image_size
        reads = partial(performances, smooth=smooth, size=size, crops=crop)
        with self._opened(path, reads, span) as (faces, driver_of):
            driver = driver_of(lambda _source: iter(()))
            yield driver, _counted(driver, self._recorded(faces))

    def _recorded(
        self, faces: Iterable[SeenFace]
    ) -> Iterator[tuple[Keypoints, Performance | None, Fraction]]:
        for batch in in_batches(faces, self.batch_size):
            pictures = [face.rgb for face in batch if face.rgb is not None]
            performance = Performance.concatenate([face.performance for face in batch])
            yield driving_keypoints(self.engine, pictures), performance, batch[-1].time

    def keypoints_of_arrays(
        self, pictures: Iterable[UInt8[np.ndarray, "h1 w1 3"]], crop: bool
    ) -> Driver[Keypoints]:
        """Take arrays as a driver; they are read as they are asked for."""
        return Driver(self._finds(self._squares(_timed(pictures), crop)), ARRAY_RATE, None)

    def performance_of_arrays(
        self, pictures: Iterable[UInt8[np.ndarray, "h1 w1 3"]], smooth: bool
    ) -> Driver[Performance]:
        """Take arrays as a driver whose performance is read as it is asked for."""
        faces = performances(_timed(pictures), smooth)
        return Driver(self._performs(faces), ARRAY_RATE, None)

    @contextmanager
    def _opened(
        self, path: PathLike, follow: Callable[..., Iterator[T]], span: Span
    ) -> Iterator[tuple[Iterable[T], Callable[[Read[M]], Driver[M]]]]:
        """Open a video; give what is followed in it, and what makes a driver of that."""
        with opened(path, span) as reader:
            info, warnings, lost = reader.info, list[str](), list[Fraction]()
            audio_from = Path(path) if info.has_audio else None

            def driver_of(read: Read[M]) -> Driver[M]:
                rate, num_frames = info.frame_rate, info.num_frames
                return Driver(read, rate, num_frames, audio_from, span.start, warnings)

            with closing(Ahead(follow(reader, lost=lost), READ_AHEAD)) as ahead:
                yield ahead, driver_of
            if reader.damage:
                warnings.append(reader.damage)
            if lost:
                warnings.append(
                    f"no face was seen in {counted(len(lost), 'frame')} of the driver, first at "
                    f"{float(lost[0]):.2f} s; there the portrait keeps still"
                )

    def _squares(
        self, frames: Iterable[VideoFrame], crop: bool, lost: list[Fraction] | None = None
    ) -> Iterator[VideoFrame]:
        size = self.engine.config.image_size
        return face_crops(frames, size, lost) if crop else resized(frames, size)

    def _finds(self, squares: Iterable[VideoFrame]) -> Read[Keypoints]:
        def read(source: EncodedSource | None) -> Iterator[DrivingBatch[Keypoints]]:
            find_keypoints = partial(driving_keypoints, self.engine, source=source)
            return video_batches(squares, find_keypoints, self.batch_size)

        return read

    def _performs(self, faces: Iterable[SeenFace]) -> Read[Performance]:
        return lambda _source: performance_batches(faces, self.batch_size)

    def _of_track(self, track: KeypointTrack, motion: M, span: Span) -> Driver[M]:
        motion = motion[span.indices(track.frame_rate, len(track))]

        def read(_source: EncodedSource | None) -> Iterator[DrivingBatch[M]]:
            return track_batches(motion, track.frame_rate, self.batch_size)

        return Driver(read, track.frame_rate, len(motion))

    def _check_keypoints(self, path: PathLike, track: KeypointTrack) -> None:
        if self.engine.config.uses_source_keypoints:
            raise MediaError(
                f"'{path}' is a keypoint track, but the keypoints of '{self.name}' depend on the "
                "source: drive it with a video"
            )
        num_keypoints = getattr(self.engine.config, "num_keypoints", track.keypoints.num_keypoints)
        if track.keypoints.num_keypoints != num_keypoints:
            raise MediaError(
                f"'{path}' moves {counted(track.keypoints.num_keypoints, 'keypoint')}, but the "
                f"model '{self.name}' has {num_keypoints}: record the motion with this model"
            )


def opened(path: PathLike, span: Span) -> VideoReader:
    """Open a video, or a part of it."""
    reader = open_video(path)
    return reader if span.is_all else TrimmedReader(reader, span)


def _counted(
    driver: Driver[Keypoints], batches: Iterable[tuple[Keypoints, Performance | None, Fraction]]
) -> Iterator[tuple[Keypoints, Performance | None]]:
    """Pass batches on; at the end the driver's rate is their average, if it was another."""
    num_frames, last_time = 0, Fraction(0)
    for keypoints, performance, time in batches:
        num_frames, last_time = num_frames + len(keypoints), time
        yield keypoints, performance
    if last_time > 0:
        gaps = num_frames - 1
        if abs(last_time * driver.frame_rate - gaps) > max(1, RATE_TOLERANCE * gaps):
            driver.frame_rate = exact_rate((gaps / last_time).limit_denominator(1001))
            driver.warnings.append("the frame rate varies: the motion has its average")


def _timed(pictures: Iterable[Picture]) -> Iterator[VideoFrame]:
    for index, rgb in enumerate(pictures):
        check_rgb(rgb)
        yield VideoFrame(rgb, index / ARRAY_RATE)


def in_batches(items: Iterable[T], batch_size: int) -> Iterator[list[T]]:
    """Take items as they come, so many at a time; the last batch may be smaller."""
    remaining = iter(items)
    while batch := list(itertools.islice(remaining, batch_size)):
        yield batch


def video_batches(
    frames: Iterable[VideoFrame],
    find_keypoints: Callable[[list[Picture]], Keypoints],
    batch_size: int,
) -> Iterator[DrivingBatch[Keypoints]]:
    """Find the keypoints of frames that have the model's size, a batch at a time."""
    for batch in in_batches(frames, batch_size):
        keypoints = find_keypoints([frame.rgb for frame in batch])
        yield DrivingBatch(keypoints, tuple(frame.time for frame in batch))


def performance_batches(
    faces: Iterable[SeenFace], batch_size: int
) -> Iterator[DrivingBatch[Performance]]:
    """Join what a face does, a batch at a time."""
    for batch in in_batches(faces, batch_size):
        performance = Performance.concatenate([face.performance for face in batch])
        yield DrivingBatch(performance, tuple(face.time for face in batch))


def track_batches(motion: M, frame_rate: Fraction, batch_size: int) -> Iterator[DrivingBatch[M]]:
    """Cut a recorded motion into batches."""
    for start in range(0, len(motion), batch_size):
        frames = motion[start : start + batch_size]
        times = (Fraction(start + index) / frame_rate for index in range(len(frames)))
        yield DrivingBatch(frames, tuple(times))
