"""Edited pictures, at once."""

import io

import numpy as np
import pytest
from PIL import Image

from fnevr.animation.sliders import FaceSliders
from fnevr.config.presets import asset


def edited(client, **wish):
    answer = client.post("/api/edits", json=wish)
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content))), answer


def test_it_is_what_the_library_draws(app, somebody):
    options = {"yaw_deg": 10, "sliders": {"smile": 0.5}}
    rgb, _ = edited(somebody, options=options, format="png")
    with app.state.rooms.studio.drawing() as animator:
        picture, sliders = asset("portrait.jpg"), FaceSliders(smile=0.5)
        wanted = animator.edit_pose(picture, yaw_deg=10.0, sliders=sliders)
    np.testing.assert_array_equal(rgb, wanted)


def test_sliders_change_the_face_and_nothing_else(somebody):
    still, _ = edited(somebody, format="png")
    smiling, _ = edited(somebody, options={"sliders": {"mouth_open": 1}}, format="png")
    change = np.abs(still.astype(int) - smiling).max(axis=-1)
    assert change[120:200, 180:280].max() > 60
    assert change[300:].max() == 0


def test_a_preview_is_small(somebody):
    rgb, answer = edited(somebody, longest=200)
    assert rgb.shape == (200, 200, 3)
    assert answer.headers["Cache-Control"] == "no-store"


def test_large_angles_come_with_a_warning(somebody):
    _, answer = edited(somebody, options={"yaw_deg": 50})
    assert "distorted" in answer.headers["X-Warning"]


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"sliders": {"smile": 7}}, "smile"),
        ({"pitch_deg": 200}, "pitch_deg"),
        ({"face": 4}, "face"),
        ({"sweep": "yaw=1:2"}, "sweep"),
    ],
)
def test_what_is_impossible_is_said(somebody, options, argument):
    answer = somebody.post("/api/edits", json={"options": options})
    assert (answer.status_code, answer.json()["error"]["argument"]) == (422, argument)
