"""A source that is a video: each frame's own face, matched to the driver by time."""

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.gray_model import GrayModel
from support.media_clips import beep_times, beeping_sound, make_video
from typer.testing import CliRunner

from fnevr.animation.animator import Animator
from fnevr.animation.driver import Driver
from fnevr.animation.keypoint_log import DrivingBatch
from fnevr.animation.keypoint_track import load_track, save_track
from fnevr.animation.reanimate import WIDENED, Timeline, shown
from fnevr.animation.regions import Regions
from fnevr.animation.sliders import FaceSliders
from fnevr.animation.source import Framing
from fnevr.animation.source_video import RETURN_S, in_square, source_frames
from fnevr.cli import app
from fnevr.config.presets import asset
from fnevr.errors import FaceError, FnevrError
from fnevr.face3d.face_fit import FaceFit
from fnevr.face3d.performance import Performance, mixed
from fnevr.faces.crop import crop_box
from fnevr.faces.find import find_face
from fnevr.media.image import read_image
from fnevr.media.reader import VideoFrame
from fnevr.media.video import is_video, open_video
from fnevr.runtime.torch_engine import TorchEngine

QUICK: dict[str, Any] = {"detail": 256}
MOUTH, EYES = [61, 291, 0, 17], [33, 263, 66, 296, 145]  # points of the mesh


@pytest.fixture(scope="module")
def animator():
    return Animator.from_pretrained("lite", engine="onnx", precision="float32")


@pytest.fixture(scope="module")
def portrait():
    image = Image.fromarray(read_image(asset("portrait.jpg")))
    return np.asarray(image.resize((384, 384), Image.Resampling.LANCZOS))


@pytest.fixture(scope="module")
def moving(portrait):
    """A head that moves to the right, three pixels a frame."""
    return [np.roll(portrait, 3 * step, axis=1) for step in range(4)]


@pytest.fixture(scope="module")
def performance():
    recorded = load_track(asset("motion.safetensors")).performance
    assert recorded is not None
    return recorded[:6]


def driver_of(performance, rate, batch_size=2):
    def read(_sources):
        for start in range(0, len(performance), batch_size):
            motion = performance[start : start + batch_size]
            times = tuple((start + i) / Fraction(rate) for i in range(len(motion)))
            yield DrivingBatch((motion,), times)

    return Driver(read, Fraction(rate), len(performance))


def timed(pictures, rate=25):
    return [VideoFrame(rgb, index / Fraction(rate)) for index, rgb in enumerate(pictures)]


def around(portrait, points, shift=0):
    """The rectangle around points of the portrait's face, which lies some pixels to the right."""
    face = find_face(portrait)[points, :2].round().astype(int)
    (left, top), (right, bottom) = face.min(axis=0), face.max(axis=0)
    return slice(top, bottom), slice(left + shift, right + shift)


def changed(frame, picture):
    return np.abs(frame.astype(int) - picture).max(axis=-1)


def test_between_two_frames_of_the_driver_its_performance_is_interpolated(performance):
    timeline = Timeline(driver_of(performance, 24))
    for index in range(0, 8):  # a source of 30 frames per second
        now = timeline.at(Fraction(index, 30))
        if now is None:
            break
        place = index * 24 / 30
        first = int(place)
        last = min(first + 1, len(performance) - 1)
        expected = mixed(performance[first : first + 1], performance[last : last + 1], place % 1)
        for name, values in now.of(0).arrays().items():
            np.testing.assert_allclose(values, expected.arrays()[name], atol=1e-6)
    assert index == 8 - 1
    assert timeline.at(Fraction(6, 24)) is None


def test_a_driver_ends_when_its_last_frame_does(performance):
    for rate, count in ((25, 6), (50, 12), (Fraction(25, 2), 3)):
        timeline = Timeline(driver_of(performance, 25))
        times = [index / Fraction(rate) for index in range(20)]
        assert [timeline.at(time) is not None for time in times].count(True) == count


def test_lids_open_no_wider_than_the_frame_shows_something(performance):
    one = performance[:1]
    driving = replace(one, eyes=np.array([[1.2, 0.2]]))
    own = replace(one, eyes=np.array([[0.4, 0.9]]))
    np.testing.assert_allclose(shown(driving, own).eyes, [[0.4 * WIDENED, 0.2]])
    shut = replace(one, eyes=np.array([[-0.1, 0.0]]))
    np.testing.assert_allclose(shown(driving, shut).eyes, shut.eyes)


def test_a_fit_is_taken_to_a_square(portrait):
    landmarks = find_face(portrait)
    fit = FaceFit()
    fit.update(landmarks)
    box = crop_box(landmarks)
    placed = in_square(fit, box)
    expected = box.to_view(landmarks, 2) - np.array([1.0, 1.0, 0.0])
    np.testing.assert_allclose(placed.similarity(placed.at_rest), expected, atol=1e-6)
    assert fit.similarity.scale > 10 * placed.similarity.scale


def test_a_source_that_drives_itself_stays_as_it_is(animator, moving):
    frames = list(animator.frames(iter(moving), iter(moving), smooth=False, **QUICK))
    assert len(frames) == len(moving)
    for frame, rgb in zip(frames, moving, strict=True):
        assert changed(frame, rgb).mean() < 1.5
        np.testing.assert_array_equal(frame[-60:], rgb[-60:])


def test_every_frames_own_face_takes_on_the_sliders(animator, moving, portrait):
    sliders = FaceSliders(mouth_open=1.0)
    frames = list(animator.frames(iter(moving), iter(moving), sliders=sliders, **QUICK))
    for step, (frame, rgb) in enumerate(zip(frames, moving, strict=True)):
        difference = changed(frame, rgb)
        assert difference[around(portrait, MOUTH, 3 * step)].mean() > 12
        assert difference[-120:].max() == 0


def test_lips_alone(animator, moving, portrait):
    lips = Regions(head=0.0, expression=0.0, eyes=0.0)
    nothing = Regions(0.0, 0.0, 0.0, 0.0)
    driver = [portrait] * 2 + [np.roll(portrait, 1, axis=0)] * 2
    still, spoken = (
        list(
            animator.frames(
                iter(moving),
                iter(driver),
                regions=regions,
                sliders=FaceSliders(mouth_open=0.8) if regions is lips else None,
                **QUICK,
            )
        )
        for regions in (nothing, lips)
    )
    for frame, rgb in zip(still, moving, strict=True):
        assert changed(frame, rgb).mean() < 1
    for step, (frame, quiet) in enumerate(zip(spoken, still, strict=True)):
        difference = changed(frame, quiet)
        assert difference[around(portrait, MOUTH, 3 * step)].mean() > 10
        assert difference[around(portrait, EYES, 3 * step)].mean() < 4


def test_the_head_of_a_video_keeps_its_own_motion(animator, moving, portrait):
    rolled = [np.asarray(Image.fromarray(portrait).rotate(12))] * 4
    kept, added = (
        list(animator.frames(iter(moving), iter(rolled), regions=regions, **QUICK))
        for regions in (None, Regions(head=1.0))
    )
    eyes = around(portrait, EYES)
    assert changed(kept[0], moving[0])[eyes].mean() < 6
    assert changed(added[0], moving[0])[eyes].mean() > 12


def test_frames_without_the_face_stay_as_they_are(animator, portrait):
    empty = np.full_like(portrait, 90)
    video = [empty, portrait, empty, portrait]
    frames = list(
        animator.frames(iter(video), [portrait] * 4, sliders=FaceSliders(mouth_open=1.0), **QUICK)
    )
    np.testing.assert_array_equal(frames[0], empty)
    np.testing.assert_array_equal(frames[2], empty)
    assert changed(frames[1], portrait).max() > 40


def test_what_a_face_is_given_comes_back_gradually(animator, portrait):
    empty = np.full_like(portrait, 90)
    video = timed([portrait, empty, *[portrait] * 10])
    read = list(source_frames(iter(video), animator.engine.config, Framing()))
    assert read[1].faces == (None,)
    shares = [frame.faces[0].share for frame in read if frame.faces[0] is not None]
    assert shares[0] == 1
    expected = [min(1.0, (step + 1) / 25 / RETURN_S) for step in range(10)]
    assert shares[1:] == pytest.approx(expected)


def test_a_head_that_comes_nearer_is_drawn_at_few_sides_on_whole_pixels(animator):
    portrait = Image.fromarray(read_image(asset("portrait.jpg")))
    sides = [900 + 40 * step for step in range(12)]
    video = timed([np.asarray(portrait.resize((side, side))) for side in sides], rate=5)
    read = list(source_frames(iter(video), animator.engine.config, Framing()))
    faces = [frame.faces[0] for frame in read]
    found = [len(face.square) for face in faces if face is not None]
    assert len(found) == len(video)
    assert found[-1] > found[0]
    assert len(set(found)) < 8
    assert found == sorted(found)
    assert all(side % 16 == 0 for side in found)
    for face in faces:
        assert face is not None
        assert (face.box.left % 1, face.box.top % 1, face.box.size) == (0, 0, len(face.square))


def test_all_faces_of_the_first_frame_that_shows_one(animator, portrait):
    empty = np.full((384, 768, 3), 90, np.uint8)
    pair = np.concatenate([portrait, portrait[:, ::-1]], axis=1)
    read = list(
        source_frames(iter(timed([empty, pair, pair])), animator.engine.config, Framing(face="all"))
    )
    assert [len(frame.faces) for frame in read] == [0, 2, 2]
    with pytest.raises(FaceError, match="there is no face 2"):
        list(source_frames(iter(timed([pair])), animator.engine.config, Framing(face=(0, 2))))
    with pytest.raises(FaceError, match="no face found in any frame of the source video"):
        list(source_frames(iter(timed([empty] * 2)), animator.engine.config, Framing()))


def test_two_faces_of_a_video(animator, portrait):
    pair = np.concatenate([portrait, portrait[:, ::-1]], axis=1)
    sliders = FaceSliders(mouth_open=1.0)
    options = {**QUICK, "face": "all", "sliders": sliders}
    frames = list(animator.frames(iter([pair] * 2), [portrait] * 2, **options))
    mouths = [around(portrait, MOUTH), around(portrait[:, ::-1], MOUTH, 384)]
    for frame in frames:
        assert min(changed(frame, pair)[mouth].mean() for mouth in mouths) > 12
    trio = np.concatenate([pair, portrait], axis=1)
    with pytest.raises(FnevrError, match="3 faces of the driver cannot drive 2"):
        list(animator.frames(iter([pair]), [trio], driver_face=(0, 1, 2), **options))


def files(tmp_path, moving, *, rate=Fraction(25), sound=None):
    """A source video, and a track of the bundled motion that lasts for six frames."""
    make_video(tmp_path / "person.mp4", moving * 2, rate=rate, sound=sound)
    track = load_track(asset("motion.safetensors"))
    assert track.performance is not None
    save_track(
        tmp_path / "short.safetensors",
        replace(track, keypoints=track.keypoints[:6], performance=track.performance[:6]),
    )
    return tmp_path / "person.mp4", tmp_path / "short.safetensors", tmp_path / "out.mp4"


def test_files_in_file_out(animator, tmp_path, moving):
    source, driving, out = files(tmp_path, moving)
    calls = []
    report = animator.animate(
        source, driving, out, progress=lambda *call: calls.append(call), **QUICK
    )
    rate = load_track(driving).frame_rate
    assert report.frames == min(8, math.ceil(6 * 25 / rate))
    assert (report.transfer, report.width, report.height) == ("retarget", 384, 384)
    assert calls[0] == ("animating", 0, report.frames)
    assert calls[-1] == ("animating", report.frames, report.frames)
    with open_video(out) as video, open_video(source) as own:
        frames = [frame.rgb for frame in video]
        for frame, theirs in zip(frames, own, strict=False):
            np.testing.assert_allclose(
                frame[-60:].astype(int).mean(), theirs.rgb[-60:].mean(), atol=2
            )
        assert video.info.frame_rate == 25


def test_the_command_line_does_the_same(animator, tmp_path, moving):
    source, driving, out = files(tmp_path, moving)
    regions = Regions(expression=0.0, eyes=0.0)
    animator.animate(source, driving, out, regions=regions, face="all", **QUICK)
    options = ["--face", "all", "--expression", 0, "--eyes", 0, "--detail", 256]
    engine = ["--engine", "onnx", "--precision", "float32"]
    arguments = ["animate", "-s", source, "-d", driving, "-o", tmp_path / "cli.mp4", *options]
    result = CliRunner().invoke(app, [str(argument) for argument in [*arguments, *engine]])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "cli.mp4").read_bytes() == out.read_bytes()


@pytest.mark.parametrize("sound", ["driver", "source"])
def test_the_sound_is_the_drivers_or_the_sources(animator, tmp_path, moving, sound):
    make_video(tmp_path / "me.mp4", moving * 2, rate=10, sound=beeping_sound(0.8, [Fraction(1, 5)]))
    make_video(
        tmp_path / "talk.mp4", moving * 2, rate=10, sound=beeping_sound(0.8, [Fraction(1, 2)])
    )
    out = tmp_path / "out.mp4"
    animator.animate(tmp_path / "me.mp4", tmp_path / "talk.mp4", out, sound=sound, **QUICK)
    (found,) = beep_times(out)
    assert float(found) == pytest.approx(0.5 if sound == "driver" else 0.2, abs=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"transfer": "relative"}, "cannot be animated with `transfer='relative'`"),
        ({"best_frame": "first"}, "the reference frame too"),
        ({"crop": False}, "`crop=False` has no meaning with a source video"),
        ({"paste_back": False}, "`paste_back=False` has no meaning with a source video"),
        ({"still_background": False}, "`still_background=False` has no meaning"),
        ({"face": 1}, "there is no face 1"),
    ],
)
def test_what_a_source_video_cannot_have(animator, tmp_path, moving, options, message):
    source, driving, out = files(tmp_path, moving)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(FnevrError, match=message):
        animator.animate(source, driving, out, **options)
    assert sorted(tmp_path.iterdir()) == before


def test_what_a_picture_cannot_have_and_models_that_cannot_retarget(animator, tmp_path, moving):
    source, driving, out = files(tmp_path, moving)
    with pytest.raises(FnevrError, match="is a picture, which has no sound"):
        animator.animate(asset("portrait.jpg"), driving, out, sound="source")
    gray = Animator(TorchEngine(GrayModel()), name="gray")
    with pytest.raises(FnevrError, match="cannot retarget, which a source video needs"):
        gray.animate(source, driving, out)
    assert not out.exists()


def test_videos_are_told_from_pictures(tmp_path, portrait):
    make_video(tmp_path / "a.mp4")
    make_video(tmp_path / "b.mkv")
    Image.fromarray(portrait).save(tmp_path / "c.jpg")
    Image.fromarray(portrait).save(tmp_path / "d.gif")
    Image.fromarray(portrait).save(tmp_path / "e.ppm")
    (tmp_path / "f.jpg").write_bytes((tmp_path / "c.jpg").read_bytes()[:300])
    (tmp_path / "g.mp4").write_text("this is no video")
    (tmp_path / "h.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    found = {path.name: is_video(path) for path in sorted(tmp_path.iterdir())}
    assert found == {
        **dict.fromkeys(("a.mp4", "b.mkv"), True),
        **dict.fromkeys(("c.jpg", "d.gif", "e.ppm", "f.jpg", "g.mp4", "h.heic"), False),
    }
    assert is_video(tmp_path)
    assert not is_video(tmp_path / "nothing")


def test_performances_between_two():
    start = load_track(asset("motion.safetensors")).performance
    assert start is not None
    half = mixed(start[:1], start[9:10], 0.5)
    assert isinstance(half, Performance)
    np.testing.assert_allclose(half.lips, (start.lips[:1] + start.lips[9:10]) / 2, atol=1e-6)
