"""Sound: copied or encoded again, in step with the pictures to less than a frame."""

import itertools
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image
from support.media_clips import (
    beep_times,
    beeping_sound,
    left_behind,
    make_sound,
    make_video,
    quadrants,
    read_sound,
)

from fnevr.errors import MediaError
from fnevr.media.audio import has_audio
from fnevr.media.video import open_video
from fnevr.media.writer import VideoWriter

RATE = Fraction(30000, 1001)
FRAME = float(1 / RATE)
BEEPS = [0.5, 1.25, 1.75]


def flashing(num_frames, beeps):
    """Black frames, white while it beeps."""
    return [
        np.full((48, 64, 3), 255 if any(b <= n / RATE < b + 0.1 for b in beeps) else 0, np.uint8)
        for n in range(num_frames)
    ]


def flash_times(path):
    """Find when white frames begin, in seconds."""
    with open_video(path) as video:
        shown = [(float(frame.time), frame.rgb.mean() > 128) for frame in video]
    return [b[0] for a, b in itertools.pairwise(shown) if b[1] and not a[1]]


def copy_video(source, target, **options):
    """What an animation does: the same times, the driver's sound."""
    with open_video(source) as video:
        info = video.info
        with VideoWriter(
            target, info.width, info.height, info.frame_rate, audio_from=source, **options
        ) as writer:
            for frame in video:
                writer.write(frame.rgb, frame.time)
    return target


def sound_codec(path):
    with av.open(str(path)) as container:
        return [stream.codec_context.codec.canonical_name for stream in container.streams.audio]


def packets(path):
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


@pytest.mark.parametrize("target", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize(
    ("source", "codec", "rate"),
    [
        ("mp4", "aac", 44100),
        ("mov", "pcm_s16le", 22050),
        ("mkv", "libopus", 48000),
        ("mkv", "flac", 96000),
        ("mp4", "libmp3lame", 44100),
        ("avi", "pcm_s16le", 11025),
        ("ts", "aac", 48000),
    ],
)
def test_sound_stays_in_step(tmp_path, source, codec, rate, target):
    sound = beeping_sound(2, BEEPS, rate)
    path = make_video(
        tmp_path / f"in.{source}",
        flashing(60, BEEPS),
        rate=RATE,
        codec="mpeg4" if source == "avi" else "libx264",
        sound=sound,
        sound_codec=codec,
        sound_rate=rate,
    )
    result = copy_video(path, tmp_path / f"out.{target}")
    assert flash_times(result) == pytest.approx(BEEPS, abs=FRAME + 1e-3)
    with open_video(path) as video:
        drift = np.array(beep_times(result)) - beep_times(path) + float(video.info.start)
    assert np.abs(drift).max() < 0.005, "against the source"
    assert beep_times(result) == pytest.approx(BEEPS, abs=0.035)


def test_aac_is_copied_bit_by_bit(tmp_path):
    path = make_video(tmp_path / "in.mp4", num_frames=50, sound=beeping_sound(2, BEEPS))
    for name in ("out.mp4", "out.mov", "out.mkv"):
        copied = packets(copy_video(path, tmp_path / name))
        original = packets(path)
        assert set(copied) <= set(original)
        assert len(original) - len(copied) <= 2
        assert sound_codec(tmp_path / name) == ["aac"]


@pytest.mark.parametrize(
    ("codec", "target", "wanted"),
    [
        ("libmp3lame", "mp4", "mp3"),
        ("libopus", "mp4", "aac"),
        ("libopus", "mkv", "opus"),
        ("flac", "mov", "aac"),
        ("ac3", "mp4", "aac"),
    ],
)
def test_encoded_again_only_where_needed(tmp_path, codec, target, wanted):
    path = make_video(
        tmp_path / "in.mkv",
        num_frames=25,
        sound=beeping_sound(1, [0.5], 48000),
        sound_codec=codec,
        sound_rate=48000,
    )
    assert sound_codec(copy_video(path, tmp_path / f"out.{target}")) == [wanted]


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
@pytest.mark.parametrize(("video_start", "sound_start"), [(0, 0.5), (0.5, 0), (0.4, 0.7)])
def test_start_offsets(tmp_path, codec, video_start, sound_start):
    """Either may begin later in the file; the picture becomes 0, the sound keeps its distance."""
    path = make_video(
        tmp_path / "in.mov",
        [quadrants()] * 60,
        first_time=Fraction(video_start),
        sound=beeping_sound(2, [1.0]),
        sound_codec=codec,
        sound_start=Fraction(sound_start),
    )
    with open_video(path) as video:
        start = float(video.info.start)
    wanted = beep_times(path)[0] - start
    assert wanted == pytest.approx(1.0 + sound_start - video_start, abs=0.03)
    result = copy_video(path, tmp_path / "out.mp4")
    assert beep_times(result)[0] == pytest.approx(wanted, abs=0.005)
    with open_video(result) as video:
        assert video.info.start == 0


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_audio_start_trims_with_the_pictures(tmp_path, codec):
    path = make_video(
        tmp_path / "in.mov", num_frames=75, sound=beeping_sound(3, [2.0]), sound_codec=codec
    )
    start = Fraction(6, 5)
    with (
        open_video(path) as video,
        VideoWriter(tmp_path / "out.mp4", 64, 48, 25, audio_from=path, audio_start=start) as writer,
    ):
        for frame in video:
            if frame.time >= start:
                writer.write(frame.rgb, frame.time - start)
    assert beep_times(tmp_path / "out.mp4") == pytest.approx([0.8], abs=0.01)


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le", "libmp3lame"])
@pytest.mark.parametrize("target", ["mp4", "mkv"])
def test_sound_ends_with_the_pictures(tmp_path, codec, target):
    path = make_video(
        tmp_path / "in.mov", num_frames=30, sound=beeping_sound(4, []), sound_codec=codec
    )
    result = copy_video(path, tmp_path / f"out.{target}")
    samples, rate, start = read_sound(result)
    assert float(start) + len(samples) / rate == pytest.approx(30 / 25, abs=1 / 25)
    with av.open(str(result)) as container:
        assert (container.duration or 0) / 1e6 == pytest.approx(30 / 25, abs=1 / 25)


def test_short_sound_does_not_shorten_the_video(tmp_path):
    path = make_video(tmp_path / "in.mp4", num_frames=100, sound=beeping_sound(0.5, [0.2]))
    with open_video(copy_video(path, tmp_path / "out.mp4")) as video:
        assert len(list(video)) == 100
        assert video.info.has_audio


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp3", "libmp3lame"),
        ("a.wav", "pcm_s16le"),
        ("a.aac", "aac"),
        ("a.m4a", "aac"),
        ("a.flac", "flac"),
        ("a.opus", "libopus"),
    ],
)
def test_sound_file_alone(tmp_path, name, codec):
    path = make_sound(tmp_path / name, beeping_sound(2, [1.0], 48000), codec, 48000)
    with VideoWriter(tmp_path / "out.mp4", 64, 48, 25, audio_from=path) as writer:
        for _ in range(50):
            writer.write(quadrants())
    assert beep_times(tmp_path / "out.mp4") == pytest.approx([1.0], abs=0.04)


def test_sound_with_a_gap_stays_in_step(tmp_path):
    """Sound that pauses in its time-stamps is encoded again with silence in the pause."""
    path = tmp_path / "in.mkv"
    tone = beeping_sound(0.2, [0.0], 48000)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height = 64, 48
        audio = container.add_stream("pcm_s16le", rate=48000)
        audio.codec_context.layout = "mono"
        for start in (0.0, 1.0):
            samples = (tone * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.time_base = 48000, Fraction(1, 48000)
            frame.pts = round(start * 48000)
            container.mux(audio.encode(frame))
        for _ in range(50):
            container.mux(video.encode(av.VideoFrame.from_ndarray(quadrants(), format="rgb24")))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    result = copy_video(path, tmp_path / "out.mp4")
    assert beep_times(result) == pytest.approx([0.0, 1.0], abs=0.01)


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
def test_channels(tmp_path, layout):
    path = tmp_path / "in.wav"
    with av.open(str(path), "w") as container:
        audio = container.add_stream("pcm_s16le", rate=48000)
        audio.codec_context.layout = layout
        num_channels = len(av.AudioLayout(layout).channels)
        samples = np.zeros((1, 4800 * num_channels), np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout=layout)
        frame.sample_rate = 48000
        container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    with VideoWriter(tmp_path / "out.mp4", 64, 48, 25, audio_from=path) as writer:
        for _ in range(5):
            writer.write(quadrants())
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert len(container.streams.audio[0].codec_context.layout.channels) == min(num_channels, 2)


def test_sources_without_sound_are_silent(tmp_path):
    silent = make_video(tmp_path / "in.mp4")
    Image.new("RGB", (4, 4)).save(tmp_path / "in.gif")
    (tmp_path / "folder").mkdir()
    for source in (silent, tmp_path / "in.gif", tmp_path / "folder"):
        assert not has_audio(source)
        with VideoWriter(tmp_path / "out.mp4", 64, 48, 25, audio_from=source) as writer:
            writer.write(quadrants())
        assert sound_codec(tmp_path / "out.mp4") == []


def test_gif_has_no_sound(tmp_path):
    path = make_video(tmp_path / "in.mp4", num_frames=3, sound=beeping_sound(0.1, []))
    with open_video(copy_video(path, tmp_path / "out.gif")) as video:
        assert not video.info.has_audio


@pytest.mark.parametrize(("codec", "target"), [("aac", "mp4"), ("ac3", "mp4"), ("ac3", "mkv")])
def test_damaged_sound_does_not_stop_the_pictures(tmp_path, codec, target):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 88200)).astype(np.float32)
    path = make_video(tmp_path / "in.mov", num_frames=50, sound=noise, sound_codec=codec)
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        places = [packet.pos or 0 for packet in container.demux(audio=0) if packet.size]
    for place in places[30:50]:
        data[place : place + 40] = b"\xff" * 40
    path.write_bytes(data)
    result = copy_video(path, tmp_path / f"out.{target}")
    with open_video(result) as video:
        assert len(list(video)) == 50


def test_unreadable_sound(tmp_path):
    (tmp_path / "bad.mp3").write_bytes(b"this is not sound" * 100)
    with pytest.raises(MediaError, match="not a video that can be read"):
        VideoWriter(tmp_path / "out.mp4", 64, 48, 25, audio_from=tmp_path / "bad.mp3")
    assert left_behind(tmp_path) == ["bad.mp3"]
