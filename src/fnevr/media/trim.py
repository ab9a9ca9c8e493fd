"""A part of a video: from one time to before another."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from fnevr.errors import FnevrError, MediaError
from fnevr.media.reader import VideoFrame, VideoReader

CLOCK_TIME = re.compile(r"(?:(?:(\d{1,9}):)?(\d{1,2}):)?(\d{1,9}(?:\.\d{1,99})?)")
LONGEST_S = 10**13  # what hours of nine digits come to


@dataclass(frozen=True)
class Span:
    """Times of a video, in seconds after its first frame.

    Attributes:
        start: of the first frame that counts.
        end: frames count that come before; None is the end of the video.

    Raises:
        FnevrError: if nothing lies between the two.
    """

    start: Fraction = Fraction(0)
    end: Fraction | None = None

    def __post_init__(self) -> None:
        if self.start < 0:
            raise FnevrError(f"times count from 0, got {float(self.start):g}", argument="start_s")
        if self.end is not None and self.end <= self.start:
            raise FnevrError(
                f"nothing is left between {float(self.start):g} and {float(self.end):g} s: the end "
                "must come after the start",
                argument="end_s",
            )

    @classmethod
    def of_seconds(
        cls, start_s: Fraction | float | int, end_s: Fraction | float | int | None
    ) -> Span:
        """Make a span of floats, to a microsecond.

        Raises:
            FnevrError: if they are no times, or nothing lies between them.
        """
        return cls(_exact(start_s, "start_s"), None if end_s is None else _exact(end_s, "end_s"))

    @property
    def is_all(self) -> bool:
        """Whether nothing is left out."""
        return self == Span()

    def holds(self, time: Fraction) -> bool:
        """Tell whether the frame at a time counts."""
        return self.start <= time and (self.end is None or time < self.end)

    def indices(self, frame_rate: Fraction, num_frames: int) -> slice:
        """Return which frames of a constant rate count.

        Raises:
            MediaError: if none does.
        """
        first = math.ceil(self.start * frame_rate)
        stop = num_frames if self.end is None else min(num_frames, math.ceil(self.end * frame_rate))
        if first >= stop:
            raise self.nothing(num_frames / frame_rate)
        return slice(first, stop)

    def nothing(self, length: Fraction) -> MediaError:
        """Say that a video of some length has no frame that counts."""
        end = "the end" if self.end is None else f"{float(self.end):g} s"
        return MediaError(
            f"the driver has no frame from {float(self.start):g} s to {end}: it is "
            f"{float(length):.2f} s long",
            argument="start_s",
        )


def parse_seconds(text: str, argument: str) -> Fraction:
    """Read a time as people write it: 12.5, 1:30 or 1:02:03.5.

    Raises:
        FnevrError: if it is none.
    """
    match = CLOCK_TIME.fullmatch(text.strip())
    if match is None:
        raise FnevrError(
            f"'{text}' is no time: wanted seconds, m:s or h:m:s, as in 12.5 or 1:02:03",
            argument=argument,
        )
    hours, minutes, seconds = match.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + Fraction(seconds)


def _exact(seconds: Fraction | float | int, argument: str) -> Fraction:
    if not -LONGEST_S <= seconds <= LONGEST_S:
        raise FnevrError(
            f"a time must be a number of seconds, {LONGEST_S:g} at most", argument=argument
        )
    return Fraction(seconds).limit_denominator(1_000_000)


class TrimmedReader(VideoReader):
    """A part of what another reader gives, whose start is at 0.

    What comes before is decoded and dropped. The first frame is shown from 0 on, if its own time
    is not exactly the start, so that the others keep in step with the sound.

    Args:
        reader: of the whole video; closed with this one.
        span: the part.
    """

    def __init__(self, reader: VideoReader, span: Span):
        self._whole, self._span = reader, span
        super().__init__(reader.path, replace(reader.info, num_frames=None, duration=None))

    def _frames(self) -> Iterator[VideoFrame]:
        is_empty, time, end = True, Fraction(0), None
        for frame in self._whole:
            if self._span.end is not None and frame.time >= self._span.end:
                end = self._span.end
                break
            time = frame.time
            if self._span.holds(time):
                yield VideoFrame(frame.rgb, Fraction(0) if is_empty else time - self._span.start)
                is_empty = False
        self.damage = self._whole.damage
        if is_empty:
            raise self._span.nothing(time + 1 / self.info.frame_rate)
        end = end or self._whole.end
        if end is not None:
            end = min(end, self._span.end or end)
            self._ends_at(end - self._span.start, time - self._span.start)

    def close(self) -> None:
        """Close the file; iterators that are under way end."""
        super().close()
        self._whole.close()
