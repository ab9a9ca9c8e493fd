from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest

from fnevr.config.presets import asset
from fnevr.errors import FnevrError
from fnevr.evaluate.metrics.embedding_distance import embedding_distance
from fnevr.evaluate.networks.dlib_face import DlibEmbedder, face_region
from fnevr.faces.alignment import ALIGNED_POINTS, TEMPLATE
from fnevr.faces.find import find_face
from fnevr.media.image import read_image

needs_dlib = pytest.mark.skipif(
    importlib.util.find_spec("dlib") is None, reason="dlib, of the extra `eval`, is not installed"
)


def test_face_region_undoes_a_known_similarity():
    """The template itself, enlarged, turned and shifted, lies in the square that is returned."""
    chip = (TEMPLATE + 0.25) / 1.5  # places in the square, 0 to 1
    angle, size, centre = 0.3, 120.0, np.array([80.0, 60.0])
    axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    landmarks = np.zeros((478, 3))
    landmarks[ALIGNED_POINTS, :2] = (chip - 0.5) * size @ axes + centre
    region = face_region(landmarks)
    assert (region.centre_x, region.centre_y) == pytest.approx(tuple(centre))
    assert region.size == pytest.approx(size)
    assert region.angle_rad == pytest.approx(angle)


def test_identity_distance_is_euclidean():
    assert embedding_distance(np.array([3.0, 0.0]), np.array([0.0, 4.0])) == pytest.approx(5.0)


def test_without_dlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(FnevrError, match=r"pip install .*\[eval\]'"):
        DlibEmbedder()


@needs_dlib
def test_a_mirrored_and_darker_picture_is_the_same_person():
    rgb = read_image(asset("portrait.jpg"))
    other = np.ascontiguousarray((rgb[:, ::-1] * 0.8).astype(np.uint8))
    embedder = DlibEmbedder()
    embeddings = [embedder.embed(image, find_face(image)) for image in (rgb, other)]
    assert embeddings[0].shape == (128,)
    assert 0 < embedding_distance(*embeddings) < 0.6
