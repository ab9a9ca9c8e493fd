import numpy as np
import pytest

from fnevr.faces.crop import CropBox
from fnevr.faces.territory import BAND, territory


def face(x, y, size):
    """Landmarks whose box is a square around a point."""
    points = np.zeros((478, 3), np.float32)
    points[:, :2] = (x, y)
    points[0, :2] -= size / 2
    points[1, :2] += size / 2
    return points


FACES = [face(100, 100, 80), face(220, 110, 60), face(150, 200, 40)]
BOX = CropBox(20.0, 20.0, 256.0)


def test_the_shares_of_all_faces_sum_to_one():
    shares = [territory(FACES, index, BOX, 128) for index in range(3)]
    np.testing.assert_allclose(np.sum(shares, axis=0), 1, atol=1e-5)
    assert min(share.min() for share in shares) >= 0


def test_a_face_has_all_of_itself_and_nothing_of_the_others():
    for index in range(3):
        share = territory(FACES, index, BOX, 256)
        for other, points in enumerate(FACES):
            x, y = (points[2, :2] - 20).astype(int)
            assert share[y, x] == pytest.approx(float(other == index), abs=1e-6)


def test_between_two_the_shares_change_in_a_band():
    pair = [face(100, 150, 60), face(200, 150, 60)]
    row = territory(pair, 0, CropBox(0.0, 0.0, 300.0), 300)[150]
    assert row[149] == pytest.approx(0.5, abs=0.1)
    inside = np.flatnonzero((row > 0.001) & (row < 0.999))
    # Distances to the two change by two pixels for each.
    assert len(inside) == pytest.approx(BAND * 60 / 2, abs=8)


def test_one_face_has_everything():
    np.testing.assert_array_equal(territory(FACES[:1], 0, BOX, 64), 1)
