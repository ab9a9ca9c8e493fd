from __future__ import annotations

import numpy as np
import pytest

from fnevr.faces.expression import CHIN, FOREHEAD, NOSE, expressions, head_turns


@pytest.fixture
def face():
    """Upright and 0.5 high: eyes at 0.4 of the height, the nose below the middle of the eyes."""
    landmarks = np.zeros((1, 478, 2), np.float32)
    landmarks[0, CHIN] = (0, 0.5)
    landmarks[0, [33, 263]] = [(-0.1, 0.2), (0.1, 0.2)]
    landmarks[0, NOSE] = (0, 0.3)
    landmarks[0, [13, 14]] = [(0, 0.38), (0, 0.43)]
    landmarks[0, [78, 308]] = [(-0.06, 0.4), (0.04, 0.4)]
    landmarks[0, [159, 145]] = [(-0.06, 0.19), (-0.06, 0.21)]
    assert (landmarks[0, FOREHEAD] == 0).all()
    return landmarks


def test_openings_are_in_face_heights(face):
    np.testing.assert_allclose(expressions(face), [[0.1, 0.2, 0.04, 0]], atol=1e-6)


def test_the_nose_goes_where_the_head_turns(face):
    np.testing.assert_allclose(head_turns(face), [[0, 0.2]], atol=1e-6)
    face[0, NOSE] += (0.05, -0.1)
    np.testing.assert_allclose(head_turns(face), [[0.1, 0]], atol=1e-6)


def test_roll_and_place_change_nothing(face):
    face[0, NOSE] += (0.05, 0)
    turn = np.array([[0.8, 0.6], [-0.6, 0.8]], np.float32)
    moved = face @ turn.T + np.array([0.3, -0.2], np.float32)
    np.testing.assert_allclose(head_turns(moved), head_turns(face), atol=1e-6)
    np.testing.assert_allclose(expressions(moved), expressions(face), atol=1e-6)
