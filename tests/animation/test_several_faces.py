"""Several faces of one picture, and several of the driver."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.gray_model import GrayModel
from support.media_clips import make_video

from fnevr.animation.animator import Animator
from fnevr.animation.sliders import FaceSliders
from fnevr.animation.source import Framing, prepare
from fnevr.config.presets import asset
from fnevr.errors import FaceError, FnevrError
from fnevr.faces.find import find_faces
from fnevr.media.image import read_image, write_image
from fnevr.media.video import open_video
from fnevr.runtime.torch_engine import TorchEngine

QUICK: dict[str, Any] = {"detail": 256}
LEFT, RIGHT = (slice(0, 384), slice(0, 384)), (slice(0, 384), slice(384, 700))
BLINK = FaceSliders(blink_left=1.0, blink_right=1.0, mouth_open=0.6)


@pytest.fixture(scope="module")
def animator():
    return Animator.from_pretrained("lite", engine="onnx", precision="float32")


@pytest.fixture(scope="module")
def portrait():
    image = Image.fromarray(read_image(asset("portrait.jpg")))
    return np.asarray(image.resize((384, 384), Image.Resampling.LANCZOS))


@pytest.fixture(scope="module")
def pair(portrait):
    """Two people whose squares overlap: the larger one on the left."""
    right = np.full((384, 316, 3), portrait[0, -1], np.uint8)
    right[44:, :] = portrait[:340, 20:336]
    smaller = np.asarray(Image.fromarray(right).resize((316, 384), Image.Resampling.LANCZOS))
    left = np.asarray(Image.fromarray(portrait[:340, :340]).resize((384, 384)))
    return np.concatenate([left, smaller], axis=1)


def changed(frame, picture):
    return np.abs(frame.astype(int) - picture).max(axis=-1)


def test_all_faces_move_as_each_does_alone(animator, pair, portrait):
    options = {**QUICK, "sliders": BLINK}
    both, left, right = (
        next(iter(animator.frames(pair, [portrait], face=face, **options))).astype(int)
        for face in ("all", 0, 1)
    )
    assert changed(left[LEFT], pair[LEFT]).max() > 40
    assert changed(right[RIGHT], pair[RIGHT]).max() > 40
    # What each changes adds up: neither square undoes the other.
    expected = (left - pair) + (right - pair) + pair
    assert np.abs(both - expected).max() <= 3


def test_one_face_leaves_the_other_alone(animator, pair, portrait):
    scene = prepare(animator.engine, pair, Framing(face="all"))
    assert len(scene.sources) == 2
    (frame,) = animator.frames(pair, [portrait], face=1, sliders=BLINK, **QUICK)
    rows, columns = slice(60, 300), slice(90, 290)  # the other's face
    assert changed(frame, pair)[rows, columns].max() <= 2


def test_numbers_choose_the_faces_in_any_order(animator, pair, portrait):
    one, two = (
        next(iter(animator.frames(pair, [portrait], face=face, sliders=BLINK, **QUICK)))
        for face in ((0, 1), [1, 0])
    )
    np.testing.assert_allclose(one.astype(int), two, atol=2)


def turned(portrait, degrees):
    return np.asarray(Image.fromarray(portrait).rotate(degrees, Image.Resampling.BICUBIC))


def test_each_face_has_its_own_driver(animator, pair, portrait):
    straight, rolled = portrait, turned(portrait, 15)
    small = np.asarray(Image.fromarray(rolled).resize((300, 300)))
    beside = np.full((384, 300, 3), 90, np.uint8)
    beside[:300] = small
    duo = np.concatenate([straight, beside], axis=1)
    same, own = (
        next(iter(animator.frames(pair, [duo], face="all", driver_face=faces, **QUICK)))
        for faces in (0, (0, 1))
    )
    other = next(iter(animator.frames(pair, [duo], face="all", driver_face=1, **QUICK)))
    left, right = (slice(60, 300), slice(90, 250)), (slice(60, 300), slice(480, 640))
    assert changed(own[left], same[left]).max() <= 2
    assert changed(own[right], other[right]).max() <= 2
    assert changed(own[right], same[right]).mean() > 3
    assert changed(own[left], other[left]).mean() > 3


def test_any_model_animates_several_faces(pair, portrait, tmp_path):
    model = GrayModel()
    animator = Animator(TorchEngine(model), name="gray", batch_size=2)
    write_image(tmp_path / "pair.png", pair)
    frames = [np.roll(portrait, shift, axis=1) for shift in (0, 6, 12)]
    make_video(tmp_path / "talk.mp4", frames)
    report = animator.animate(
        tmp_path / "pair.png", tmp_path / "talk.mp4", tmp_path / "out.mp4", face="all"
    )
    assert (report.frames, report.transfer, report.width) == (3, "relative", 700)
    assert model.num_encoded == 2
    with open_video(tmp_path / "out.mp4") as video:
        last = [frame.rgb for frame in video][-1]
    for face in find_faces(pair):
        x, y = face[:, :2].mean(axis=0).astype(int)
        nose = last[y - 10 : y + 10, x - 10 : x + 10].astype(int)
        assert np.ptp(nose, axis=-1).mean() < 6  # gray, as the model draws
    assert np.ptp(last[-40:, :40].astype(int), axis=-1).mean() > 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"face": (0, 2)}, "there is no face 2: the picture holds 2 face"),
        ({"face": (0, 0)}, "wanted numbers that differ"),
        ({"face": "all", "paste_back": False}, "2 faces have no square of their own"),
        ({"face": "all", "driver_face": (0, 1, 2)}, "3 faces of the driver cannot drive 2"),
        ({"driver_face": (0, 1)}, "2 faces of the driver cannot drive 1"),
        ({"driver_face": ()}, "wanted numbers that differ"),
        ({"transfer": "relative", "driver_face": (0, 1)}, "no meaning with `transfer='relative'`"),
        (
            {"transfer": "absolute", "driver_face": 1, "crop": False},
            "no meaning with `crop=False`",
        ),
    ],
)
def test_what_does_not_match_is_said_before_anything_is_read(animator, pair, options, message):
    def never():
        raise AssertionError("the driver is read")
        yield

    with pytest.raises(FnevrError, match=message):
        next(iter(animator.frames(pair, never(), **options)))


def test_a_driver_without_the_face_asked_for(animator, pair, portrait):
    with pytest.raises(FaceError, match=r"no face 1 \(the largest is 0\) found in the driving"):
        list(animator.frames(pair, [portrait] * 2, driver_face=1, **QUICK))


def test_a_track_holds_one_face(animator, tmp_path):
    with pytest.raises(FnevrError, match=r"a keypoint track or a file of .* holds one face"):
        animator.animate(
            asset("portrait.jpg"), asset("motion.safetensors"), tmp_path / "out.mp4", driver_face=0
        )
    assert list(tmp_path.iterdir()) == []


def test_frames_wait_until_all_faces_of_the_driver_have_appeared(animator, portrait):
    duo = np.concatenate([portrait, turned(portrait, 10)], axis=1)
    alone = np.concatenate([portrait, np.full_like(portrait, 90)], axis=1)
    driver = animator.drivers.performance_of_arrays([alone, duo, duo], False, (0, 1))
    first, second, _ = driver.read([])
    assert first.times == (Fraction(0),)
    np.testing.assert_array_equal(first.of(1).rotations, second.of(1).rotations)
    assert np.abs(first.of(0).rotations - first.of(1).rotations).max() > 0.1
