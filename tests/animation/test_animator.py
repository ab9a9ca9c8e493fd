"""Animator on a model whose results are known, and on a tiny random one."""

from fractions import Fraction
from itertools import count
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.gray_model import SIZE, GrayModel, gray
from support.media_clips import beep_times, beeping_sound, make_video

from fnevr.animation.animator import Animator
from fnevr.animation.keypoint_track import load_track
from fnevr.config.presets import asset
from fnevr.errors import FaceError, FnevrError, MediaError
from fnevr.media.image import read_image, write_image
from fnevr.media.video import open_video
from fnevr.models import FOMM, FNeVR
from fnevr.runtime.load import check_device
from fnevr.runtime.torch_engine import TorchEngine

WHOLE: dict[str, Any] = {"crop": False, "paste_back": False}


@pytest.fixture
def animator():
    return Animator(TorchEngine(GrayModel()), name="gray", batch_size=2)


@pytest.fixture
def source(tmp_path):
    write_image(tmp_path / "source.png", gray(100, 48, 40))
    return tmp_path / "source.png"


def driver(path, levels, **options):
    return make_video(path, [gray(level, 64, 64) for level in levels], **options)


def levels_of(path):
    with open_video(path) as video:
        return [int(np.rint(frame.rgb.mean())) for frame in video]


def shades(frames):
    return [int(np.rint(frame.mean())) for frame in frames]


def close(levels, tolerance=3):
    return pytest.approx(levels, abs=tolerance)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"transfer": "absolute"}, [50, 60, 90, 40, 50]),
        ({"best_frame": "first"}, [100, 110, 140, 90, 100]),
        ({"best_frame": 2}, [60, 70, 100, 50, 60]),
        ({"best_frame": 4}, [100, 110, 140, 90, 100]),
    ],
)
def test_motion_adds_up(animator, options, expected):
    drivers = [gray(level) for level in (50, 60, 90, 40, 50)]
    frames = list(animator.frames(gray(100), drivers, **WHOLE, **options))
    assert shades(frames) == close(expected, 1)
    assert all(frame.shape == (SIZE, SIZE, 3) and frame.dtype == np.uint8 for frame in frames)


def test_files_in_file_out(animator, source, tmp_path):
    talk = driver(tmp_path / "talk.mp4", [50, 60, 90, 40, 50], rate=Fraction(30000, 1001))
    calls = []
    report = animator.animate(
        source,
        talk,
        tmp_path / "out.mp4",
        crop=False,
        best_frame="first",
        progress=lambda *call: calls.append(call),
    )
    assert levels_of(tmp_path / "out.mp4") == close([100, 110, 140, 90, 100])
    assert (report.frames, report.width, report.height) == (5, 40, 48)
    assert (report.model, report.device, report.reference_frame) == ("gray", "cpu", 0)
    assert report.frames_per_second == pytest.approx(report.frames / report.seconds, rel=0.1)
    assert report.versions["torch"].startswith(torch.__version__.split("+")[0])
    assert report.warnings == []
    assert calls == [("animating", done, total) for done, total in [(0, 5), (2, 5), (4, 5), (5, 5)]]
    with open_video(tmp_path / "out.mp4") as video:
        assert (video.info.width, video.info.height) == (40, 48)
        assert video.info.frame_rate == Fraction(30000, 1001)
    assert animator.engine.model.num_encoded == 1


def test_auto_reads_the_motion_once_and_then_animates(animator, source, tmp_path):
    talk = driver(tmp_path / "talk.mp4", [50, 60, 90])
    stages = []
    report = animator.animate(
        source,
        talk,
        tmp_path / "out.mp4",
        crop=False,
        progress=lambda stage, *_: stages.append(stage),
    )
    assert report.reference_frame in range(3)
    assert list(dict.fromkeys(stages)) == ["reading the motion", "animating"]
    assert animator.engine.model.num_seen == 3 + 1  # every driving frame, and the source, once


def test_frames_are_lazy(animator):
    taken = count()
    endless = (gray(50 + next(taken)) for _ in count())
    frames = animator.frames(gray(100), endless, **WHOLE)
    assert next(taken) == 0
    assert next(frames).mean() == pytest.approx(100, abs=1)
    next(frames)
    assert next(taken) <= 2 * animator.batch_size + 1


def test_paste_back_without_crop_restores_the_size(animator):
    (frame,) = animator.frames(gray(100, 30, 50), [gray(70)], crop=False)
    assert frame.shape == (30, 50, 3)


def test_reconstruct_is_absolute_and_of_the_models_size(animator, tmp_path):
    clip = driver(tmp_path / "clip.mp4", [50, 60, 90])
    report = animator.reconstruct(clip, tmp_path / "out.mp4")
    assert levels_of(tmp_path / "out.mp4") == close([50, 60, 90])
    assert (report.width, report.height, report.reference_frame) == (SIZE, SIZE, None)


def test_a_recorded_track_moves_as_its_video_does(animator, source, tmp_path):
    talk = driver(tmp_path / "talk.mp4", [50, 60, 90, 40], rate=Fraction(30000, 1001))
    animator.record(talk, tmp_path / "talk.safetensors", crop=False)
    track = load_track(tmp_path / "talk.safetensors")
    assert (len(track), track.frame_rate, track.model) == (4, Fraction(30000, 1001), "gray")
    options = {"crop": False, "best_frame": 1}
    animator.animate(source, talk, tmp_path / "video.mp4", **options)
    report = animator.animate(
        source, tmp_path / "talk.safetensors", tmp_path / "track.mp4", **options
    )
    assert report.warnings == []
    assert levels_of(tmp_path / "track.mp4") == levels_of(tmp_path / "video.mp4")
    with open_video(tmp_path / "track.mp4") as video:
        assert video.info.frame_rate == Fraction(30000, 1001)


def test_a_track_is_read_once(animator, source, tmp_path, monkeypatch):
    talk = driver(tmp_path / "talk.mp4", [50, 60])
    animator.record(talk, tmp_path / "talk.safetensors", crop=False)
    read = []

    def counting(path):
        read.append(path)
        return load_track(path)

    monkeypatch.setattr("fnevr.animation.driver.load_track", counting)
    track = tmp_path / "talk.safetensors"
    animator.animate(source, track, tmp_path / "out.mp4", crop=False)
    assert read == [track]


@pytest.mark.parametrize("name", ["photo.png", "photo.jpg", "folder", "one.mp4", "one.gif"])
@pytest.mark.parametrize("transfer", ["relative", "absolute"])
def test_a_driver_of_one_frame_is_told(animator, source, tmp_path, name, transfer):
    photo = tmp_path / name
    if name == "folder":
        photo.mkdir()
        write_image(photo / "1.png", gray(60, 64, 64))
    elif name.endswith((".png", ".jpg")):
        write_image(photo, gray(60, 64, 64))
    elif name.endswith(".gif"):
        Image.fromarray(gray(60, 64, 64)).save(photo)
    else:
        driver(photo, [60])
    report = animator.animate(source, photo, tmp_path / "o.mp4", transfer=transfer, crop=False)
    (warning,) = report.warnings
    expected = "leaves the source as it is" if transfer == "relative" else "output named .png"
    assert expected in warning
    assert report.frames == 1
    for suffix in ("png", "jpg", "webp"):
        still = tmp_path / f"still.{suffix}"
        report = animator.animate(source, photo, still, transfer=transfer, crop=False)
        assert report.warnings == ([warning] if transfer == "relative" else [])
        rgb = read_image(still)
        assert rgb.shape == (48, 40, 3)
        assert np.rint(rgb.mean()) == close(100 if transfer == "relative" else 60)


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.gif", "out.png"])
def test_the_report_has_the_size_of_the_file(animator, tmp_path, name):
    write_image(tmp_path / "odd.png", gray(100, 47, 33))
    write_image(tmp_path / "photo.png", gray(60, 64, 64))
    out = tmp_path / name
    report = animator.animate(tmp_path / "odd.png", tmp_path / "photo.png", out, crop=False)
    with open_video(out) as video:
        assert (report.width, report.height) == (video.info.width, video.info.height)
    assert report.width == (33 if name in {"out.gif", "out.png"} else 34)


@pytest.mark.parametrize(
    ("size", "limit", "wanted", "is_told"),
    [(None, 10**6, (40, 48), False), (24, 10**6, (20, 24), False), (None, 480, (20, 24), True)],
)
def test_videos_have_the_size_asked_for_or_one_that_players_open(
    animator, source, tmp_path, monkeypatch, size, limit, wanted, is_told
):
    monkeypatch.setattr("fnevr.animation.source.PLAYED_PIXELS", limit)
    talk = driver(tmp_path / "talk.mp4", [50, 60])
    report = animator.animate(source, talk, tmp_path / "out.mp4", crop=False, size=size)
    assert (report.width, report.height) == wanted
    with open_video(tmp_path / "out.mp4") as video:
        assert (video.info.width, video.info.height) == wanted
    told = [text for text in report.warnings if "few players open videos of 40 x 48" in text]
    assert len(told) == is_told
    assert all("`size=24`" in text for text in told)


def test_a_moving_driver_makes_no_picture(animator, source, tmp_path):
    talk = driver(tmp_path / "talk.mp4", [50, 60, 70])
    before = sorted(tmp_path.iterdir())
    with pytest.raises(MediaError, match="more than one frame: name a video"):
        animator.animate(source, talk, tmp_path / "out.png", crop=False)
    assert sorted(tmp_path.iterdir()) == before
    report = animator.animate(source, talk, tmp_path / "out.mp4", crop=False)
    assert report.warnings == []


def test_a_motion_has_the_average_of_a_varying_rate(animator, tmp_path):
    times = [start + Fraction(n, 30) for start in (0, Fraction(1, 2)) for n in range(10)]
    frames = [gray(level, 64, 64) for level in range(50, 90, 2)]
    talk = make_video(tmp_path / "talk.mkv", frames, rate=30, times=times, options={"bf": "0"})
    track = animator.record(talk, tmp_path / "talk.safetensors", crop=False)
    assert len(track) == 20
    assert float(track.frame_rate) == pytest.approx(19 / float(times[-1]), rel=0.001)
    assert track.warnings == ("the frame rate varies: the motion has its average",)
    assert load_track(tmp_path / "talk.safetensors").frame_rate == track.frame_rate
    steady = animator.record(
        driver(tmp_path / "a.mp4", [50, 60, 70]), tmp_path / "a.safetensors", crop=False
    )
    assert (steady.frame_rate, steady.warnings) == (25, ())


def test_a_track_of_another_model_is_told(source, tmp_path):
    talk = driver(tmp_path / "talk.mp4", [50, 60])
    track, out = tmp_path / "t.safetensors", tmp_path / "out.mp4"
    Animator(TorchEngine(GrayModel()), name="gray").record(talk, track, crop=False)
    other = Animator(TorchEngine(GrayModel()), name="other")
    assert "model 'gray', not 'other'" in other.animate(source, track, out, crop=False).warnings[0]
    more = Animator(TorchEngine(GrayModel(num_keypoints=10)), name="more")
    with pytest.raises(MediaError, match="moves 4 keypoints, but the model 'more' has 10"):
        more.animate(source, track, out, crop=False)


def test_the_drivers_sound_comes_along(animator, source, tmp_path):
    sound = beeping_sound(2, [Fraction(1, 2), Fraction(3, 2)])
    talk = driver(tmp_path / "talk.mp4", [50] * 50, sound=sound)
    animator.animate(source, talk, tmp_path / "out.mp4", crop=False)
    found = [float(time) for time in beep_times(tmp_path / "out.mp4")]
    assert found == pytest.approx([0.5, 1.5], abs=0.04)


def test_variable_frame_times_are_kept(animator, source, tmp_path):
    times = [Fraction(0), Fraction(1, 25), Fraction(1, 5), Fraction(1, 2)]
    talk = driver(tmp_path / "talk.mkv", [50, 60, 70, 80], times=times)
    animator.animate(source, talk, tmp_path / "out.mp4", crop=False)
    with open_video(tmp_path / "out.mp4") as video:
        assert [float(f.time) for f in video] == pytest.approx(list(map(float, times)), abs=0.001)


def test_faces_are_cropped_and_pasted_back(animator, tmp_path):
    photo = asset("portrait.jpg")
    picture = np.asarray(Image.open(photo).convert("RGB"))
    shifted = [np.roll(picture, shift, axis=1) for shift in (0, 4, 8, 12)]
    talk = make_video(tmp_path / "talk.mp4", [np.zeros_like(picture), *shifted])
    report = animator.animate(photo, talk, tmp_path / "out.mp4", best_frame="first")
    assert (report.frames, report.width, report.height) == (5, *picture.shape[1::-1])
    with open_video(tmp_path / "out.mp4") as video:
        frames = [frame.rgb.astype(int) for frame in video]
    corner = (slice(0, 40), slice(0, 40))
    assert np.abs(frames[-1][corner] - picture[corner]).mean() < 4
    assert np.abs(frames[-1] - picture).mean() > 1
    # The frame before the face appeared repeats the first motion seen.
    assert np.abs(frames[0] - frames[1]).mean() < 1


def test_a_driver_without_a_face_is_an_error(animator, tmp_path):
    talk = driver(tmp_path / "talk.mp4", [50] * 3)
    with pytest.raises(FaceError, match="driving video"):
        animator.animate(asset("portrait.jpg"), talk, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": "no.jpg"}, r"no such file: '.*no\.jpg'"),
        ({"driving": "no.mp4"}, r"no\.mp4"),
        ({"driving": "no.safetensors"}, r"no such file"),
        ({"source": "talk.mp4"}, "cannot retarget, which a source video needs"),
        ({"driving": "text.mp4"}, r"text\.mp4"),
        ({"output": "out.txt"}, "must end in"),
        ({"output": "nowhere/out.mp4"}, "does not exist"),
        ({"output": "talk.mp4"}, "an input and an output"),
        ({"best_frame": 3}, "there is no frame 3: the driver has 3 frame"),
        ({"best_frame": -1}, "there is no frame -1: frames count from 0"),
        ({"crop": True}, "no face found"),
    ],
)
def test_bad_input_is_one_clear_error_and_leaves_no_file(
    animator, source, tmp_path, change, message
):
    driver(tmp_path / "talk.mp4", [50, 60, 70])
    (tmp_path / "text.mp4").write_text("this is no video")
    before = sorted(tmp_path.iterdir())
    files = {"source": "source.png", "driving": "talk.mp4", "output": "out.mp4"}
    arguments = {**files, "crop": False, **change}
    for name in files:
        arguments[name] = tmp_path / arguments[name]
    with pytest.raises(FnevrError, match=message):
        animator.animate(**arguments)
    assert sorted(tmp_path.iterdir()) == before


def test_an_interrupted_run_leaves_nothing(animator, source, tmp_path):
    talk = driver(tmp_path / "talk.mp4", [50] * 10)
    before = sorted(tmp_path.iterdir())

    def interrupt(stage, num_done, _num_frames):
        if stage == "animating" and num_done > 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        animator.animate(source, talk, tmp_path / "out.mp4", crop=False, progress=interrupt)
    assert sorted(tmp_path.iterdir()) == before


def test_a_damaged_driver_gives_what_it_holds_and_a_warning(animator, source, tmp_path):
    talk = driver(tmp_path / "talk.mkv", [50] * 200, options={"g": "10"})
    talk.write_bytes(talk.read_bytes()[: talk.stat().st_size // 2])
    report = animator.animate(source, talk, tmp_path / "out.mp4", crop=False)
    assert 0 < report.frames < 200
    assert "cut short" in report.warnings[0]
    assert len(levels_of(tmp_path / "out.mp4")) == report.frames


def test_arrays_that_are_no_pictures(animator, bad_argument):
    with pytest.raises(ValueError, match="uint8 array"):
        animator.frames(np.zeros((8, 8)), [gray(1)])
    frames = animator.frames(gray(100), [np.zeros((8, 8, 4), np.uint8)], **WHOLE)
    with pytest.raises(ValueError, match="uint8 array"):
        next(frames)


def test_no_driving_frames(animator):
    for best_frame in ("first", "auto"):
        with pytest.raises(MediaError, match="the driver has 0 frame"):
            list(animator.frames(gray(100), [], **WHOLE, best_frame=best_frame))
    assert list(animator.frames(gray(100), [], **WHOLE, transfer="absolute")) == []


def test_devices_that_are_not_there():
    with pytest.raises(FnevrError, match="device must be cpu, cuda or mps, got 'tpu'"):
        check_device("tpu")
    with pytest.raises(FnevrError, match="there is no cuda:99 on this machine"):
        check_device("cuda:99")
    with pytest.raises(ValueError, match="at least 1"):
        Animator(TorchEngine(GrayModel()), batch_size=0)


@pytest.fixture(params=["fnevr", "fomm"])
def folder(request, tmp_path, tiny_fnevr_config, tiny_fomm_config):
    model = FNeVR(tiny_fnevr_config) if request.param == "fnevr" else FOMM(tiny_fomm_config)
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_any_model_of_the_package_animates(folder):
    animator = Animator.from_pretrained(folder, device="cpu")
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (6, 40, 40, 3), np.uint8)
    frames = list(animator.frames(pictures[0], pictures[1:], **WHOLE))
    assert [frame.shape for frame in frames] == [(32, 32, 3)] * 5
    assert animator.name == str(folder)


def test_batches_do_not_change_the_result(folder):
    pictures = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), np.uint8)
    one, four = (
        list(
            Animator.from_pretrained(folder, "cpu", batch_size=size).frames(
                pictures[0], pictures[1:], **WHOLE
            )
        )
        for size in (1, 4)
    )
    for a, b in zip(one, four, strict=True):
        np.testing.assert_allclose(a.astype(int), b.astype(int), atol=1)
