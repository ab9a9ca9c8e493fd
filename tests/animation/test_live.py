"""A camera moves a portrait: neutral looks, the square that is shown."""

import numpy as np
import pytest
from support.web import two_faces

from fnevr.animation.live import SIDE, CameraReader, from_neutral, live_square
from fnevr.config.presets import asset
from fnevr.errors import FaceError
from fnevr.face3d.performance import Performance
from fnevr.faces.find import find_faces
from fnevr.faces.landmarks import landmarks_box
from fnevr.media.image import read_image


def performance(**values):
    arrays = {
        "rotations": np.zeros((1, 3)),
        "shifts": np.zeros((1, 2)),
        "zooms": np.zeros((1, 1)),
        "expressions": np.zeros((1, 4)),
        "eyes": np.ones((1, 2)),
        "lips": np.zeros((1, 1)),
        "gazes": np.zeros((1, 2)),
    }
    return Performance(**{**arrays, **values})


def test_the_neutral_look_itself_changes_nothing():
    look = performance(
        rotations=np.array([[0.3, -0.2, 0.1]]),
        expressions=np.array([[1.0, -2.0, 0.5, 0.0]]),
        eyes=np.array([[0.8, 1.1]]),
        lips=np.array([[0.05]]),
        gazes=np.array([[0.1, -0.02]]),
    )
    still = from_neutral(look, look)
    for name, values in performance().arrays().items():
        np.testing.assert_allclose(getattr(still, name), values, atol=1e-9)


def test_turns_are_measured_from_the_neutral_look():
    neutral = performance(rotations=np.array([[0.0, 0.2, 0.0]]))
    turned = from_neutral(performance(rotations=np.array([[0.0, 0.5, 0.0]])), neutral)
    np.testing.assert_allclose(turned.rotations, [[0.0, 0.3, 0.0]], atol=1e-9)


def test_lips_and_eyes_of_a_shut_neutral_look_stay_possible():
    neutral = performance(eyes=np.zeros((1, 2)), lips=np.array([[0.1]]))
    look = from_neutral(performance(), neutral)
    assert look.lips[0, 0] == 0
    assert np.isfinite(look.eyes).all()


def test_a_camera_reader_reads_and_takes_a_neutral_look():
    portrait = read_image(asset("portrait.jpg"))
    reader = CameraReader()
    assert reader.update(np.full_like(portrait, 80), 0.04) is None
    assert not reader.take_neutral()
    smiling = reader.update(portrait, 0.04)
    assert smiling is not None
    assert reader.is_seen
    assert np.abs(smiling.expressions).max() > 0.3
    assert reader.take_neutral()
    neutral = reader.update(portrait, 0.04)
    assert neutral is not None
    assert np.abs(neutral.expressions).max() < 0.3 * np.abs(smiling.expressions).max()


@pytest.mark.parametrize("face", [None, 0, 1])
def test_the_square_shows_the_face_that_was_chosen(face):
    square, framing = live_square(two_faces(), face)
    assert square.shape == (SIDE, SIDE, 3)
    box = np.array(landmarks_box(find_faces(square)[int(str(framing.face or 0))]))
    centre = (box[:2] + box[2:]) / 2
    assert np.abs(centre - SIDE / 2).max() < 0.25 * SIDE
    assert box[3] - box[1] > 0.2 * SIDE


def test_a_picture_without_a_face_is_refused():
    with pytest.raises(FaceError, match="no face found"):
        live_square(np.full((200, 200, 3), 128, np.uint8))
