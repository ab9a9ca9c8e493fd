"""What every source of video frames looks like: a container, an animated picture, a folder."""

from __future__ import annotations

import abc
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

MAX_RATE = 1e6  # frames per second
MAX_TERM = 2**31 - 1  # of FFmpeg's fractions
LONG_FRAME = 1.5  # frame periods: a last frame that is shown longer keeps its length

logger = logging.getLogger(__name__)

NTSC_RATES = tuple(Fraction(1000 * n, 1001) for n in (24, 30, 48, 60, 120))


@dataclass(frozen=True)
class VideoFrame:
    """One picture of a video.

    Attributes:
        rgb: upright, alpha over white.
        time: in seconds after the first frame, exact as in the file.
    """

    rgb: UInt8[np.ndarray, "H W 3"]
    time: Fraction


@dataclass(frozen=True)
class VideoInfo:
    """What is known before all frames are read.

    Attributes:
        width: of the frames as they are yielded: rotated, with square pixels.
        height: of the frames as they are yielded.
        frame_rate: frames per second; the average where the rate varies.
        num_frames: as the file claims; None where it does not say. Files are sometimes wrong.
        duration: in seconds, as the file claims; None where it does not say.
        has_audio: whether there is a sound track.
        start: time of the first frame on the file's own clock, which its sound shares.
    """

    width: int
    height: int
    frame_rate: Fraction
    num_frames: int | None
    duration: Fraction | None
    has_audio: bool
    start: Fraction = Fraction(0)


class VideoReader(abc.ABC):
    """Frames of one video, read as they are asked for.

    Iterating again starts again from the first frame; at most a few frames are in memory.
    A video that is damaged after its first frame ends there: a warning is logged and kept in
    `damage`. A video without any readable frame cannot be opened at all.

    Attributes:
        path: what was opened.
        info: what is known in advance.
        damage: what went wrong while reading, None while nothing has.
        end: when the last frame ends, in seconds after the first, known when all are read; None
            where it is shown as long as the others.
    """

    def __init__(self, path: Path, info: VideoInfo):
        self.path = path
        self.info = info
        self.damage: str | None = None
        self.end: Fraction | None = None
        self._running: list[Iterator[VideoFrame]] = []

    @abc.abstractmethod
    def _frames(self) -> Iterator[VideoFrame]:
        """Yield all frames in order of time, from the first one."""

    def __iter__(self) -> Iterator[VideoFrame]:
        frames = self._frames()
        self._running.append(frames)
        return frames

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; iterators that are under way end."""
        for frames in self._running:
            frames.close()  # type: ignore[attr-defined]  # they are generators
        self._running.clear()

    def _ends_at(self, end: Fraction, last: Fraction) -> None:
        """Remember when the last frame ends, if it is shown longer than the others."""
        self.end = end if (end - last) * self.info.frame_rate > LONG_FRAME else None

    def _report_damage(self, message: str) -> None:
        """Remember and log that the video ends early."""
        self.damage = message
        logger.warning("%s", message)


def exact_rate(rate: Fraction | float | int) -> Fraction:
    """Return a frame rate as the fraction of small numbers that containers hold.

    29.97 as a float becomes 2997/100. What is a small fraction already stays as it is.

    Raises:
        ValueError: if it is not between one frame in `MAX_RATE` seconds and as many per second.
    """
    if not 1 / MAX_RATE <= rate <= MAX_RATE:
        raise ValueError(f"the frame rate must be {1 / MAX_RATE:g} to {MAX_RATE:g}, got {rate}")
    exact = Fraction(rate)
    if max(exact.numerator, exact.denominator) <= MAX_TERM:
        return exact
    is_slow = exact < 1
    near = (1 / exact if is_slow else exact).limit_denominator(1001)
    return 1 / near if is_slow else near


def nearest_rate(rate: Fraction) -> Fraction:
    """Undo the rounding that containers apply to whole and NTSC frame rates.

    29.97 and 19001/634 both become 30000/1001; a rate near none of them stays as it is.
    """
    candidates = [*NTSC_RATES, Fraction(round(rate))]
    best = min(candidates, key=lambda candidate: abs(candidate - rate))
    return best if best > 0 and abs(best - rate) <= rate / 10_000 else rate
