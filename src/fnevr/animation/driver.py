"""Drivers: where the motion comes from, as keypoints frame by frame.

A driver is a video, a folder of pictures, a keypoint track or arrays. It is read once, cropped
around the face it shows, and forgotten frame by frame.

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

import numpy as np
from jaxtyping import UInt8

from fnevr.animation.face_crops import face_crops, resized
from fnevr.animation.keypoint_log import DrivingBatch
from fnevr.animation.keypoint_track import KeypointTrack, is_track, load_track
from fnevr.animation.source import driving_keypoints
from fnevr.errors import MediaError
from fnevr.geometry.keypoints import Keypoints
from fnevr.media.files import PathLike
from fnevr.media.image import Picture, check_rgb
from fnevr.media.reader import VideoFrame
from fnevr.media.video import open_video
from fnevr.models.encoded_source import EncodedSource
from fnevr.runtime.ahead import Ahead
from fnevr.runtime.engine import Engine

READ_AHEAD = 4  # squares that wait to be used
ARRAY_RATE = Fraction(25)  # frames per second that arrays without time-stamps are taken to have


@dataclass
class Driver:
    """An opened driver, whose keypoints are not read yet.

    Attributes:
        read: gives its keypoints, once; takes the source to be animated, or None where there is
            none, as in recording.
        frame_rate: frames per second, nominal where times vary.
        num_frames: if known; files are sometimes wrong.
        audio_from: the file whose sound belongs to it, if any.
        warnings: what the report should say about it.
    """

    read: Callable[[EncodedSource | None], Iterator[DrivingBatch]]
    frame_rate: Fraction
    num_frames: int | None
    audio_from: Path | None = None
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Drivers:
    """Opens what drives a model.

    Attributes:
        engine: finds the keypoints.
        name: of the model; a keypoint track of another one gets a warning.
        batch_size: frames at a time.
    """

    engine: Engine
    name: str
    batch_size: int

    @contextmanager
    def open(self, path: PathLike, crop: bool) -> Iterator[Driver]:
        """Open a keypoint track, a video or a folder of pictures.

        Videos are decoded and followed from now on, in a thread of their own.

        Args:
            path: of the driver.
            crop: look for the face, where there are pictures.

        Raises:
            MediaError: if it cannot be read, or a track has other keypoints than the model.
        """
        if is_track(path):
            track = load_track(path)
            driver = Driver(self._reads_track(path, track), track.frame_rate, len(track))
            if track.model != self.name:
                driver.warnings.append(
                    f"'{path}' was recorded with the model '{track.model}', not '{self.name}'"
                )
            yield driver
            return
        with open_video(path) as reader:
            info = reader.info
            audio_from = Path(path) if info.has_audio else None
            with closing(Ahead(self._squares(reader, crop), READ_AHEAD)) as squares:
                driver = Driver(self._reads(squares), info.frame_rate, info.num_frames, audio_from)
                yield driver
            if reader.damage:
                driver.warnings.append(reader.damage)

    def of_arrays(self, pictures: Iterable[UInt8[np.ndarray, "h1 w1 3"]], crop: bool) -> Driver:
        """Take arrays as a driver; they are read as they are asked for."""
        timed = (_timed(index, rgb) for index, rgb in enumerate(pictures))
        return Driver(self._reads(self._squares(timed, crop)), ARRAY_RATE, None)

    def _squares(self, frames: Iterable[VideoFrame], crop: bool) -> Iterator[VideoFrame]:
        size = self.engine.config.image_size
        return face_crops(frames, size) if crop else resized(frames, size)

    def _reads(
        self, squares: Iterable[VideoFrame]
    ) -> Callable[[EncodedSource | None], Iterator[DrivingBatch]]:
        def read(source: EncodedSource | None) -> Iterator[DrivingBatch]:
            find_keypoints = partial(driving_keypoints, self.engine, source=source)
            return video_batches(squares, find_keypoints, self.batch_size)

        return read

    def _reads_track(
        self, path: PathLike, track: KeypointTrack
    ) -> Callable[[EncodedSource | None], Iterator[DrivingBatch]]:
        if self.engine.config.uses_source_keypoints:
            raise MediaError(
                f"'{path}' is a keypoint track, but the keypoints of '{self.name}' depend on the "
                "source: drive it with a video"
            )
        num_keypoints = getattr(self.engine.config, "num_keypoints", track.keypoints.num_keypoints)
        if track.keypoints.num_keypoints != num_keypoints:
            raise MediaError(
                f"'{path}' moves {track.keypoints.num_keypoints} keypoints, but the model "
                f"'{self.name}' has {num_keypoints}: record the motion with this model"
            )
        return lambda _source: track_batches(track, self.batch_size)


def _timed(index: int, rgb: Picture) -> VideoFrame:
    check_rgb(rgb)
    return VideoFrame(rgb, index / ARRAY_RATE)


def video_batches(
    frames: Iterable[VideoFrame],
    find_keypoints: Callable[[list[Picture]], Keypoints],
    batch_size: int,
) -> Iterator[DrivingBatch]:
    """Find the keypoints of frames that have the model's size, a batch at a time."""
    remaining = iter(frames)
    while batch := list(itertools.islice(remaining, batch_size)):
        keypoints = find_keypoints([frame.rgb for frame in batch])
        yield DrivingBatch(keypoints, tuple(frame.time for frame in batch))


def track_batches(track: KeypointTrack, batch_size: int) -> Iterator[DrivingBatch]:
    """Cut a keypoint track into batches."""
    for start in range(0, len(track), batch_size):
        keypoints = track.keypoints[start : start + batch_size]
        times = (Fraction(start + i) / track.frame_rate for i in range(len(keypoints)))
        yield DrivingBatch(keypoints, tuple(times))
