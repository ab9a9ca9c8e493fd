from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from fnevr.config.presets import asset
from fnevr.evaluate.metrics.sharpness import face_sharpness
from fnevr.faces.find import find_face
from fnevr.media.image import read_image


@pytest.fixture(scope="module")
def portrait():
    return read_image(asset("portrait.jpg"))


@pytest.fixture(scope="module")
def landmarks(portrait):
    return find_face(portrait)


def test_blur_takes_it_and_size_does_not(portrait, landmarks):
    energy = face_sharpness(portrait, landmarks)
    blurred = np.asarray(Image.fromarray(portrait).filter(ImageFilter.GaussianBlur(1.5)))
    assert face_sharpness(blurred, landmarks) < 0.2 * energy
    large = np.asarray(Image.fromarray(portrait).resize((1024, 1024), Image.Resampling.BICUBIC))
    assert face_sharpness(large, 2 * landmarks) == pytest.approx(energy, rel=0.35)


def test_stripes_have_the_energy_that_can_be_computed():
    """A sine of period 8 pixels: its Laplacian is 2 cos(2 pi / 8) - 2 times itself."""
    luma = 0.5 + 0.4 * np.sin(2 * np.pi * np.arange(200) / 8)
    rgb = np.rint(255 * luma)[None, :, None].repeat(240, 0).repeat(3, 2).astype(np.uint8)
    corners = np.array([[0, 0, 0], [200, 240, 0]], np.float32).repeat(239, axis=0)
    expected = 0.5 * (0.4 * (2 * np.cos(2 * np.pi / 8) - 2)) ** 2
    assert face_sharpness(rgb, corners) == pytest.approx(expected, rel=0.02)


def test_face_outside_of_the_picture_has_none(portrait, landmarks):
    assert np.isnan(face_sharpness(portrait, landmarks + 2000))
