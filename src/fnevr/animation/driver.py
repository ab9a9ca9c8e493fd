"""Drivers: where the motion comes from, frame by frame, as what drives a model or a performance.

A driver is a video, a folder of pictures, a keypoint track, a file of coefficients or arrays. It is
read once and forgotten frame by frame. What drives a model, `animation.motions` finds in its
frames; a performance is what the face does (`face3d.performance`).

Shapes: h1 and w1 of driving pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from jaxtyping import UInt8

from fnevr.animation.coefficient_file import is_coefficient_file, load_coefficients
from fnevr.animation.face_crops import SeenFace, performances
from fnevr.animation.keypoint_log import DrivingBatch, M, in_batches
from fnevr.animation.keypoint_track import KeypointTrack, is_track, load_track
from fnevr.animation.motions import driving_keypoints, motion_of
from fnevr.animation.retargeting import can_retarget
from fnevr.config.stages import KeypointConfig
from fnevr.errors import MediaError
from fnevr.face3d.performance import Performance
from fnevr.geometry.driving import Coefficients, Driving
from fnevr.geometry.keypoints import Keypoints
from fnevr.media.files import PathLike
from fnevr.media.image import Picture, check_rgb
from fnevr.media.reader import VideoFrame
from fnevr.media.video import open_video
from fnevr.models.encoded_source import EncodedSource
from fnevr.runtime.ahead import Ahead
from fnevr.runtime.engine import Engine

READ_AHEAD = 4  # frames that wait to be used
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
        warnings: what the report should say about it.
    """

    read: Read[M]
    frame_rate: Fraction
    num_frames: int | None
    audio_from: Path | None = None
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
    def motion(self, path: PathLike, crop: bool) -> Iterator[Driver[Driving]]:
        """Open a keypoint track, a file of coefficients, a video or a folder of pictures.

        It is read as what drives the model (`animation.motions`).

        Args:
            path: of the driver.
            crop: look for the face, where there are pictures.

        Raises:
            MediaError: if it cannot be read, or does not drive this model.
        """
        if is_coefficient_file(path):
            yield self._of_coefficients(path)
            return
        if is_track(path):
            track = load_track(path)
            self._check_keypoints(path, track)
            driver: Driver[Driving] = self._of_track(track, track.keypoints)
            if track.model != self.name:
                driver.warnings.append(
                    f"'{path}' was recorded with the model '{track.model}', not '{self.name}'"
                )
            yield driver
            return
        follow = partial(motion_of(self.engine).follow, self.engine, crop=crop)
        with self._opened(path, follow) as (followed, driver_of):
            yield driver_of(self._finds(followed))

    @contextmanager
    def performance(self, path: PathLike, smooth: bool) -> Iterator[Driver[Performance]]:
        """Open a keypoint track, a video or a folder of pictures, to be read as a performance.

        Args:
            path: of the driver.
            smooth: see `PerformanceReader`; a track is as it was recorded.

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
            yield self._of_track(track, track.performance)
            return
        with self._opened(path, partial(performances, smooth=smooth)) as (faces, driver_of):
            yield driver_of(self._performs(faces))

    @contextmanager
    def recording(
        self, path: PathLike, crop: bool, smooth: bool
    ) -> Iterator[tuple[Driver[Driving], Iterator[tuple[Keypoints, Performance | None]]]]:
        """Open a video or a folder of pictures, to be read as keypoints and as a performance.

        Args:
            path: of the driver.
            crop: look for the face; False takes whole pictures for the keypoints.
            smooth: see `PerformanceReader`. There is a performance where the model can be driven by
                one.

        Raises:
            MediaError: if it cannot be read.
        """
        if not can_retarget(self.engine):
            with self.motion(path, crop) as moving:
                yield moving, ((batch.motion, None) for batch in keypoints_alone(moving.read(None)))
            return
        size = self.engine.config.image_size
        reads = partial(performances, smooth=smooth, size=size, crops=crop)
        with self._opened(path, reads) as (faces, driver_of):
            yield driver_of(lambda _source: iter(())), self._recorded(faces)

    def _recorded(
        self, faces: Iterable[SeenFace]
    ) -> Iterator[tuple[Keypoints, Performance | None]]:
        for batch in in_batches(faces, self.batch_size):
            pictures = [face.rgb for face in batch if face.rgb is not None]
            performance = Performance.concatenate([face.performance for face in batch])
            yield driving_keypoints(self.engine, pictures), performance

    def motion_of_arrays(
        self, pictures: Iterable[UInt8[np.ndarray, "h1 w1 3"]], crop: bool
    ) -> Driver[Driving]:
        """Take arrays as a driver; they are read as they are asked for."""
        followed = motion_of(self.engine).follow(self.engine, timed(pictures), crop=crop)
        return Driver(self._finds(followed), ARRAY_RATE, None)

    def performance_of_arrays(
        self, pictures: Iterable[UInt8[np.ndarray, "h1 w1 3"]], smooth: bool
    ) -> Driver[Performance]:
        """Take arrays as a driver whose performance is read as it is asked for."""
        faces = performances(timed(pictures), smooth)
        return Driver(self._performs(faces), ARRAY_RATE, None)

    @contextmanager
    def _opened(
        self, path: PathLike, follow: Callable[[Iterable[VideoFrame]], Iterator[T]]
    ) -> Iterator[tuple[Iterable[T], Callable[[Read[M]], Driver[M]]]]:
        """Open a video; give what is followed in it, and what makes a driver of that."""
        with open_video(path) as reader:
            info, warnings = reader.info, list[str]()
            audio_from = Path(path) if info.has_audio else None

            def driver_of(read: Read[M]) -> Driver[M]:
                return Driver(read, info.frame_rate, info.num_frames, audio_from, warnings)

            with closing(Ahead(follow(reader), READ_AHEAD)) as ahead:
                yield ahead, driver_of
            if reader.damage:
                warnings.append(reader.damage)

    def _finds(self, followed: Iterable[Any]) -> Read[Driving]:
        motion = motion_of(self.engine)
        return lambda source: motion.batches(self.engine, followed, source, self.batch_size)

    def _of_coefficients(self, path: PathLike) -> Driver[Driving]:
        """Take the numbers of a file as they are."""
        if self.engine.config.driven_by != "coefficients":
            raise MediaError(
                f"'{path}' holds 3DMM coefficients, but '{self.name}' is driven by "
                f"{self.engine.config.driven_by}: drive it with a video"
            )
        windows: Driving = Coefficients.of_frames(load_coefficients(path))

        def read(_source: EncodedSource | None) -> Iterator[DrivingBatch[Driving]]:
            return track_batches(windows, ARRAY_RATE, self.batch_size)

        return Driver(read, ARRAY_RATE, len(windows))

    def _performs(self, faces: Iterable[SeenFace]) -> Read[Performance]:
        return lambda _source: performance_batches(faces, self.batch_size)

    def _of_track(self, track: KeypointTrack, motion: M) -> Driver[M]:
        def read(_source: EncodedSource | None) -> Iterator[DrivingBatch[M]]:
            return track_batches(motion, track.frame_rate, self.batch_size)

        return Driver(read, track.frame_rate, len(track))

    def _check_keypoints(self, path: PathLike, track: KeypointTrack) -> None:
        if self.engine.config.uses_source_keypoints:
            raise MediaError(
                f"'{path}' is a keypoint track, but the keypoints of '{self.name}' depend on the "
                "source: drive it with a video"
            )
        if not isinstance(self.engine.config, KeypointConfig):
            raise MediaError(
                f"'{path}' is a keypoint track, but '{self.name}' is driven by "
                f"{self.engine.config.driven_by}: drive it with a video"
            )
        num_keypoints = self.engine.config.num_keypoints
        if track.keypoints.num_keypoints != num_keypoints:
            raise MediaError(
                f"'{path}' moves {track.keypoints.num_keypoints} keypoints, but the model "
                f"'{self.name}' has {num_keypoints}: record the motion with this model"
            )


def timed(pictures: Iterable[Picture]) -> Iterator[VideoFrame]:
    """Give pictures the times of a video of `ARRAY_RATE`."""
    for index, rgb in enumerate(pictures):
        check_rgb(rgb)
        yield VideoFrame(rgb, index / ARRAY_RATE)


def keypoints_alone(
    batches: Iterable[DrivingBatch[Driving]],
) -> Iterator[DrivingBatch[Keypoints]]:
    """Take batches of a model that is driven by keypoints for what they are."""
    for batch in batches:
        assert isinstance(batch.motion, Keypoints)
        yield DrivingBatch(batch.motion, batch.times)


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
