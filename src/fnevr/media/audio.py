"""The driver's sound under a new video: copied packet by packet, or encoded again as AAC.

Times are seconds of the output, whose first picture is at 0.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.stream import Discard

from fnevr.errors import MediaError
from fnevr.media.container import AV_ERRORS, first_frame_time, is_not_default, open_container
from fnevr.media.files import PathLike, readable_file
from fnevr.media.stills import is_picture

logger = logging.getLogger(__name__)

# What players understand in each container; everything else becomes AAC.
COPIED_CODECS = {
    "mp4": frozenset({"aac", "mp3"}),
    "mov": frozenset({"aac", "mp3"}),
    "matroska": frozenset({"aac", "mp3", "opus", "vorbis", "flac", "ac3", "eac3"}),
}
AAC_FRAME = 1024  # samples per packet
AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
MAX_CHANNELS = 2


def has_audio(path: PathLike) -> bool:
    """Tell whether a file has a sound track; folders and pictures have none.

    Raises:
        MediaError: if the file cannot be read.
    """
    path = Path(path)
    if path.is_dir() or is_picture(readable_file(path, "a video or sound file")):
        return False
    with open_container(path) as container:
        return any(stream.codec_context is not None for stream in container.streams.audio)


@dataclass(frozen=True)
class _Piece:
    """A packet to copy or a frame to encode, with its place on the output's clock."""

    time: Fraction
    duration: Fraction
    content: av.Packet[Any] | av.AudioFrame


class AudioTrack:
    """Feed the sound of one file into an output, in step with its pictures.

    Args:
        path: a file with a sound track, see `has_audio`.
        output: where a stream is added; its header must not be written yet.
        start: seconds after the file's first picture (first sound where it has no picture) that
            become 0 in the output. What comes earlier is left out.
    """

    def __init__(self, path: PathLike, output: OutputContainer, start: Fraction = Fraction(0)):
        self._path = Path(path)
        self._output = output
        self._input = open_container(self._path)
        try:
            self._source = _first_audio(self._path, self._input)
            origin = first_frame_time(self._path)
            if origin is None:
                origin = _stream_start(self._source)
            self._offset = origin + start
            codec = self._source.codec_context.codec.canonical_name
            self.is_copied = codec in COPIED_CODECS.get(output.format.name, frozenset())
            if self.is_copied:
                self._sink = output.add_stream_from_template(self._source)
                self._pieces = self._copied()
            else:
                self._sink = output.add_stream("aac", rate=_aac_rate(self._source))
                self._sink.codec_context.layout = _aac_layout(self._source)
                self._sink.codec_context.bit_rate = 96_000 * self._sink.codec_context.channels
                self._pieces = self._encodable()
        except AV_ERRORS as error:
            self.close()
            raise MediaError(f"'{path}' has sound that cannot be read ({error})") from error
        except BaseException:
            self.close()
            raise
        self._waiting: _Piece | None = None

    def write_until(self, time: Fraction) -> None:
        """Write the sound that begins before a time."""
        while (piece := self._peek()) and piece.time < time:
            self._write(piece.content)
            self._waiting = None

    def finish(self, end: Fraction) -> None:
        """Write what is left up to the end of the pictures, and close the file."""
        while piece := self._peek():
            content: av.Packet[Any] | av.AudioFrame | None
            if isinstance(piece.content, av.AudioFrame):
                content = _cut(piece.content, end - piece.time)
            else:  # whole packets only: the nearest to the end
                content = piece.content if piece.time + piece.duration / 2 <= end else None
            if content is None:
                break
            self._write(content)
            self._waiting = None
        if not self.is_copied:
            self._output.mux(self._sink.encode(None))
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._input.close()

    def _peek(self) -> _Piece | None:
        if self._waiting is None:
            self._waiting = next(self._pieces, None)
        return self._waiting

    def _write(self, content: av.Packet[Any] | av.AudioFrame) -> None:
        if isinstance(content, av.AudioFrame):
            self._output.mux(self._sink.encode(content))
        else:
            content.stream = self._sink
            self._output.mux_one(content)

    def _packets(self) -> Iterator[av.Packet[Any]]:
        """Yield the packets of the sound track; damage ends it with a warning."""
        for stream in self._input.streams:
            if stream.index != self._source.index:
                stream.discard = Discard.all
        packets = self._input.demux(self._source)
        while True:
            try:
                packet = next(packets, None)
            except AV_ERRORS as error:
                logger.warning("the sound of '%s' is cut short: %s", self._path, error)
                return
            if packet is None:
                return
            yield packet

    def _copied(self) -> Iterator[_Piece]:
        """Yield packets as they are, on the output's clock.

        One packet that ends at 0 is kept where the container can hide it (an edit list): codecs
        that overlap their blocks need it to start cleanly.
        """
        hides_priming = self._output.format.name in {"mp4", "mov"}
        for packet in self._packets():
            if packet.pts is None or not packet.size:
                continue
            tick = Fraction(packet.time_base)
            shift = round(self._offset / tick)
            packet.pts -= shift
            packet.dts = packet.dts - shift if packet.dts is not None else packet.pts
            time, duration = packet.pts * tick, (packet.duration or 0) * tick
            if time >= 0 or (hides_priming and time + duration >= 0):
                yield _Piece(time, duration, packet)

    def _encodable(self) -> Iterator[_Piece]:
        """Yield decoded sound in the encoder's format; silence fills gaps and a late start."""
        context = self._sink.codec_context
        resampler = av.AudioResampler(
            format=context.format,
            layout=context.layout,
            rate=context.sample_rate,
            frame_size=AAC_FRAME,
            options={"async": "1", "min_hard_comp": "0.01", "first_pts": "0"},
        )
        try:
            for frame in self._decoded():
                for piece in resampler.resample(frame):
                    rate = piece.sample_rate
                    time, duration = Fraction(piece.pts or 0, rate), Fraction(piece.samples, rate)
                    yield _Piece(time, duration, piece)
        except AV_ERRORS as error:
            logger.warning("the sound of '%s' is cut short: %s", self._path, error)

    def _decoded(self) -> Iterator[av.AudioFrame | None]:
        """Yield frames that sound at 0 or later, on the output's clock, then None."""
        next_time = Fraction(0)
        for packet in self._packets():
            try:
                frames = packet.decode()
            except AV_ERRORS:
                continue  # a lost packet leaves a gap, which is filled with silence
            for frame in frames:
                assert isinstance(frame, av.AudioFrame), "it comes from a sound track"
                duration = Fraction(frame.samples, frame.sample_rate)
                time = next_time
                if frame.pts is not None and frame.time_base:
                    time = frame.pts * Fraction(frame.time_base) - self._offset
                next_time = time + duration
                if next_time > 0:
                    frame.time_base = Fraction(1, frame.sample_rate)
                    frame.pts = round(time * frame.sample_rate)
                    yield frame
        yield None


def _first_audio(path: Path, container: InputContainer) -> AudioStream:
    for stream in sorted(container.streams.audio, key=is_not_default):
        if stream.codec_context is not None:
            return stream
    raise MediaError(f"'{path}' has no sound that can be read")


def _stream_start(stream: AudioStream) -> Fraction:
    return Fraction(stream.start_time or 0) * Fraction(stream.time_base or 0)


def _aac_rate(source: AudioStream) -> int:
    """Return the lowest AAC rate that keeps the source's band, at most 48 kHz."""
    rate = source.codec_context.sample_rate
    return next((aac_rate for aac_rate in AAC_RATES if aac_rate >= rate), AAC_RATES[-1])


def _aac_layout(source: AudioStream) -> str:
    return "mono" if source.codec_context.channels < MAX_CHANNELS else "stereo"


def _cut(frame: av.AudioFrame, length: Fraction) -> av.AudioFrame | None:
    """Shorten a frame to a length in seconds, None where nothing is left."""
    num_samples = round(length * frame.sample_rate)
    if num_samples <= 0:
        return None
    if num_samples >= frame.samples:
        return frame
    samples = np.ascontiguousarray(frame.to_ndarray()[:, :num_samples], dtype=np.float32)
    result = av.AudioFrame.from_ndarray(samples, format=frame.format.name, layout=frame.layout.name)
    result.sample_rate, result.time_base, result.pts = frame.sample_rate, frame.time_base, frame.pts
    return result
