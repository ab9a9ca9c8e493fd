"""What moves a model, from a clip: the same that animation finds in pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fnevr.data.clips import Clip
from fnevr.evaluate import clip_motion
from fnevr.evaluate.clip_motion import coefficient_window, drive, person_of, read_frames
from fnevr.face3d.coefficients import CoefficientReader
from fnevr.face3d.face_fit import TO_PICTURE, FaceBasis
from fnevr.faces.points68 import OF_MESH
from fnevr.geometry.driving import Coefficients, Landmarks68
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.rotations import head_rotations
from fnevr.models import ARCHITECTURES

SIDE = 32
ROWS = {"pitch_deg": 64, "yaw_deg": 65, "roll_deg": 66}


@pytest.fixture(scope="module")
def clip():
    """A head that turns to one side; no face is found in frame 2."""
    landmarks = []
    for yaw in range(0, 25, 5):
        rotation = TO_PICTURE[:, None] * head_rotations(np.array([yaw, 0.0, 0.0])) * TO_PICTURE
        landmarks.append((FaceBasis.packaged().template @ rotation.T)[:, :2])
    landmarks[2] = np.full((478, 2), np.nan)
    frames = np.random.default_rng(0).integers(0, 255, (5, SIDE, SIDE, 3), np.uint8)
    return Clip("head", "somebody", 0.1, frames, np.stack(landmarks).astype("f4"))


@pytest.fixture
def models(tiny_configs, face_driven_configs):
    def make(name):
        config = (tiny_configs | face_driven_configs)[name]
        return ARCHITECTURES[config.architecture](config).eval()

    return make


def test_coefficients_are_those_of_the_head_fit_and_follow_the_turn(clip):
    window = coefficient_window(clip.landmarks[[0, 1, 3, 4]])
    assert window.shape == (73, 4)
    np.testing.assert_allclose(np.rad2deg(window[ROWS["yaw_deg"]]), [0, 5, 15, 20], atol=1.5)
    np.testing.assert_allclose(np.rad2deg(window[ROWS["pitch_deg"]]), 0, atol=1)
    pixels = (clip.landmarks[1].astype(float) + 1) * 128
    reader = CoefficientReader(256)
    reader.update((clip.landmarks[0].astype(float) + 1) * 128)
    np.testing.assert_allclose(window[:, 1], reader.update(pixels), atol=1e-3)


def test_each_kind_of_model_is_driven_by_its_own(clip, models, monkeypatch):
    monkeypatch.setattr(clip_motion, "person_of", lambda rgb: np.ones(rgb.shape[:2], np.float32))
    indices = np.array([1, 2, 3])
    for name, kind in (("fomm", Keypoints), ("pirender", Coefficients), ("bilayer", Landmarks68)):
        model = models(name)
        source = read_frames(model, clip, np.zeros(1, int))
        driving = drive(model, clip, indices, source)
        assert isinstance(driving, kind)
        with torch.no_grad():
            assert model.draw(source, driving).shape == (3, 3, SIDE, SIDE)


def test_the_nearest_face_stands_for_one_that_was_not_found(clip, models, monkeypatch):
    monkeypatch.setattr(clip_motion, "person_of", lambda rgb: np.ones(rgb.shape[:2], np.float32))
    model = models("bilayer")
    source = read_frames(model, clip, np.zeros(1, int))
    points = drive(model, clip, np.array([1, 2]), source)
    assert isinstance(points, Landmarks68)
    expected = torch.from_numpy(clip.landmarks[1][list(OF_MESH)])
    assert torch.equal(points.points, torch.stack((expected, expected)))


def test_a_window_is_around_its_frame_and_repeats_at_the_ends(clip, models):
    model = models("pirender")
    source = read_frames(model, clip, np.zeros(1, int))
    driving = drive(model, clip, np.array([0, 4]), source)
    assert isinstance(driving, Coefficients)
    first, last = np.rad2deg(driving.windows[:, ROWS["yaw_deg"]].numpy())
    np.testing.assert_allclose(first[:14], 0, atol=1)
    np.testing.assert_allclose(first[17:], 20, atol=2)
    np.testing.assert_allclose(last[13:], 20, atol=2)


def test_a_mask_is_of_the_picture_in_shares():
    mask = person_of(np.zeros((SIDE, SIDE, 3), np.uint8))
    assert mask.shape == (SIDE, SIDE)
    assert mask.dtype == np.float32
    assert 0 <= mask.min() <= mask.max() <= 1
