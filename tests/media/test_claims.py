"""What headers claim is compared with the frames: rates, lengths, damage."""

from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from support.media_clips import beeping_sound, make_video

from fnevr.media.video import open_video

NOISE = list(np.random.default_rng(0).integers(0, 256, (50, 48, 64, 3), dtype=np.uint8))
CODECS = {"webm": ("libvpx-vp9", "libopus"), "avi": ("libx264", "mp3")}
SECONDS_OF_SOUND = 6


def frame_at(rgb, time):
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
    frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
    return frame


def read(path):
    with open_video(path) as video:
        return video.info, [frame.time for frame in video], video.damage


def make(path, frames=NOISE, **options):
    codec, sound_codec = CODECS.get(path.suffix[1:], ("libx264", "aac"))
    plain = {"bf": "0"} if codec == "libx264" else {}
    return make_video(
        path,
        frames,
        codec=codec,
        sound_codec=sound_codec,
        sound_rate=48000 if sound_codec == "libopus" else 44100,
        options=plain,
        **options,
    )


@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv", "webm", "flv", "avi", "ts"])
def test_sound_may_be_longer_than_the_pictures(tmp_path, extension):
    rate = 48000 if extension == "webm" else 44100
    sound = beeping_sound(SECONDS_OF_SOUND, [], rate)
    _, times, damage = read(make(tmp_path / f"a.{extension}", sound=sound))
    assert times == [Fraction(n, 25) for n in range(50)]
    assert damage is None


@pytest.mark.parametrize("extension", ["mkv", "webm", "mp4", "ts"])
def test_pictures_may_begin_late(tmp_path, extension):
    _, times, damage = read(make(tmp_path / f"a.{extension}", first_time=Fraction(3)))
    assert len(times) == 50
    assert damage is None


@pytest.mark.parametrize("share", [0.4, 0.7])
@pytest.mark.parametrize("extension", ["mkv", "webm"])
def test_a_file_with_sound_that_is_cut_short_says_so(tmp_path, extension, share):
    rate = 48000 if extension == "webm" else 44100
    path = make(tmp_path / f"a.{extension}", sound=beeping_sound(2, [], rate))
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    _, times, damage = read(path)
    assert 5 < len(times) < 50
    assert damage is not None


@pytest.mark.parametrize("claimed", [Fraction(1000), Fraction(240), Fraction(1, 10), Fraction(5)])
@pytest.mark.parametrize("extension", ["mkv", "webm", "mp4", "mov", "ts"])
def test_a_claimed_rate_that_the_frames_contradict(tmp_path, extension, claimed):
    times = [Fraction(n, 25) for n in range(50)]
    info, found, damage = read(make(tmp_path / f"a.{extension}", rate=claimed, times=times))
    assert info.frame_rate == 25
    assert found == times
    assert damage is None


@pytest.mark.parametrize("extension", ["mkv", "mp4"])
def test_a_varying_rate_is_averaged(tmp_path, extension):
    times = [Fraction(n, 60) for n in range(25)]
    times += [times[-1] + Fraction(n + 1, 5) for n in range(25)]
    info, found, damage = read(make(tmp_path / f"a.{extension}", rate=60, times=times))
    assert float(info.frame_rate) == pytest.approx(49 / float(times[-1]), rel=0.03)
    assert [float(time) for time in found] == pytest.approx([float(t) for t in times], abs=0.002)
    assert damage is None


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("live.mkv", {"container_options": {"live": "1"}}),
        ("fragments.mp4", {"container_options": {"movflags": "frag_keyframe+empty_moov"}}),
        ("raw.h264", {}),
    ],
)
def test_files_that_claim_no_length(tmp_path, name, options):
    info, times, damage = read(make(tmp_path / name, **options))
    assert info.frame_rate == 25
    assert len(times) == 50
    assert damage is None


def with_a_long_last_frame(path, seconds):
    """Thirteen frames, the last of which is shown for longer, as screen recorders write them."""
    codec, _ = CODECS.get(path.suffix[1:], ("libx264", ""))
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        packets = [
            packet
            for frame in [*(frame_at(NOISE[n], Fraction(n, 10)) for n in range(13)), None]
            for packet in stream.encode(frame)
        ]
        tick = packets[-1].time_base
        packets[-1].duration = round(seconds / tick)
        container.mux(packets)
    return path


@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv", "webm", "gif"])
@pytest.mark.parametrize("seconds", [Fraction(1, 2), Fraction(286, 100), Fraction(60)])
def test_a_last_frame_that_is_shown_long(tmp_path, extension, seconds):
    path = tmp_path / f"a.{extension}"
    if extension == "gif":
        stills = [Image.fromarray(rgb) for rgb in NOISE[:13]]
        delays = [100] * 12 + [int(1000 * seconds)]
        stills[0].save(path, save_all=True, append_images=stills[1:], duration=delays)
    else:
        with_a_long_last_frame(path, seconds)
    with open_video(path) as video:
        times = [frame.time for frame in video]
        assert times == [Fraction(n, 10) for n in range(13)]
        assert float(video.end or 0) == pytest.approx(1.2 + float(seconds), abs=0.01)
        assert video.damage is None


@pytest.mark.parametrize("extension", ["mkv", "avi"])
def test_pictures_that_are_damaged_in_the_middle_are_told(tmp_path, extension):
    path = make_video(tmp_path / f"a.{extension}", NOISE, codec="mpeg4")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = np.random.default_rng(1).bytes(2000)
    path.write_bytes(data)
    _, times, damage = read(path)
    assert len(times) > 40
    assert "is damaged at" in str(damage)


def test_every_frame_is_there_twice(tmp_path):
    """Measuring the rate takes nothing from what is read."""
    path = make(tmp_path / "a.mkv", rate=Fraction(1000), times=[Fraction(n, 25) for n in range(50)])
    with open_video(path) as video:
        assert [f.time for f in video] == [f.time for f in video]
