"""Faces of a driver that go, come back elsewhere, or are cut away from."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image, ImageDraw

from fnevr.animation.face_crops import FaceView, face_crops, followed, performances, spans_text
from fnevr.config.presets import asset
from fnevr.media.image import read_image
from fnevr.media.reader import VideoFrame

EMPTY = np.full((300, 900, 3), 90, np.uint8)


@pytest.fixture(scope="module")
def at():
    """A picture with the portrait's head at a place."""
    portrait = Image.fromarray(read_image(asset("portrait.jpg"))).crop((110, 0, 370, 260))

    def draw(left, top=20, side=256, behind=90):
        wide = np.full((300, 900, 3), behind, np.uint8)
        wide[top : top + side, left : left + side] = np.asarray(portrait.resize((side, side)))
        return wide

    return draw


def video(pictures):
    return [VideoFrame(rgb, Fraction(index, 25)) for index, rgb in enumerate(pictures)]


def cropped_alone(rgb):
    """How the face of a picture is cropped when nothing was before."""
    ((frame, (sighting,)),) = followed(video([rgb]))
    alone = FaceView(64).update(frame, sighting)
    assert alone is not None
    return alone


@pytest.mark.parametrize(
    "after", [{"left": 600, "behind": 200}, {"left": 330, "top": 60, "side": 230, "behind": 10}]
)
def test_a_face_after_a_cut_is_cropped_at_once(at, after):
    frames = video([at(10)] * 5 + [at(**after)] * 3)
    lost: list[Fraction] = []
    crops = [frame.rgb for frame in face_crops(frames, 64, lost=lost)]
    assert lost == []
    assert np.abs(crops[5].astype(int) - cropped_alone(at(**after))).mean() < 3


@pytest.mark.parametrize("num_gone", [3, 40])
def test_a_face_that_is_gone_is_held_and_comes_back(at, num_gone):
    frames = video([at(10)] * 4 + [EMPTY] * num_gone + [at(620)] * 20)
    lost: list[Fraction] = []
    crops = [frame.rgb for frame in face_crops(frames, 64, lost=lost)]
    assert all((crop == crops[3]).all() for crop in crops[4 : 4 + num_gone])
    assert lost[0] == Fraction(4, 25)
    assert len(lost) < max(num_gone, 15) + 3
    assert np.abs(crops[-1].astype(int) - cropped_alone(at(620))).mean() < 3


def test_a_face_behind_a_hand_is_held_and_told(at):
    picture = Image.fromarray(at(10))
    ImageDraw.Draw(picture).ellipse([50, 40, 215, 235], fill=(224, 160, 125))
    frames = video([at(10)] * 4 + [np.asarray(picture)] * 5 + [at(10)] * 3)
    lost: list[Fraction] = []
    crops = [frame.rgb for frame in face_crops(frames, 64, lost=lost)]
    assert lost == [Fraction(n, 25) for n in range(4, 9)]
    assert all((crop == crops[3]).all() for crop in crops[4:9])
    seen = [now.performances[0] for now in performances(frames, smooth=True)]
    for now in seen[4:9]:
        assert np.abs(now.rotations - seen[3].rotations).max() < 1e-6
    assert np.abs(seen[8].expressions).sum() < np.abs(seen[3].expressions).sum()


@pytest.mark.parametrize("after", [(600, 200), (450, 20)])
def test_what_a_face_does_has_no_jump_where_a_scene_ends(at, after):
    left, behind = after
    frames = video([at(10)] * 5 + [at(left, behind=behind)] * 4)
    seen = [now.performances[0] for now in performances(frames, smooth=True)]
    assert len(seen) == 9
    assert np.abs(seen[5].rotations - seen[4].rotations).max() < 0.1
    assert np.abs(seen[5].shifts).max() < 0.3


def test_spans_in_words():
    apart = Fraction(2, 25)
    times = [Fraction(n, 25) for n in (8, 9, 10, 30, 50, 51)]
    assert spans_text(times, apart) == "0.32 to 0.40 s, 1.20 s, 2.00 to 2.04 s"
    assert spans_text(times[3:4], apart) == "1.20 s"
    many = spans_text([Fraction(n) for n in range(9)], apart, most=2)
    assert many == "0.00 s, 1.00 s and 7 times more"
