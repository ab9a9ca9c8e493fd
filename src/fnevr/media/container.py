"""Video files of any container and codec, through FFmpeg's libraries (PyAV)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from fnevr.errors import MediaError
from fnevr.media.bounds import MAX_SCANS, num_scans
from fnevr.media.files import readable_file
from fnevr.media.image import KEPT_PIXELS
from fnevr.media.pixels import PLAYED_PIXELS, RgbConverter
from fnevr.media.reader import VideoFrame, VideoInfo, VideoReader, nearest_rate
from fnevr.media.samples import check_samples

DEFAULT_RATE = Fraction(25)
MAX_FRAME = KEPT_PIXELS  # 8K is below it
LOST_SECONDS = Fraction(1, 2)  # a video this much shorter than it claims was cut short
NUM_MEASURED, LEAST_MEASURED = 100, 3  # frames whose times are compared with the claimed rate

# FFmpeg's names of what is read. None of them follows names written inside the file, as playlists
# do, and none reads text as a picture.
FORMATS_READ = (
    *("mov", "matroska", "webm", "avi", "flv", "live_flv", "asf", "ogg", "nut", "rm", "mxf", "dv"),
    *("mpeg", "mpegts", "mpegvideo", "m4v", "h264", "hevc", "obu", "ivf", "mjpeg", "yuv4mpegpipe"),
    *("wav", "w64", "mp3", "aac", "flac", "ac3", "eac3", "aiff", "au", "caf", "amr"),
)
# PyAV raises ValueError and LookupError itself for formats that it cannot name.
AV_ERRORS = (av.FFmpegError, ValueError, LookupError)


def open_container(path: Path) -> InputContainer:
    """Open a media file; names inside it, and its own, are not followed to anywhere.

    Raises:
        MediaError: if the file is missing, empty, unreadable, or no media file.
    """
    check_samples(readable_file(path, "a video"))
    try:
        container = av.open(
            _OneFile(path),
            options={
                "format_whitelist": ",".join(FORMATS_READ),
                "protocol_whitelist": "none",
                "max_pixels": str(MAX_FRAME),  # of decoders that look at the first frames
            },
            metadata_errors="replace",
        )
    except av.ArgumentError as error:
        raise MediaError(
            f"'{path}' is not a video that is read, but a playlist, text or of a rare format: give "
            "the video itself, or convert it to MP4"
        ) from error
    except AV_ERRORS as error:
        raise MediaError(
            f"'{path}' is not a video that can be read ({_words(error)}): it may be cut "
            "short; copy it again or, if it plays elsewhere, convert it to MP4"
        ) from error
    assert isinstance(container, InputContainer), "it was opened to be read"
    return container


def holds_video(path: Path) -> bool:
    """Return whether a file has a video in it; what cannot be opened has none."""
    try:
        with open_container(path) as container:
            return video_stream(container) is not None
    except MediaError:
        return False


class _OneFile:
    """A file that FFmpeg reads through these methods, so that it knows no path and opens nothing.

    A name can be taken for a pattern of other files (`%03d.png`); here the ending alone is left,
    which some formats are recognized by.
    """

    def __init__(self, path: Path):
        self._file = path.open("rb", buffering=0)
        is_plain = re.fullmatch(r"\.[A-Za-z0-9]{1,8}", path.suffix) is not None
        self.name = f"media{path.suffix}" if is_plain else "media"

    def read(self, num_bytes: int) -> bytes:
        return self._file.read(num_bytes)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()


def video_stream(container: InputContainer) -> VideoStream | None:
    """Return the video that players show: the default one, or the first; covers do not count."""
    streams = container.streams.video
    real = [stream for stream in streams if not stream.disposition & Disposition.attached_pic]
    return next(iter(sorted(real, key=is_not_default)), None)


def is_not_default(stream: Stream) -> bool:
    """Tell whether a stream is not the one of its kind that the file asks to be played."""
    return not stream.disposition & Disposition.default


class ContainerReader(VideoReader):
    """Read a video file frame by frame.

    Raises:
        MediaError: if there is no video stream in it, or no frame that can be decoded.
    """

    def __init__(self, path: Path):
        with open_container(path) as container:
            stream = video_stream(container)
            if stream is None:
                raise MediaError(_no_video(path, container))
            if stream.codec_context is None:
                raise MediaError(f"'{path}': its video codec is not supported; convert it to MP4")
            width, height = stream.codec_context.width, stream.codec_context.height
            if width * height > MAX_FRAME:
                raise MediaError(
                    f"'{path}' has frames of {width} x {height}; at most {MAX_FRAME / 1e6:.0f} "
                    "megapixels are read: make it smaller"
                )
            first = next(_decode(container, stream, _Progress()), None)
            if first is None:
                raise MediaError(
                    f"'{path}' has no frame that can be decoded: it is damaged or cut short "
                    f"(copy or download it again), or larger than {MAX_FRAME / 1e6:.0f} megapixels"
                )
            super().__init__(path, _info(container, stream, first, _measured_rate(path)))

    def _frames(self) -> Iterator[VideoFrame]:
        with open_container(self.path) as container:
            stream = video_stream(container)
            assert stream is not None, "it was there when the file was opened"
            clock = _Clock(self.info.frame_rate, Fraction(stream.time_base or 0))
            converter = RgbConverter()
            progress = _Progress()
            time = Fraction(0)
            for frame in _decode(container, stream, progress):
                time = clock.time(frame)
                if frame.is_corrupt and progress.first_corrupt is None and time > 0:
                    progress.first_corrupt = time
                yield VideoFrame(converter.convert(frame, stream.sample_aspect_ratio), time)
            is_cut = progress.is_cut(container, stream)
            if not is_cut and progress.error is None:
                self._ends_at(progress.ends.get(stream.index, clock.start) - clock.start, time)
        self._check_end(progress, time, is_cut=is_cut)

    def _check_end(self, progress: _Progress, time: Fraction, *, is_cut: bool) -> None:
        """Say so if the video ended before its time, or pictures in it are damaged."""
        end = time + 1 / self.info.frame_rate
        if progress.error:
            self._report_damage(
                f"'{self.path}' is damaged after {float(end):.2f} s ({progress.error}); "
                "what comes before is used"
            )
        elif is_cut and self.info.duration:
            self._report_damage(
                f"'{self.path}' is cut short: it claims {float(self.info.duration):.2f} s "
                f"but holds {float(end):.2f} s of frames, which are used"
            )
        elif progress.first_corrupt is not None:
            self._report_damage(
                f"'{self.path}' is damaged at {float(progress.first_corrupt):.2f} s; its pictures "
                "are used as they are decoded"
            )


@dataclass
class _Progress:
    """What was met on the way through a file.

    Attributes:
        num_frames: decoded so far.
        error: what ended the way too early.
        first_corrupt: time of the first frame that the decoder calls damaged.
        ends: of what was read of each stream, on the file's clock, by the stream's number.
    """

    num_frames: int = 0
    error: str | None = None
    first_corrupt: Fraction | None = None
    ends: dict[int, Fraction] = field(default_factory=dict)

    def read(self, packet: av.Packet[Any]) -> None:
        """Take note of where a packet ends."""
        if packet.pts is not None and packet.time_base:
            end = (packet.pts + (packet.duration or 0)) * Fraction(packet.time_base)
            index = packet.stream.index
            self.ends[index] = max(end, self.ends.get(index, end))

    def is_cut(self, container: InputContainer, stream: VideoStream) -> bool:
        """Tell whether less was read than the file claims to hold.

        A stream's own claim is about its pictures. That of a file (Matroska, Flash) is about the
        longest of its streams, often the sound, and counts from 0.
        """
        if stream.duration and stream.time_base:
            start, claimed = stream.start_time or 0, stream.duration
            claimed_end = (start + claimed) * Fraction(stream.time_base)
            end = self.ends.get(stream.index)
        else:
            claimed_end = Fraction(container.duration or 0, 1_000_000)
            end = max(self.ends.values(), default=None)
        return end is not None and end + LOST_SECONDS < claimed_end


class _Clock:
    """Exact times of frames, relative to the first, strictly increasing.

    Containers with coarse ticks (Matroska: 1 ms) round the times of a constant rate; a time
    within one tick of a whole number of frame periods is put back there. Times that are missing
    or do not increase follow the frame rate.
    """

    def __init__(self, rate: Fraction, tick: Fraction):
        self._rate = rate
        self._tick = tick
        self._is_coarse = tick > 0 and (1 / rate / tick).denominator != 1
        self._start: Fraction | None = None
        self._last: Fraction | None = None

    @property
    def start(self) -> Fraction:
        """Time of the first frame on the file's clock."""
        return self._start or Fraction(0)

    def time(self, frame: av.VideoFrame) -> Fraction:
        stamp = frame_time(frame)
        if self._last is None or self._start is None:
            self._start, self._last = stamp or Fraction(0), Fraction(0)
            return self._last
        time = stamp - self._start if stamp is not None else self._last + 1 / self._rate
        if self._is_coarse:
            grid_time = round(time * self._rate) / self._rate
            if abs(grid_time - time) <= self._tick and grid_time > self._last:
                time = grid_time
        if time <= self._last:
            time = self._last + 1 / self._rate
        self._last = time
        return time


def frame_time(frame: av.VideoFrame) -> Fraction | None:
    """Return the time of a frame on the file's clock, in seconds, None if it has none."""
    ticks = frame.pts if frame.pts is not None else frame.dts
    return None if ticks is None or not frame.time_base else ticks * Fraction(frame.time_base)


def first_frame_time(path: Path) -> Fraction | None:
    """Return when the video of a file starts on its clock, None if it has no video."""
    with open_container(path) as container:
        stream = video_stream(container)
        if stream is None or stream.codec_context is None:
            return None
        first = next(_decode(container, stream, _Progress()), None)
    return None if first is None else frame_time(first) or Fraction(0)


def _decode(
    container: InputContainer, stream: VideoStream, progress: _Progress
) -> Iterator[av.VideoFrame]:
    """Yield decoded frames up to the first damage after a good frame.

    Damage before the first frame is skipped: recordings often start between key frames.
    """
    # Decoding frames side by side takes a frame's memory in every thread.
    is_large = stream.codec_context.width * stream.codec_context.height > PLAYED_PIXELS
    stream.thread_type = "SLICE" if is_large else "AUTO"
    stream.codec_context.options = {"max_pixels": str(MAX_FRAME)}  # whatever the header says
    for packet in _packets(container, stream, progress):
        try:
            _check_scans(packet)
            frames = packet.decode()
        except AV_ERRORS as error:
            if not progress.num_frames:
                continue
            progress.error = _words(error)
            break
        progress.num_frames += len(frames)
        yield from frames
    if progress.error:
        yield from _held_back(stream)


def _packets(
    container: InputContainer, stream: VideoStream, progress: _Progress
) -> Iterator[av.Packet[Any]]:
    """Yield the packets of a stream, up to the first that is incomplete or cannot be read."""
    packets = container.demux()
    while True:
        try:
            packet = next(packets, None)
        except AV_ERRORS as error:
            progress.error = _words(error)
            return
        if packet is None:
            return
        progress.read(packet)
        if packet.stream.index != stream.index:  # last packets lack a number of their own
            continue
        if packet.is_corrupt and progress.num_frames:
            progress.error = "a packet is incomplete"
            return
        yield packet


def _check_scans(packet: av.Packet[Any]) -> None:
    """Raise ValueError if a frame is a JPEG that goes over its pixels more often than any photo."""
    if packet.stream.codec_context.name == "mjpeg" and num_scans(bytes(packet)) > MAX_SCANS:
        raise ValueError(f"a picture that goes over its pixels more than {MAX_SCANS} times")


def _held_back(stream: VideoStream) -> list[av.VideoFrame]:
    """Return the good frames that a decoder of several threads has not handed out yet."""
    try:
        return stream.codec_context.decode(None)
    except AV_ERRORS:
        return []


def _info(
    container: InputContainer,
    stream: VideoStream,
    first: av.VideoFrame,
    measured_rate: Fraction | None,
) -> VideoInfo:
    """Collect what the container claims and the first frames show."""
    height, width, _ = RgbConverter().convert(first, stream.sample_aspect_ratio).shape
    durations = []
    if stream.duration and stream.time_base:
        durations.append(stream.duration * Fraction(stream.time_base))
    if container.duration:
        durations.append(Fraction(container.duration, 1_000_000))
    return VideoInfo(
        width=width,
        height=height,
        frame_rate=_frame_rate(stream, measured_rate),
        num_frames=stream.frames or None,
        duration=min(durations, default=None),
        has_audio=bool(container.streams.audio),
        start=frame_time(first) or Fraction(0),
    )


def _measured_rate(path: Path) -> Fraction | None:
    """Return frames per second by the times of the first ones, None if they have too few."""
    with open_container(path) as container:
        stream = video_stream(container)
        assert stream is not None, "it was there when the file was opened"
        packets = islice(_packets(container, stream, _Progress()), NUM_MEASURED)
        ticks = {packet.pts for packet in packets if packet.pts is not None}
        if len(ticks) < LEAST_MEASURED or not stream.time_base:
            return None
        return (len(ticks) - 1) / ((max(ticks) - min(ticks)) * Fraction(stream.time_base))


def _frame_rate(stream: VideoStream, measured: Fraction | None) -> Fraction:
    """Return FFmpeg's best guess, unless the frames there are contradict it."""
    average = Fraction(stream.average_rate or 0)
    guess = Fraction(stream.guessed_rate or 0)
    rate = guess if _is_near(guess, average or guess) else average
    if measured is not None and not _is_near(rate, measured):
        rate = measured
    return nearest_rate(rate) if rate > 0 else DEFAULT_RATE


def _is_near(rate: Fraction, wanted: Fraction) -> bool:
    return rate > 0 and wanted / 2 < rate < wanted * 3 / 2


def _no_video(path: Path, container: InputContainer) -> str:
    """Say what the file holds instead of a video."""
    if container.streams.audio:
        return f"'{path}' holds only sound, no video; give a file with pictures in it"
    return f"'{path}' holds no video ({container.format.long_name}); give a video file"


def _words(error: Exception) -> str:
    """Return FFmpeg's own words for an error, without number and path."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
