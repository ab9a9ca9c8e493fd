"""Lips of a portrait that shows its teeth, drawn shut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fnevr.animation.animator import Animator
from fnevr.animation.edit import PoseEditor
from fnevr.animation.open_mouth import LOWER, UPPER
from fnevr.animation.shut_mouth import OUTER_LOWER, OUTER_UPPER, ShutMouth
from fnevr.animation.source import Framing
from fnevr.config.presets import asset
from fnevr.evaluate.metrics.openness import mouth_opening
from fnevr.faces.detector import FaceDetector
from fnevr.faces.find import find_face
from fnevr.faces.landmarks import FaceMesh
from fnevr.geometry.keypoints import Keypoints
from fnevr.media.arrays import to_images_01
from fnevr.media.image import read_image
from fnevr.models.encoded_source import Detail, EncodedSource

SIDE = 128
SKIN, LIP, TEETH = (200, 160, 140), (180, 90, 90), (240, 240, 235)


def read_source(source_01):
    """Stands for an engine: the features of a picture are the picture, twice as bright."""
    keypoints = Keypoints(np.full((1, 2, 2), source_01.mean()), np.zeros((1, 2, 2, 2)))
    return EncodedSource(source_01, keypoints, 2 * source_01)


@pytest.fixture
def landmarks():
    """A mouth in the middle, 60 pixels wide: lips of 10 pixels, and 12 between them."""
    points = np.full((478, 3), SIDE / 2, np.float32)
    x = np.linspace(-30, 30, len(UPPER))
    bow = 1 - (x / 30) ** 2
    for line, reach in ((OUTER_UPPER, -16), (UPPER, -6), (LOWER, 6), (OUTER_LOWER, 16)):
        points[line, 0], points[line, 1] = SIDE / 2 + x, SIDE / 2 + reach * bow
    return points


@pytest.fixture
def view(landmarks):
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    bow = (1 - ((x - SIDE / 2) / 30) ** 2).clip(0)
    down = np.abs(y - SIDE / 2)
    picture = np.full((SIDE, SIDE, 3), SKIN, np.uint8)
    picture[down < 16 * bow] = LIP
    picture[down < 6 * bow] = TEETH
    return picture


def shut(view, landmarks, share=1.0):
    """The picture as the networks are given it."""
    source = read_source(to_images_01([view]))
    mouth = ShutMouth(view, landmarks, None)
    return 255 * mouth.of(read_source, source, share).image_01[0].transpose(1, 2, 0)


def test_lips_go_on_over_the_teeth(view, landmarks):
    drawn = shut(view, landmarks)
    middle = drawn[:, SIDE // 2]
    np.testing.assert_allclose(middle[SIDE // 2 - 5], LIP, atol=8)
    np.testing.assert_allclose(middle[SIDE // 2 + 4], LIP, atol=8)
    seam = middle[SIDE // 2 - 1 : SIDE // 2 + 1].mean(axis=0)
    assert (seam < 0.75 * np.array(LIP)).all()
    assert drawn[..., 1].max() == pytest.approx(SKIN[1], abs=1), "no tooth is left"


def test_nothing_else_changes(view, landmarks):
    change = np.abs(shut(view, landmarks) - view).max(axis=-1)
    face = (view == SKIN).all(axis=-1)
    beside = face & np.roll(face, 1, axis=0) & np.roll(face, -1, axis=0)
    assert change[beside].max() < 1e-3
    assert change[(view == TEETH).all(axis=-1)].mean() > 40


def test_half_shut_is_half_of_each(view, landmarks):
    half, whole = (shut(view, landmarks, share) for share in (0.5, 1.0))
    np.testing.assert_allclose(half, (view + whole) / 2, atol=1e-3)


def test_features_change_with_the_picture_and_keypoints_stay(view, landmarks):
    source = read_source(to_images_01([view]))
    found = ShutMouth(view, landmarks, None).of(read_source, source, 0.5)
    np.testing.assert_allclose(found.features, 2 * found.image_01)
    assert found.own is source.own


def test_the_foreground_is_shut_while_it_is_drawn(view, landmarks):
    detail = Detail.opaque(to_images_01([np.repeat(np.repeat(view, 2, axis=0), 2, axis=1)]))
    before = np.array(detail.foreground)
    mouth = ShutMouth(view, landmarks, detail)
    with mouth.shown(detail.foreground, 1.0):
        np.testing.assert_array_equal(detail.foreground, before, "nobody has asked for it yet")
    mouth.of(read_source, read_source(to_images_01([view])), 1.0)
    with mouth.shown(detail.foreground, 1.0):
        assert 255 * detail.foreground[0, 1, SIDE - 6, SIDE] < 120, "a lip, where a tooth is"
        np.testing.assert_array_equal(detail.foreground[:, 3], before[:, 3])
    np.testing.assert_allclose(detail.foreground, before, atol=1e-6)


def test_a_mouth_at_the_border_is_left_alone(view, landmarks):
    np.testing.assert_array_equal(shut(view, landmarks + 50), view)


def test_a_smile_can_shut_its_lips():
    """The bundled portrait shows its teeth."""
    engine = Animator.from_pretrained("lite", engine="onnx", precision="float32").engine
    picture = read_image(asset("portrait.jpg"))
    assert engine.turn is not None
    editor = PoseEditor(engine, engine.turn, picture, Framing(detail=256))
    own = editor.retarget.own
    assert own.lips[0, 0] > 0.03
    shut_lips = replace(own, lips=np.zeros((1, 1)))
    found = []
    for is_helped in (True, False):
        if not is_helped:
            editor.retarget.extras = replace(editor.retarget.extras, shut_mouth=None)
        drawn = editor.scene.finish(editor._performing(shut_lips))
        found.append(mouth_opening(find_face(drawn, None, FaceDetector(1), FaceMesh(1))))
    assert found[0] < min(0.02, found[1] + 0.01)
