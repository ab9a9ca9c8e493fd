from __future__ import annotations

import numpy as np
import pytest

from fnevr.config.presets import asset
from fnevr.faces.detector import FaceDetector
from fnevr.faces.find import find_face
from fnevr.faces.landmarks import FaceMesh
from fnevr.faces.points68 import OF_MESH, in_view, points_68, points_box
from fnevr.media.image import read_image


@pytest.fixture(scope="module")
def mesh():
    return find_face(read_image(asset("portrait.jpg")), None, FaceDetector(1), FaceMesh(1))


def test_the_68_lie_where_their_names_say(mesh):
    points = points_68(mesh)
    assert points.shape == (68, 2)
    assert len(set(OF_MESH)) == 68
    x, y = points.T
    for stroke in (range(2, 15), range(17, 27), range(31, 36), range(48, 55)):
        assert (np.diff(x[list(stroke)]) > 0).all()  # from left to right
    assert (np.diff(y[27:31]) > 0).all()  # down the nose
    assert y[8] == y.max()  # the chin
    brows, eyes, mouth = y[17:27].mean(), y[36:48].mean(), y[48:].mean()
    assert brows < eyes < y[33] < mouth < y[8]
    # Around each eye and the lips, clockwise in the picture.
    for ring in (range(36, 42), range(42, 48), range(48, 60), range(60, 68)):
        px, py = points[list(ring)].T
        assert (px * np.roll(py, -1) - np.roll(px, -1) * py).sum() > 0
    assert x[36:42].mean() < x[42:48].mean()
    # Left and right are alike: distances from the middle of the face.
    pairs = ((0, 16), (4, 12), (17, 26), (21, 22), (36, 45), (39, 42), (48, 54), (31, 35))
    middle = x[[27, 28, 29, 30, 33]].mean()
    for left, right in pairs:
        assert (middle - x[left]) == pytest.approx(x[right] - middle, rel=0.6), (left, right)


def test_the_frame_is_that_of_the_authors(mesh):
    points, box = points_68(mesh), points_box(mesh)
    low, high = points.min(axis=0), points.max(axis=0)
    side = (high - low).max()
    assert box.size == pytest.approx(2 * side)
    np.testing.assert_allclose(box.centre, (low + high) / 2 - [0, side / 6])
    seen = in_view(points_68(box.to_view(mesh, 256)), 256)
    assert np.abs(seen).max() < 1
    assert np.ptp(seen, axis=0).max() == pytest.approx(1, abs=1e-5)


def test_the_view_goes_from_edge_to_edge():
    corners = np.tile([[0.0, 0.0], [256.0, 128.0]], (34, 1))
    np.testing.assert_array_equal(in_view(corners, 256)[:2], [[-1, -1], [1, 0]])
