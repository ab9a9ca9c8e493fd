"""A part of a driver: its frames, its sound, its times."""

import shutil
from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition
from support.gray_model import GrayModel, gray
from support.media_clips import beep_times, beeping_sound, make_video

from fnevr.animation.animator import Animator
from fnevr.animation.driver import opened
from fnevr.animation.keypoint_track import load_track
from fnevr.errors import FnevrError, MediaError
from fnevr.media.image import write_image
from fnevr.media.trim import Span, parse_seconds
from fnevr.media.video import open_video
from fnevr.media.writer import VideoWriter
from fnevr.runtime.torch_engine import TorchEngine

LEVELS = [40 + 2 * index for index in range(50)]


@pytest.fixture(scope="module")
def animator():
    return Animator(TorchEngine(GrayModel()), name="gray", batch_size=2)


@pytest.fixture(scope="module")
def made(animator, tmp_path_factory):
    """A source, a driver of two seconds that beeps at 0.5 and at 1.5 s, and its recorded motion."""
    folder = tmp_path_factory.mktemp("trim")
    write_image(folder / "me.png", gray(100, 48, 40))
    sound = beeping_sound(2, [Fraction(1, 2), Fraction(3, 2)])
    make_video(folder / "talk.mp4", [gray(level, 64, 64) for level in LEVELS], sound=sound)
    animator.record(folder / "talk.mp4", folder / "all.safetensors", crop=False)
    return folder


@pytest.fixture
def files(made, tmp_path, monkeypatch):
    """Start in a folder with these files."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)


def levels(path):
    with open_video(path) as video:
        return [round(float(frame.rgb.mean())) for frame in video]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("12.5", Fraction(25, 2)),
        ("90", 90),
        ("1:30", 90),
        ("01:02:03.25", Fraction(14893, 4)),
        ("100:00:00", 360_000),
    ],
)
def test_times_as_people_write_them(text, seconds):
    assert parse_seconds(text, "start_s") == seconds


WORDS = ["", "-1", "1:2:3:4", "nan", "1e3", "1:", "1:100:00", "inf", "a"]


@pytest.mark.parametrize("text", [*WORDS, "9" * 10, "9" * 5000, "9" * 400 + ":00:00"])
def test_what_is_no_time(text):
    with pytest.raises(FnevrError, match="is no time: wanted seconds"):
        parse_seconds(text, "start_s")


@pytest.mark.parametrize(
    ("start_s", "end_s", "first", "last"),
    [(0, None, 0, 49), (1, None, 25, 49), (0, 1, 0, 24), (0.5, 1.2, 13, 29), (1.96, 9, 49, 49)],
)
def test_frames_of_a_part(animator, files, start_s, end_s, first, last):
    options = {"transfer": "absolute", "crop": False, "start_s": start_s, "end_s": end_s}
    report = animator.animate("me.png", "talk.mp4", "out.mp4", **options)
    wanted = LEVELS[first : last + 1]
    assert report.frames == len(wanted)
    np.testing.assert_allclose(levels("out.mp4"), wanted, atol=3)
    animator.animate("me.png", "all.safetensors", "track.mp4", **options)
    assert levels("track.mp4") == levels("out.mp4")
    track = animator.record("talk.mp4", "a.safetensors", crop=False, start_s=start_s, end_s=end_s)
    assert len(track) == len(wanted)
    assert load_track("a.safetensors").frame_rate == 25


def test_the_sound_is_that_of_the_part(animator, files):
    animator.animate("me.png", "talk.mp4", "out.mp4", crop=False, start_s=1.21, end_s=1.9)
    assert [float(time) for time in beep_times("out.mp4")] == pytest.approx([0.29], abs=0.04)
    with open_video("out.mp4") as video:
        times = [frame.time for frame in video]
    assert float(times[1]) == pytest.approx(0.07, abs=0.001)


@pytest.mark.parametrize("driver", ["talk.mp4", "all.safetensors"])
@pytest.mark.parametrize(
    ("span", "message"),
    [
        ((5, None), "no frame from 5 s to the end: it is 2.00 s long"),
        ((3, 4), "no frame from 3 s to 4 s"),
        ((1, 1), "the end must come after the start"),
        ((2, 1), "the end must come after the start"),
        ((-1, None), "times count from 0"),
        ((float("nan"), None), "must be a number"),
        ((0, float("inf")), "must be a number"),
        ((0, 1e300), "must be a number"),
        ((10**400, None), "must be a number"),
        ((-(10**400), None), "must be a number"),
    ],
)
def test_parts_that_are_not_there(animator, files, tmp_path, driver, span, message):
    before = sorted(tmp_path.iterdir())
    with pytest.raises(FnevrError, match=message):
        animator.animate("me.png", driver, "out.mp4", crop=False, start_s=span[0], end_s=span[1])
    assert sorted(tmp_path.iterdir()) == before


def test_damage_after_the_part_is_not_told(files, tmp_path):
    noise = list(np.random.default_rng(0).integers(0, 256, (50, 48, 64, 3), dtype=np.uint8))
    path = make_video(tmp_path / "a.mkv", noise, options={"bf": "0"})
    path.write_bytes(path.read_bytes()[:-40_000])
    for end, is_told in ((Fraction(1, 2), False), (None, True)):
        with opened(path, Span(Fraction(1, 5), end)) as video:
            assert len(list(video)) > 5
            assert (video.damage is not None) == is_told


@pytest.mark.parametrize(
    ("span", "end"),
    [((0, None), 3), ((0.2, None), 2.8), ((0.2, 2), 1.8), ((0, 9), 3), ((0, 0.4), None)],
)
def test_a_last_frame_that_is_shown_long_stays_so(animator, files, span, end):
    with VideoWriter("long.mp4", 64, 64, 10) as writer:
        for level in LEVELS[:8]:
            writer.write(gray(level, 64, 64))
        writer.end = Fraction(3)
    animator.animate("me.png", "long.mp4", "out.mp4", crop=False, start_s=span[0], end_s=span[1])
    with open_video("out.mp4") as video:
        count = len(list(video))
    assert count == (4 if span[1] == 0.4 else 8 - 10 * span[0])
    assert float(video.end or 0) == pytest.approx(end or 0, abs=0.01)


def test_quality(animator, files, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    write_image("noise.png", noise)
    sizes = []
    for crf in (10, 18, 40):
        animator.animate("noise.png", "talk.mp4", f"{crf}.mp4", crop=False, crf=crf)
        sizes.append((tmp_path / f"{crf}.mp4").stat().st_size)
    animator.animate("noise.png", "talk.mp4", "plain.mp4", crop=False)
    assert sizes[0] > sizes[1] == (tmp_path / "plain.mp4").stat().st_size > sizes[2]
    for output, crf in (("a.gif", 20), ("a.png", 20), ("a.mp4", 52), ("a.mp4", -1)):
        with pytest.raises(FnevrError, match=r"has no meaning|wanted 0 to 51"):
            animator.animate("me.png", "talk.mp4", output, crop=False, crf=crf)


@pytest.mark.parametrize("default", [0, 1, 2])
def test_the_default_stream_is_read(tmp_path, default):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=25) for _ in range(3)]
        for index, stream in enumerate(streams):
            stream.width = stream.height = 64
            stream.pix_fmt = "yuv420p"
            stream.disposition = Disposition.default if index == default else Disposition(0)
        for _ in range(5):
            for index, stream in enumerate(streams):
                frame = av.VideoFrame.from_ndarray(gray(50 + 50 * index, 64, 64), format="rgb24")
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    np.testing.assert_allclose(levels(path), [50 + 50 * default] * 5, atol=3)


def test_without_a_default_the_first_stream_is_read(files):
    assert len(levels("talk.mp4")) == 50
    with pytest.raises(MediaError, match="no such file"):
        levels("none.mp4")
