"""Drivers: where the motion comes from, frame by frame, as what drives a model or a performance.

A driver is a video, a folder of pictures, a keypoint track, a file of coefficients or arrays. It is
read once and forgotten frame by frame. What drives a model, `animation.motions` finds in its
frames; a performance is what the face does (`face3d.performance`).

Shapes: h1 and w1 of driving pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from jaxtyping import Float, UInt8

from fnevr.animation.coefficient_file import is_coefficient_file, load_coefficients
from fnevr.animation.face_crops import SeenFaces, performances, spans_text
from fnevr.animation.keypoint_log import DrivingBatch, M, in_batches
from fnevr.animation.keypoint_track import KeypointTrack, is_track, load_track
from fnevr.animation.motions import driving_keypoints, motion_of
from fnevr.animation.retargeting import can_retarget
from fnevr.config.stages import KeypointConfig
from fnevr.errors import FnevrError, MediaError, counted
from fnevr.face3d.performance import Performance
from fnevr.faces.detector import FaceDetector
from fnevr.faces.upright import quarter_turns
from fnevr.geometry.driving import Coefficients, Driving
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
LOOKED_AT = (0, 1, 2, 4, 8, 16)  # frames whose face says whether the driver stands upright
RATE_TOLERANCE = 0.01  # share by which a rate and the average of all frames may differ
T = TypeVar("T")
Read = Callable[[Sequence[EncodedSource]], Iterator[DrivingBatch[M]]]
"""Gives a driver's motion for the faces of a source."""

ARRAY_RATE = Fraction(25)  # frames per second that arrays without time-stamps are taken to have


@dataclass
class Driver(Generic[M]):
    """An opened driver, which is not read yet.

    Attributes:
        read: gives its motion, once; takes the faces to be animated, on which the keypoints of some
            models depend.
        frame_rate: frames per second, nominal where times vary.
        num_frames: if known; files are sometimes wrong.
        audio_from: the file whose sound belongs to it, if any.
        audio_start: seconds after the file's first frame at which that sound begins.
        warnings: what the report should say about it.
        num_faces: how many of its faces drive: one drives all faces of the source, more drive one
            each.
        end: says, once all is read, when its last frame ends; None is a frame period after it.
    """

    read: Read[M]
    frame_rate: Fraction
    num_frames: int | None
    audio_from: Path | None = None
    audio_start: Fraction = Fraction(0)
    warnings: list[str] = field(default_factory=list)
    num_faces: int = 1
    end: Callable[[], Fraction | None] = lambda: None

    def check_faces(self, num_sources: int) -> None:
        """Raise FnevrError if the faces cannot be matched to so many of the source."""
        if self.num_faces not in (1, num_sources):
            raise FnevrError(
                f"{self.num_faces} faces of the driver cannot drive {num_sources} of the source: "
                "name one that drives all, or one for each",
                argument="driver_face",
            )


@dataclass
class Recording:
    """An opened video whose motion is to be kept.

    Attributes:
        frames: keypoints and what the face does, a batch at a time; read once.
        frame_rate: frames per second; the average of all frames, once they are read.
        num_frames: if known; files are sometimes wrong.
        warnings: what is to be said about it, once all is read.
    """

    frames: Iterator[tuple[Keypoints, Performance | None]]
    frame_rate: Fraction
    num_frames: int | None
    warnings: list[str]


@dataclass(frozen=True)
class DriverFile:
    """What a driver is read from.

    Attributes:
        path: a video, a folder of pictures, a keypoint track, or a file of coefficients.
        track: what is in the track; None for all else.
        coefficients: what is in the file of coefficients; None for all else.
    """

    path: PathLike
    track: KeypointTrack | None
    coefficients: Float[np.ndarray, "T 73"] | None = None

    @classmethod
    def of_path(cls, path: PathLike) -> DriverFile:
        """Read what can be read at once.

        Raises:
            MediaError: if it is a track or a file of coefficients that cannot be read.
        """
        if is_coefficient_file(path):
            return cls(path, None, load_coefficients(path))
        return cls(path, load_track(path) if is_track(path) else None)

    @property
    def has_pictures(self) -> bool:
        """Whether it shows faces, rather than what one face does."""
        return self.track is None and self.coefficients is None

    @property
    def performs(self) -> bool:
        """Whether it has a performance, which coefficients and tracks of older versions lack."""
        if self.track is not None:
            return self.track.performance is not None
        return self.coefficients is None


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
    def motion(
        self, file: DriverFile, crop: bool, face: int = 0, span: Span = ALL
    ) -> Iterator[Driver[Driving]]:
        """Open a keypoint track, a file of coefficients, a video or a folder of pictures.

        It is read as what drives the model (`animation.motions`).

        Args:
            file: of the driver.
            crop: look for the face, where there are pictures.
            face: which face, the largest being 0.
            span: the part that drives.

        Raises:
            MediaError: if it cannot be read, or does not drive this model.
        """
        if file.coefficients is not None:
            yield self._of_coefficients(file.path, file.coefficients, span)
            return
        path, track = file.path, file.track
        if track is not None:
            self._check_keypoints(path, track)
            driver: Driver[Driving] = self._of_track(track, track.keypoints, span)
            if track.model != self.name:
                driver.warnings.append(
                    f"'{path}' was recorded with the model '{track.model}', not '{self.name}'"
                )
            yield driver
            return
        follow = partial(motion_of(self.engine).follow, self.engine, crop=crop, face=face)
        with self._opened(path, follow, span) as (followed, driver_of):
            yield driver_of(self._finds(followed))

    @contextmanager
    def performance(
        self, file: DriverFile, smooth: bool, faces: Sequence[int] = (0,), span: Span = ALL
    ) -> Iterator[Driver[Performance]]:
        """Open a keypoint track, a video or a folder of pictures, to be read as a performance.

        Args:
            file: of the driver.
            smooth: see `PerformanceReader`; a track is as it was recorded.
            faces: which faces, the largest being 0. One drives all faces of the source, more drive
                one each.
            span: the part that drives.

        Raises:
            MediaError: if it cannot be read, or is a track without a performance.
        """
        if file.coefficients is not None:
            self._check_coefficients(file.path)
        if file.track is not None:
            if file.track.performance is None:
                raise MediaError(
                    f"'{file.path}' has keypoints only, which older versions recorded: record it "
                    "again, or use `transfer='relative'`"
                )
            yield self._of_track(file.track, file.track.performance, span)
            return
        follow = partial(performances, smooth=smooth, faces=faces)
        with self._opened(file.path, follow, span) as (seen, driver_of):
            yield replace(driver_of(self._performs(seen)), num_faces=len(faces))

    @contextmanager
    def recording(
        self, path: PathLike, crop: bool, smooth: bool, span: Span = ALL
    ) -> Iterator[Recording]:
        """Open a video or a folder of pictures, to be read as keypoints and as a performance.

        Args:
            path: of the driver.
            crop: look for the face; False takes whole pictures for the keypoints.
            smooth: see `PerformanceReader`. There is a performance where the model can be driven by
                one.
            span: the part to record.

        Raises:
            MediaError: if it cannot be read.
        """
        if can_retarget(self.engine):
            size = self.engine.config.image_size
            follow = partial(performances, smooth=smooth, size=size, crops=crop)
            with self._opened(path, follow, span) as (seen, driver_of):
                performer: Driver[Performance] = driver_of(self._performs(seen))
                yield _counted(performer, self._recorded(seen))
            return
        with self.motion(DriverFile(path, None), crop, span=span) as driver:
            batches = keypoints_alone(driver.read([]))
            yield _counted(driver, ((b.of(0), None, b.times[-1]) for b in batches))

    def _recorded(
        self, seen: Iterable[SeenFaces]
    ) -> Iterator[tuple[Keypoints, Performance | None, Fraction]]:
        for batch in in_batches(seen, self.batch_size):
            pictures = [frame.rgb for frame in batch if frame.rgb is not None]
            performance = Performance.concatenate([frame.performances[0] for frame in batch])
            yield driving_keypoints(self.engine, pictures), performance, batch[-1].time

    def motion_of_arrays(
        self, pictures: Iterable[UInt8[np.ndarray, "h1 w1 3"]], crop: bool, face: int = 0
    ) -> Driver[Driving]:
        """Take arrays as a driver; they are read as they are asked for."""
        frames = timed(pictures)
        followed = motion_of(self.engine).follow(self.engine, frames, crop=crop, face=face)
        return Driver(self._finds(followed), ARRAY_RATE, None)

    def performance_of_arrays(
        self,
        pictures: Iterable[UInt8[np.ndarray, "h1 w1 3"]],
        smooth: bool,
        faces: Sequence[int] = (0,),
    ) -> Driver[Performance]:
        """Take arrays as a driver whose performance is read as it is asked for."""
        seen = performances(timed(pictures), smooth, faces=faces)
        return Driver(self._performs(seen), ARRAY_RATE, None, num_faces=len(faces))

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
                sound = audio_from, span.start
                return Driver(read, rate, num_frames, *sound, warnings, end=lambda: reader.end)

            seen = follow(_told_if_turned(reader, warnings), lost=lost)
            with closing(Ahead(seen, READ_AHEAD)) as ahead:
                yield ahead, driver_of
            if reader.damage:
                warnings.append(reader.damage)
            if lost:
                warnings.append(
                    f"no face was seen in {counted(len(lost), 'frame')} of the driver, at "
                    f"{spans_text(lost, 2 / info.frame_rate)}; there the portrait keeps still"
                )

    def _finds(self, followed: Iterable[Any]) -> Read[Driving]:
        motion = motion_of(self.engine)
        return lambda sources: motion.batches(self.engine, followed, sources, self.batch_size)

    def _of_coefficients(
        self, path: PathLike, frames: Float[np.ndarray, "T 73"], span: Span
    ) -> Driver[Driving]:
        """Take the numbers of a file as they are; windows look beyond the part that drives."""
        self._check_coefficients(path)
        windows: Driving = Coefficients.of_frames(frames)[span.indices(ARRAY_RATE, len(frames))]

        def read(_sources: Sequence[EncodedSource]) -> Iterator[DrivingBatch[Driving]]:
            return track_batches(windows, ARRAY_RATE, self.batch_size)

        return Driver(read, ARRAY_RATE, len(windows))

    def _performs(self, seen: Iterable[SeenFaces]) -> Read[Performance]:
        return lambda _sources: performance_batches(seen, self.batch_size)

    def _of_track(self, track: KeypointTrack, motion: M, span: Span) -> Driver[M]:
        motion = motion[span.indices(track.frame_rate, len(track))]

        def read(_sources: Sequence[EncodedSource]) -> Iterator[DrivingBatch[M]]:
            return track_batches(motion, track.frame_rate, self.batch_size)

        return Driver(read, track.frame_rate, len(motion))

    def _check_coefficients(self, path: PathLike) -> None:
        if self.engine.config.driven_by != "coefficients":
            raise MediaError(
                f"'{path}' holds 3DMM coefficients, but '{self.name}' is driven by "
                f"{self.engine.config.driven_by}: drive it with a video"
            )

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
                f"'{path}' moves {counted(track.keypoints.num_keypoints, 'keypoint')}, but the "
                f"model '{self.name}' has {num_keypoints}: record the motion with this model"
            )


def _told_if_turned(frames: Iterable[VideoFrame], warnings: list[str]) -> Iterator[VideoFrame]:
    """Give the frames, and warn where the first face that is seen soon does not stand upright."""
    detector = FaceDetector(1)
    turns: int | None = None
    for index, frame in enumerate(frames):
        if turns is None and index in LOOKED_AT:
            turns = quarter_turns(frame.rgb, detector)
            if turns:
                warnings.append(
                    f"the driver does not stand upright: turn the video by {90 * turns} degrees "
                    "clockwise, and use that"
                )
        yield frame


def opened(path: PathLike, span: Span) -> VideoReader:
    """Open a video, or a part of it."""
    reader = open_video(path)
    return reader if span.is_all else TrimmedReader(reader, span)


def _counted(
    driver: Driver[M], batches: Iterable[tuple[Keypoints, Performance | None, Fraction]]
) -> Recording:
    """Return a recording whose rate is the average of all frames, if that is another one."""
    recording = Recording(iter(()), driver.frame_rate, driver.num_frames, driver.warnings)

    def read() -> Iterator[tuple[Keypoints, Performance | None]]:
        num_frames, last_time = 0, Fraction(0)
        for keypoints, performance, time in batches:
            num_frames, last_time = num_frames + len(keypoints), time
            yield keypoints, performance
        if last_time > 0:
            gaps = num_frames - 1
            if abs(last_time * driver.frame_rate - gaps) > max(1, RATE_TOLERANCE * gaps):
                recording.frame_rate = exact_rate((gaps / last_time).limit_denominator(1001))
                recording.warnings.append("the frame rate varies: the motion has its average")

    recording.frames = read()
    return recording


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
        motions = tuple(motion for motion in batch.motions if isinstance(motion, Keypoints))
        assert len(motions) == len(batch.motions)
        yield DrivingBatch(motions, batch.times)


def performance_batches(
    seen: Iterable[SeenFaces], batch_size: int
) -> Iterator[DrivingBatch[Performance]]:
    """Join what faces do, a batch at a time."""
    for batch in in_batches(seen, batch_size):
        faces = zip(*(frame.performances for frame in batch), strict=True)
        motions = tuple(Performance.concatenate(face) for face in faces)
        yield DrivingBatch(motions, tuple(frame.time for frame in batch))


def track_batches(motion: M, frame_rate: Fraction, batch_size: int) -> Iterator[DrivingBatch[M]]:
    """Cut a recorded motion into batches."""
    for start in range(0, len(motion), batch_size):
        frames = motion[start : start + batch_size]
        times = (Fraction(start + index) / frame_rate for index in range(len(frames)))
        yield DrivingBatch((frames,), tuple(times))
