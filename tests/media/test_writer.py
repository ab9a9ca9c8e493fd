"""Writing: what browsers need, exact times, sizes, and nothing left after a failure."""

import signal
import subprocess
import sys
from fractions import Fraction

import av
import jaxtyping
import numpy as np
import pytest
from PIL import Image, ImageSequence
from support.media_clips import (
    BLUE,
    GRAY,
    GREEN,
    RED,
    assert_colors,
    beeping_sound,
    corners,
    left_behind,
    make_video,
    quadrants,
)

from fnevr.errors import MediaError
from fnevr.media import writer as writer_module
from fnevr.media.reader import nearest_rate
from fnevr.media.video import open_video
from fnevr.media.writer import VideoWriter, check_video_target, clock_for

COLORS = [RED, GREEN, BLUE, GRAY]
KILLED_WHILE_WRITING = """
import signal, sys, numpy as np
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started this may ignore it
from fnevr.media.video import VideoWriter
with VideoWriter(sys.argv[1], 64, 48, 25) as writer:
    writer.write(np.zeros((48, 64, 3), np.uint8))
    print("writing", flush=True)
    while True:
        writer.write(np.zeros((48, 64, 3), np.uint8))
"""


@pytest.fixture
def bad_argument():
    """Let a wrong argument reach our own check instead of the runtime type checker."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def write(path, frames, rate=Fraction(25), times=None, **options):
    height, width, _ = frames[0].shape
    with VideoWriter(path, width, height, rate, **options) as writer:
        for index, frame in enumerate(frames):
            writer.write(frame, None if times is None else times[index])
    return path


def test_browsers_can_play_it(tmp_path):
    path = write(tmp_path / "a.mp4", [quadrants()] * 30)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat"), "fast start"
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.colorspace, context.color_primaries, context.color_trc) == (1, 1, 1)
        assert context.color_range == 1
        assert stream.average_rate == 25
        assert container.duration == 1_200_000
    assert left_behind(tmp_path) == ["a.mp4"]


@pytest.mark.parametrize("extension", ["mp4", "m4v", "mov", "mkv", "gif", "MP4"])
@pytest.mark.parametrize("size", [(64, 48), (63, 47), (1, 1), (721, 3)])
def test_sizes_and_colours(tmp_path, extension, size):
    path = write(tmp_path / f"a.{extension}", [quadrants(*size)] * 3)
    with open_video(path) as video:
        frames = list(video)
    is_gif = extension == "gif"
    assert len(frames) == (1 if is_gif and len(frames) == 1 else 3)
    width, height = size if is_gif else (size[0] + size[0] % 2, size[1] + size[1] % 2)
    assert frames[0].rgb.shape == (height, width, 3)
    if min(size) > 10:
        assert_colors(corners(frames[0].rgb), COLORS)


@pytest.mark.parametrize("value", [(0, 0, 0), (255, 255, 255), (255, 0, 0), (12, 200, 99)])
def test_flat_colours_survive(tmp_path, value):
    frame = np.full((48, 64, 3), value, np.uint8)
    with open_video(write(tmp_path / "a.mp4", [frame] * 2)) as video:
        assert_colors(next(iter(video)).rgb[20, 30], value, tolerance=3)


@pytest.mark.parametrize(
    "rate",
    [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001), 25, 60, Fraction(25, 2)],
)
@pytest.mark.parametrize("extension", ["mp4", "mkv", "mov"])
def test_constant_rates_are_exact(tmp_path, extension, rate):
    path = write(tmp_path / f"a.{extension}", [quadrants()] * 20, rate)
    with open_video(path) as video:
        assert video.info.frame_rate == rate
        assert [frame.time for frame in video] == [n / Fraction(rate) for n in range(20)]
        assert float(video.info.duration or 0) == pytest.approx(20 / rate, abs=1e-3)


def test_variable_rate_round_trip(tmp_path):
    times = [Fraction(n, 90000) for n in (0, 3000, 3001, 9999, 12345, 45000, 45100)]
    source = make_video(tmp_path / "in.mp4", times=times, num_frames=len(times))
    with open_video(source) as video, VideoWriter(tmp_path / "out.mp4", 64, 48, 30) as writer:
        for frame in video:
            writer.write(frame.rgb, frame.time)
    with open_video(tmp_path / "out.mp4") as video:
        assert [frame.time for frame in video] == times


def test_gif_times(tmp_path):
    times = [Fraction(0), Fraction(1, 10), Fraction(4, 10), Fraction(45, 100)]
    frames = [np.full((8, 8, 3), value, np.uint8) for value in (0, 90, 180, 250)]
    path = write(tmp_path / "a.gif", frames, 20, times)
    with open_video(path) as video:
        read = list(video)
    assert [frame.time for frame in read] == times
    assert_colors([frame.rgb[4, 4] for frame in read], [(v,) * 3 for v in (0, 90, 180, 250)], 2)


@pytest.mark.parametrize("rate", [50, 60, Fraction(60000, 1001), 100, 240])
def test_gifs_have_no_delay_that_browsers_make_longer(tmp_path, rate):
    rng = np.random.default_rng(0)
    path = write(tmp_path / "a.gif", list(rng.integers(0, 256, (30, 8, 8, 3), np.uint8)), rate)
    with Image.open(path) as gif:
        delays = [frame.info["duration"] for frame in ImageSequence.Iterator(gif)]
    assert min(delays) >= 20
    assert sum(delays) == pytest.approx(1000 * 30 / rate, abs=20)


@pytest.mark.parametrize("end", [Fraction(12, 10), Fraction(416, 100), Fraction(2000)])
@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv", "gif"])
def test_a_last_frame_that_is_shown_long(tmp_path, extension, end):
    path = tmp_path / f"a.{extension}"
    end = min(end, Fraction(600)) if extension == "gif" else end
    with VideoWriter(path, 64, 48, 10) as writer:
        for level in range(8):
            writer.write(np.full((48, 64, 3), 30 * level, np.uint8))
        writer.end = end
    with open_video(path) as video:
        assert [frame.time for frame in video] == [Fraction(n, 10) for n in range(8)]
        assert video.end == pytest.approx(end, abs=0.02)
        assert video.damage is None


def test_clock():
    assert clock_for(Fraction(30000, 1001)) == 90000
    assert clock_for(Fraction(24000, 1001)) == 360000
    assert clock_for(Fraction(19001, 317)) == 90000
    assert clock_for(Fraction(999983, 31)) == 999983


def test_what_was_there_is_replaced_at_the_end(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")
    with VideoWriter(path, 64, 48, 25) as writer:
        writer.write(quadrants())
        assert path.read_bytes() == b"old"
    assert path.stat().st_size > 100


@pytest.mark.parametrize("extension", ["mp4", "mkv", "gif"])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("num_frames", [0, 1, 40])
def test_an_interrupted_writer_leaves_nothing(tmp_path, error, num_frames, extension):
    sound = make_video(tmp_path / "in.mp4", sound=beeping_sound(1, []))

    def stop_halfway():
        path = tmp_path / f"a.{extension}"
        with VideoWriter(path, 64, 48, 25, audio_from=sound) as writer:
            for _ in range(num_frames):
                writer.write(quadrants())
            raise error

    with pytest.raises(error):
        stop_halfway()
    assert left_behind(tmp_path, "in.mp4") == []


def test_control_c_in_a_real_process_leaves_nothing(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED_WHILE_WRITING, str(tmp_path / "a.mp4")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert "KeyboardInterrupt" in errors
    assert left_behind(tmp_path) == []


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    def fail(self, frame):
        raise av.error.OSError(28, "No space left on device")

    monkeypatch.setattr(writer_module.VideoWriter, "_mux", fail)
    with pytest.raises(MediaError, match="No space left on device"):
        write(tmp_path / "a.mp4", [quadrants()])
    assert left_behind(tmp_path) == []


def test_no_frames(tmp_path):
    with (
        pytest.raises(MediaError, match="there was no frame"),
        VideoWriter(tmp_path / "a.mp4", 64, 48, 25),
    ):
        pass
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("name", ["a.webm", "a", "a.mp4.txt", ".mp4", "a.mp3"])
def test_unknown_extensions(tmp_path, name):
    for check in (check_video_target, lambda path: VideoWriter(path, 64, 48, 25)):
        with pytest.raises(MediaError, match="must end in"):
            check(tmp_path / name)
    assert left_behind(tmp_path) == []


def test_bad_targets_are_told_before_work_starts(tmp_path, monkeypatch):
    with pytest.raises(MediaError, match="does not exist; create it"):
        VideoWriter(tmp_path / "no" / "a.mp4", 64, 48, 25)
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(MediaError, match="not a regular file"):
        VideoWriter(tmp_path / "folder.mp4", 64, 48, 25)
    with pytest.raises(MediaError, match="1 to 16384 pixels"):
        VideoWriter(tmp_path / "a.mp4", 20000, 48, 25)
    with pytest.raises(ValueError, match="frame rate must be"):
        VideoWriter(tmp_path / "a.mp4", 64, 48, 0)
    with pytest.raises(MediaError, match="no such file"):
        VideoWriter(tmp_path / "a.mp4", 64, 48, 25, audio_from=tmp_path / "none.mp4")
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(MediaError, match="no permission"):
        VideoWriter(tmp_path / "a.mp4", 64, 48, 25)
    assert left_behind(tmp_path) == ["folder.mp4"]


@pytest.mark.usefixtures("bad_argument")
def test_bad_frames(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 64, 48, 25) as writer:
        writer.write(quadrants(), Fraction(1))
        with pytest.raises(ValueError, match="shape"):
            writer.write(quadrants(48, 64))
        with pytest.raises(ValueError, match="uint8"):
            writer.write(quadrants().astype(np.float32))
        with pytest.raises(ValueError, match="increase"):
            writer.write(quadrants(), Fraction(1))
        assert writer.num_frames == 1


@pytest.mark.parametrize(
    ("rate", "written"),
    [
        (Fraction(29.97), Fraction(2997, 100)),
        (29.97, Fraction(2997, 100)),
        (30000 / 1001, Fraction(30000, 1001)),
        (Fraction(23.976), Fraction(2997, 125)),
        (0.1, Fraction(1, 10)),
        (Fraction(10**12 + 1, 10**12), Fraction(1)),
        (120, Fraction(120)),
    ],
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".gif"])
def test_rates_as_people_write_them(tmp_path, rate, written, suffix):
    path = tmp_path / f"a{suffix}"
    with VideoWriter(path, 32, 32, rate) as writer:
        for level in range(3):
            writer.write(np.full((32, 32, 3), 40 * level, np.uint8))
    with open_video(path) as video:
        is_too_quick = suffix == ".gif" and rate == 120
        assert len(list(video)) == (2 if is_too_quick else 3)
        if suffix == ".mp4":
            assert video.info.frame_rate == nearest_rate(written)


@pytest.mark.parametrize("rate", [0, -25, float("nan"), float("inf"), 10**18, Fraction(1, 10**9)])
def test_rates_that_are_none(tmp_path, rate):
    with pytest.raises(ValueError, match="the frame rate must be"):
        VideoWriter(tmp_path / "a.mp4", 32, 32, rate)


@pytest.mark.parametrize("time", [Fraction(10**30), Fraction(10**11)])
def test_times_that_no_file_can_hold(tmp_path, time):
    with VideoWriter(tmp_path / "a.mp4", 32, 32, 25) as writer:
        writer.write(np.zeros((32, 32, 3), np.uint8))
        with pytest.raises(ValueError, match="times must increase"):
            writer.write(np.zeros((32, 32, 3), np.uint8), time)
