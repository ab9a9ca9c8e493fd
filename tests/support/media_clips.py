"""Small videos, sounds and pictures made on the spot, for the tests of fnevr.media."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np

RED, GREEN, BLUE, GRAY = (200, 30, 30), (30, 180, 30), (30, 30, 200), (120, 120, 120)
BEEP_SECONDS = Fraction(1, 10)


def quadrants(width=64, height=48):
    """A picture whose corners are red, green, blue and gray: top left, top right, below."""
    rgb = np.empty((height, width, 3), np.uint8)
    rgb[: height // 2, : width // 2] = RED
    rgb[: height // 2, width // 2 :] = GREEN
    rgb[height // 2 :, : width // 2] = BLUE
    rgb[height // 2 :, width // 2 :] = GRAY
    return rgb


def corners(rgb):
    """The colours in the middle of the four quadrants: top left, top right, bottom left, right."""
    height, width, _ = rgb.shape
    return [
        tuple(int(v) for v in rgb[y, x])
        for y in (height // 4, height * 3 // 4)
        for x in (width // 4, width * 3 // 4)
    ]


def assert_colors(found, wanted, tolerance=12):
    np.testing.assert_allclose(np.array(found, int), np.array(wanted, int), atol=tolerance)


def beeping_sound(seconds, beeps, rate=44100):
    """Silence with a short tone at each of the given times, float32 (1, samples)."""
    samples = np.zeros(round(seconds * rate), np.float32)
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(round(BEEP_SECONDS * rate)) / rate)
    for beep in beeps:
        first = round(beep * rate)
        samples[first : first + len(tone)] = tone[: len(samples) - first]
    return samples[None]


def make_video(
    path,
    frames=None,
    *,
    rate=Fraction(25),
    num_frames=10,
    codec="libx264",
    pix_fmt="yuv420p",
    times=None,
    first_time=Fraction(0),
    rotation=None,
    source_format="rgb24",
    options=None,
    sound=None,
    sound_codec="aac",
    sound_rate=44100,
    sound_start=Fraction(0),
    pixel_aspect=None,
    container_options=None,
):
    """Write a video with PyAV alone. ``frames`` are arrays; ``times`` are in seconds."""
    frames = [quadrants()] * num_frames if frames is None else frames
    with av.open(str(path), "w", options=container_options or {}) as container:
        video = container.add_stream(codec, rate=rate, options=options or {})
        video.height, video.width = frames[0].shape[:2]
        video.pix_fmt = pix_fmt
        tick = 1 / Fraction(rate)
        if times is not None or first_time:
            tick = Fraction(1, 90000)
            video.codec_context.time_base = tick
        if pixel_aspect is not None:
            video.codec_context.sample_aspect_ratio = pixel_aspect
        if rotation is not None:
            video.set_display_rotation(*rotation)
        audio = None
        if sound is not None:
            audio = container.add_stream(sound_codec, rate=sound_rate)
            audio.codec_context.layout = "mono"
        for index, array in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(array, format=source_format)
            time = times[index] if times is not None else first_time + index / Fraction(rate)
            frame.pts, frame.time_base = round(time / tick), tick
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            _write_sound(container, audio, sound, sound_start)
    return path


def make_sound(path, sound, codec, rate=44100, start=Fraction(0)):
    with av.open(str(path), "w") as container:
        audio = container.add_stream(codec, rate=rate)
        audio.codec_context.layout = "mono"
        _write_sound(container, audio, sound, start)
    return path


def _write_sound(container, stream, sound, start):
    rate = stream.codec_context.sample_rate
    step = stream.codec_context.frame_size or 1024
    resampler = av.AudioResampler(
        format=stream.codec_context.format, layout="mono", rate=rate, frame_size=step
    )
    for first in range(0, sound.shape[1], 4096):
        block = np.ascontiguousarray(sound[:, first : first + 4096])
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = first + round(start * rate)
        for piece in resampler.resample(frame):
            container.mux(stream.encode(piece))
    for piece in resampler.resample(None):
        container.mux(stream.encode(piece))
    container.mux(stream.encode(None))


def read_sound(path):
    """Decode all sound: samples of the first channel, their rate, time of the first."""
    blocks, rate, start = [], 0, None
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            array = frame.to_ndarray()
            channel = (
                array[0] if frame.format.is_planar else array[0, :: len(frame.layout.channels)]
            )
            if array.dtype == np.int16:
                channel = channel / 32768.0
            rate = frame.sample_rate
            if start is None:
                start = (frame.pts or 0) * Fraction(frame.time_base or 1)
            blocks.append(channel)
    return np.concatenate(blocks), rate, start


def beep_times(path):
    """Find when tones begin, in seconds."""
    samples, rate, start = read_sound(path)
    is_loud = np.abs(samples) > 0.2
    loud = np.flatnonzero(is_loud)
    if loud.size == 0:
        return []
    gaps = np.flatnonzero(np.diff(loud) > rate // 20)
    first = [loud[0], *(loud[gap + 1] for gap in gaps)]
    return [float(start) + index / rate for index in first]


def left_behind(folder, *expected):
    """Names in a folder beside those expected."""
    return sorted(p.name for p in folder.iterdir() if p.name not in expected)
