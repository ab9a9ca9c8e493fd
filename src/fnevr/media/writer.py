"""Write a video frame by frame; the file appears when the last frame is in it."""

from __future__ import annotations

import math
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from jaxtyping import UInt8
from PIL import Image

from fnevr.errors import FnevrError, MediaError
from fnevr.media.audio import AudioTrack, has_audio
from fnevr.media.files import PathLike, atomic_path, check_target, write_error
from fnevr.media.image import check_rgb
from fnevr.media.pixels import QUALITY
from fnevr.media.reader import exact_rate

FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".gif": "gif"}
WORST_CRF = 51
CRF = 18  # H.264's constant quality: visually near lossless
PRESET = "veryfast"  # keeps encoding out of the way of the network that makes the frames
# Frames that the encoder keeps: at 9.4 megapixels, 0.2 GB of them in place of 0.8. Each of its
# threads would hold one, and motion by parts of a pixel (subme) three copies more of each frame:
# without it files are 9 % larger, and a video of a picture of 36 megapixels takes 0.1 GB less.
LARGE_PIXELS = 4_000_000
LARGE = {"x264-params": "rc-lookahead=1:sync-lookahead=0:bframes=0:threads=1:subme=0"}
CLOCK = 90_000  # ticks per second: fine enough for any camera's time-stamps
MAX_CLOCK = 10_000_000
MAX_SECONDS = 100 * 366 * 86_400
MAX_SIDE = 16_384  # pixels, H.264's limit
GIF_CLOCK = 100
TICKS, GIF_TICKS = (1, 2**31 - 1), (2, 2**16 - 1)  # of a frame; browsers take one of a GIF for ten
BT709 = 1  # the number of these colours in H.264 for matrix, primaries and transfer
LIMITED_RANGE = 1


def check_video_target(path: PathLike) -> str:
    """Raise MediaError now if `VideoWriter` could not write to this path later.

    Returns:
        FFmpeg's name of the container that the extension chooses.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise MediaError(
            f"cannot write '{path}': a video's name must end in {', '.join(FORMATS)}, "
            f"got {suffix or 'no extension'!r}"
        )
    check_target(path)
    return FORMATS[suffix]


def check_quality(path: PathLike, crf: int | None) -> None:
    """Raise FnevrError if a quality is none, or a file's format has none."""
    if crf is None:
        return
    if not 0 <= crf <= WORST_CRF:
        raise FnevrError(f"the quality is {crf}: wanted 0 to {WORST_CRF}", argument="crf")
    if FORMATS.get(Path(path).suffix.lower(), "gif") == "gif":
        raise FnevrError(f"`crf` has no meaning for '{path}': it is of videos", argument="crf")


def written_size(path: PathLike, width: int, height: int) -> tuple[int, int]:
    """Return width and height of a file of frames of a size: H.264 takes even numbers alone."""
    if FORMATS.get(Path(path).suffix.lower(), "gif") == "gif":  # a GIF, or a picture
        return width, height
    return width + width % 2, height + height % 2


class VideoWriter:
    """Write H.264 (yuv420p, BT.709, fast start) that browsers play, or an animated GIF.

    Use it in a ``with`` block. The result is written beside its place and renamed when the block
    ends well; after any exception nothing is left. A width or height that is odd is made even,
    as H.264 needs, by repeating the last column or row. GIF has no sound, and of more than 50
    frames per second those are left out that come too soon.

    Args:
        path: ends in .mp4, .m4v, .mov, .mkv or .gif.
        width: of the frames to come.
        height: of the frames to come.
        frame_rate: frames per second, exact; the nominal rate where times are given. Of floats,
            29.97 among them, the nearest fraction of small numbers is taken.
        audio_from: file whose sound is copied, as long as the pictures last; None, or a file
            without sound: a silent video.
        audio_start: the driver's `VideoFrame.time` that becomes 0 in the output.
        crf: H.264's constant quality, 0 (lossless) to 51 (worst); None is 18. GIF has none.

    Attributes:
        num_frames: in the file so far.
        end: when the last frame ends, in seconds; None: a frame period after it begins.

    Raises:
        MediaError: before any work if the extension is unknown, the folder cannot be written
            or ``audio_from`` cannot be read; later if writing fails or no frame came.
    """

    def __init__(
        self,
        path: PathLike,
        width: int,
        height: int,
        frame_rate: Fraction | float | int,
        audio_from: PathLike | None = None,
        *,
        audio_start: Fraction = Fraction(0),
        crf: int | None = None,
    ):
        self.path = Path(path)
        self._format = check_video_target(path)
        if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
            raise MediaError(
                f"cannot write '{path}': frames must have 1 to {MAX_SIDE} pixels a side, "
                f"got {width} x {height}"
            )
        self.num_frames = 0
        self.end: Fraction | None = None
        self._shape = (height, width, 3)
        self._rate = exact_rate(frame_rate)
        self._audio_from = None
        if audio_from is not None and self._format != "gif" and has_audio(audio_from):
            self._audio_from = Path(audio_from)
        check_quality(path, crf)
        self._crf = CRF if crf is None else crf
        self._audio_start = Fraction(audio_start)
        self._audio: AudioTrack | None = None
        self._time: Fraction | None = None
        self._ticks = -1
        self._held: av.Packet[Any] | None = None
        self._reformatter = VideoReformatter()
        self._stack = ExitStack()

    def __enter__(self) -> VideoWriter:
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self.path))
            try:
                self._container = self._open(temporary)
                stack.callback(_close_quietly, self._container)
                if self._audio_from is not None:
                    self._audio = AudioTrack(self._audio_from, self._container, self._audio_start)
                    stack.callback(self._audio.close)
                self._container.start_encoding()
            except (av.FFmpegError, ValueError) as error:
                raise self._failure(error) from error
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self._stack.__exit__(type(error), error, error.__traceback__)
            return
        with self._stack:
            self._finish()

    def write(self, rgb: UInt8[np.ndarray, "H W 3"], time: Fraction | None = None) -> None:
        """Add a frame.

        Args:
            rgb: the picture, of the writer's size.
            time: when it is shown, in seconds, increasing; None: one frame period after the
                one before. Kept to 1/90000 s or better (GIF: 1/100 s).

        Raises:
            ValueError: if the picture's size or type is wrong, or time does not increase or is
                beyond a century.
            MediaError: if the disk is full, for example.
        """
        check_rgb(rgb)
        if rgb.shape != self._shape:
            raise ValueError(f"wanted a frame of shape {self._shape}, got {rgb.shape}")
        if time is None:
            time = Fraction(0) if self._time is None else self._time + 1 / self._rate
        if not 0 <= time <= MAX_SECONDS or (self._time is not None and time <= self._time):
            raise ValueError(f"times must increase from 0, got {time} after {self._time}")
        try:
            if self._audio is not None:
                self._audio.write_until(time)
            self._encode(rgb, time)
        except av.FFmpegError as error:
            raise self._failure(error) from error
        self._time = time

    def _open(self, temporary: Path) -> OutputContainer:
        """Open the temporary file and its video stream."""
        options = {"movflags": "+faststart"} if self._format in {"mp4", "mov"} else {}
        container = av.open(f"file:{temporary}", "w", format=self._format, options=options)
        try:
            self._add_video(container)
        except BaseException:
            _close_quietly(container)
            raise
        return container

    def _add_video(self, container: OutputContainer) -> None:
        height, width, _ = self._shape
        if self._format == "gif":
            self._stream = container.add_stream("gif", rate=self._rate)
            self._clock = GIF_CLOCK
            self._stream.pix_fmt = "pal8"
        else:
            options = {"crf": str(self._crf), "preset": PRESET}
            options |= LARGE if width * height > LARGE_PIXELS else {}
            self._stream = container.add_stream("libx264", rate=self._rate, options=options)
            self._clock = clock_for(self._rate)
            self._stream.pix_fmt = "yuv420p"
            width, height = written_size(self.path, width, height)
            context = self._stream.codec_context
            context.colorspace = context.color_primaries = context.color_trc = BT709
            context.color_range = LIMITED_RANGE
        self._stream.width, self._stream.height = width, height
        self._stream.codec_context.time_base = Fraction(1, self._clock)

    def _encode(self, rgb: np.ndarray, time: Fraction) -> None:
        ticks = round(time * self._clock)
        if self._format == "gif" and self.num_frames and ticks < self._ticks + GIF_TICKS[0]:
            return
        frame = _palette_frame(rgb) if self._format == "gif" else self._yuv_frame(rgb)
        self._ticks = max(self._ticks + 1, ticks)
        self.num_frames += 1
        frame.pts = self._ticks
        frame.time_base = Fraction(1, self._clock)
        self._mux(frame)

    def _mux(self, frame: av.VideoFrame | None) -> None:
        """Encode and write; the last packet waits, since it says when the video ends."""
        for packet in self._stream.encode(frame):
            if self._held is not None:
                self._container.mux_one(self._held)
            packet.duration = max(1, round(self._clock / self._rate))
            self._held = packet

    def _mux_last(self, end: Fraction) -> None:
        """Write what is left, whose last packet ends with the video."""
        self._mux(None)
        assert self._held is not None, "there was a frame"
        least, most = GIF_TICKS if self._format == "gif" else TICKS
        duration = round(end * self._clock) - (self._held.pts or 0)
        self._held.duration = min(max(duration, least), most)
        self._container.mux_one(self._held)

    def _yuv_frame(self, rgb: np.ndarray) -> av.VideoFrame:
        height, width, _ = rgb.shape
        if height % 2 or width % 2:
            rgb = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        return self._reformatter.reformat(
            frame,
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            interpolation=QUALITY,
            threads=1,
        )

    def _finish(self) -> None:
        """Write what the encoders still hold and the end of the file."""
        if self._time is None:
            raise MediaError(f"nothing was written to '{self.path}': there was no frame")
        end = max(self.end or Fraction(0), self._time + 1 / self._rate)
        try:
            if self._audio is not None:
                self._audio.finish(end)
            self._mux_last(end)
            self._container.close()
        except av.FFmpegError as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> MediaError:
        return write_error(self.path, error)


def clock_for(rate: Fraction) -> int:
    """Return ticks per second in which frame periods are whole and any time is near a tick."""
    clock = math.lcm(CLOCK, rate.numerator)
    if clock <= MAX_CLOCK:
        return clock
    return rate.numerator if CLOCK <= rate.numerator <= MAX_CLOCK else CLOCK


def _palette_frame(rgb: np.ndarray) -> av.VideoFrame:
    """Reduce a picture to its own 256 colours."""
    image = Image.fromarray(rgb).quantize(256)
    colors = np.zeros((256, 4), dtype=np.uint8)
    colors[:, 0] = 255
    palette = np.array(image.getpalette(), dtype=np.uint8).reshape(-1, 3)
    colors[: len(palette), 1:] = palette
    pixels: Any = (np.asarray(image), colors)  # a pair is documented, but not annotated
    return av.VideoFrame.from_ndarray(pixels, format="pal8")


def _close_quietly(container: OutputContainer) -> None:
    """Close a container whose file will be thrown away, or is closed already."""
    try:
        container.close()
    except (av.FFmpegError, ValueError, OSError):
        return
