from __future__ import annotations

import numpy as np
import pytest

from fnevr.face3d.coefficients import CoefficientReader, angles, matched_scale
from fnevr.face3d.face_fit import TO_PICTURE, FaceBasis
from fnevr.geometry.rotations import head_rotations, rotation_matrices


def face(yaw_deg=0.0, pitch_deg=0.0, roll_deg=0.0, scale=100.0, shift=(128.0, 120.0, 0.0)):
    """The mean face's landmarks in a picture, turned as `head_angles_deg` has it."""
    turn = head_rotations(np.array([yaw_deg, pitch_deg, roll_deg]))
    rotation = TO_PICTURE[:, None] * turn * TO_PICTURE
    return scale * FaceBasis.packaged().template @ rotation.T + np.array(shift)


def test_a_face_at_rest_is_neutral():
    row = CoefficientReader(256).update(face())
    np.testing.assert_allclose(row[:67], 0, atol=2e-3)
    np.testing.assert_allclose(row[67:70], [0, 0, 0.45])
    np.testing.assert_allclose(row[71:73], [128, 136], atol=0.1)


@pytest.mark.parametrize(
    ("turn", "row", "sign"), [("yaw_deg", 65, 1), ("pitch_deg", 64, -1), ("roll_deg", 66, -1)]
)
def test_each_turn_is_one_angle(turn, row, sign):
    """Positive pitch is up here, about the axis to the right, and clockwise roll likewise."""
    found = CoefficientReader(256).update(face(**{turn: 20.0}))
    assert found[row] == pytest.approx(sign * np.deg2rad(20), abs=0.02)
    others = [index for index in (64, 65, 66) if index != row]
    np.testing.assert_allclose(found[others], 0, atol=0.02)


def test_angles_are_of_turns_one_after_the_other():
    a, b, c = 0.3, -0.4, 0.2
    about = [rotation_matrices(np.array(axis)) for axis in ([a, 0, 0], [0, b, 0], [0, 0, c])]
    assert angles(about[2] @ about[1] @ about[0]) == pytest.approx((a, b, c))


def test_the_crop_says_size_and_place_whatever_the_picture_has():
    small = CoefficientReader(128).update(face() / 2)
    large = CoefficientReader(256).update(face())
    np.testing.assert_allclose(small, large, rtol=1e-4, atol=1e-4)
    twice = CoefficientReader(256).update(face(scale=200.0))
    assert twice[70] == pytest.approx(large[70] / 2, rel=1e-4)
    # A head of 18 cm from forehead to chin, 100 pixels high: 10 cm are about 55 pixels.
    assert 1.2 < large[70] < 2.6


def test_expressions_are_those_of_the_head_fit():
    basis = FaceBasis.packaged()
    moved = basis.template + 1.5 * basis.expression_basis[..., 0]
    reader = CoefficientReader(256)
    row = reader.update(100 * moved + np.array([128.0, 120.0, 0.0]))
    np.testing.assert_array_equal(row[:51], reader.fit.expression.astype(np.float32)[:51])
    assert row[0] > 0.5
    assert not row[basis.num_expression : 64].any()


def test_the_size_is_matched_at_the_frame_that_is_most_like_the_source():
    frames = np.zeros((3, 73), np.float32)
    frames[:, 70] = [1.0, 2.0, 4.0]
    frames[0, 65], frames[1, 65], frames[2, 3] = 1.0, 0.3, 3.0
    source = np.zeros(73, np.float32)
    source[70], source[65] = 3.0, 0.29
    # By angle and expression the second is nearest: all sizes times 3 / 2.
    matched = matched_scale(frames, source)
    np.testing.assert_allclose(matched[:, 70], [1.5, 3.0, 6.0])
    np.testing.assert_array_equal(np.delete(matched, 70, axis=1), np.delete(frames, 70, axis=1))
    assert frames[0, 70] == 1.0
