from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.raw_videos import talking_frames

from fnevr.animation import still_views
from fnevr.animation.still_views import ASTRAY, NO_FACE, Motion, choose_driver, draw_views
from fnevr.config.presets import resolve_model
from fnevr.data.clips import Clip, to_signed
from fnevr.faces.find import find_face
from fnevr.faces.landmarks import FaceMesh
from fnevr.runtime.load import load_engine


@pytest.fixture(scope="module")
def photograph():
    return talking_frames(1)[0]


@pytest.fixture(scope="module")
def face(photograph):
    return find_face(photograph)


@pytest.fixture(scope="module")
def engine():
    return load_engine(resolve_model("lite"))


@pytest.fixture(scope="module")
def motion(photograph, face):
    """A clip in which nothing moves; frame 0 is lost."""
    landmarks = np.stack([to_signed(face, 256, 256)] * 4)
    landmarks[0] = np.nan
    return Motion.of_clip(Clip("clip", "a", 0.0, np.stack([photograph] * 4), landmarks))


def draw(engine, photograph, face, motion, count=2):
    rng = np.random.default_rng(0)
    return draw_views(engine, photograph, face, [motion], count, rng, FaceMesh(1))


def moving(motion, states, places=0.0):
    """A clip whose faces do this; None of the pictures is looked at."""
    tracked = np.arange(len(states))
    return replace(
        motion,
        tracked=tracked,
        states=np.array(states, np.float32),
        places=np.zeros((len(states), 4), np.float32) + places,
    )


def test_the_driver_differs_most_and_the_reference_least(motion):
    """Measured from the frame that is most like the photograph."""
    states = np.zeros((4, 6))
    states[:, 0] = (0.2, 1.1, 3.0, 2.0)
    photograph = np.zeros((1, 6), np.float32)
    photograph[0, 0] = 1
    reference, driver, expected = choose_driver(
        moving(motion, states), photograph, np.random.default_rng(0)
    )
    assert (reference, driver) == (1, 2)
    np.testing.assert_allclose(expected, [2.9, 0, 0, 0, 0, 0], atol=1e-6)


def test_the_next_view_differs_from_the_views_before_too(motion):
    states = np.zeros((3, 6))
    states[:, 0] = (0, 3.0, 1.4)
    before = np.zeros((2, 6), np.float32)
    before[1, 0] = 3.0
    _, driver, _ = choose_driver(moving(motion, states), before, np.random.default_rng(0))
    assert driver == 2


def test_a_mouth_is_never_more_than_shut(motion):
    """The photograph's is: a driver that shuts its own would change nothing."""
    states = np.zeros((3, 6))
    states[:, 0] = (3.0, 0.0, 2.0)
    states[1:, 4] = 4.0
    photograph = np.zeros((1, 6), np.float32)
    _, driver, expected = choose_driver(
        moving(motion, states), photograph, np.random.default_rng(0)
    )
    assert driver in {1, 2}
    np.testing.assert_allclose(expected, [0, 0, 0, 0, 4, 0])


def test_drivers_that_lead_too_far_are_left(motion):
    states = np.zeros((3, 6))
    states[:, 0] = (0, 5.0, 1.0)
    places = np.zeros((3, 4))
    places[1, 2] = 0.2
    _, driver, _ = choose_driver(
        moving(motion, states, places), np.zeros((1, 6), np.float32), np.random.default_rng(0)
    )
    assert driver == 2


def test_views_are_turned_in_turns_and_their_landmarks_found(engine, photograph, face, motion):
    """The driver keeps still, so that the first view is the photograph as the model draws it."""
    views = draw(engine, photograph, face, motion)
    assert [picture.shape for picture in views.pictures] == [(256, 256, 3)] * 2
    assert not views.dropped
    here = to_signed(face, 256, 256)
    still, turned = (np.abs(points - here).mean() for points in views.landmarks)
    assert still < 0.01 < turned
    noise = np.square(views.pictures[0].astype(float) - photograph).mean()
    assert noise < 100


def test_models_without_a_pose_editor_turn_nothing(engine, photograph, face, motion, monkeypatch):
    monkeypatch.setattr(engine, "turn", None)
    views = draw(engine, photograph, face, motion)
    assert np.array_equal(views.pictures[0], views.pictures[1])


def test_views_that_came_out_wrong_are_left_out(engine, photograph, face, motion, monkeypatch):
    monkeypatch.setattr(still_views, "MOST_ASTRAY", 0.0)
    assert draw(engine, photograph, face, motion).dropped == {ASTRAY: 2}
    gray = np.full_like(photograph, 128)
    monkeypatch.setattr(still_views, "draw", lambda *_: [gray])
    views = draw(engine, photograph, face, motion)
    assert (views.pictures, views.landmarks, views.dropped) == ([], [], {NO_FACE: 2})
