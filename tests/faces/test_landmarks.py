from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from fnevr.faces.landmarks import NUM_LANDMARKS, landmarks_box, landmarks_region
from fnevr.faces.region import Region

CHIN, BROW_MIDDLE, NOSE_TIP, UPPER_LIP, LOWER_LIP = 152, 9, 4, 13, 14
LEFT_EYE, RIGHT_EYE = (33, 133), (362, 263)  # corners, left to right in the picture


def transformed(rgb, matrix, offset):
    """Move a picture: a point p goes to matrix @ p + offset."""
    inverse = np.linalg.inv(matrix)
    back = -inverse @ offset
    coefficients = (*inverse[0], back[0], *inverse[1], back[1])
    image = Image.fromarray(rgb).transform(
        rgb.shape[1::-1], Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC
    )
    return np.array(image)


def face_height(landmarks):
    return landmarks[CHIN, 1] - landmarks[BROW_MIDDLE, 1]


def test_landmarks_lie_where_a_face_has_them(landmarks):
    assert landmarks.shape == (NUM_LANDMARKS, 3)
    assert landmarks.dtype == np.float32
    order = landmarks[[BROW_MIDDLE, NOSE_TIP, UPPER_LIP, CHIN], 1]
    assert (np.diff(order) > 5).all()
    for iris, (start, end) in ((468, LEFT_EYE), (473, RIGHT_EYE)):
        assert landmarks[start, 0] < landmarks[iris, 0] < landmarks[end, 0]
    assert landmarks[NOSE_TIP, 2] < landmarks[CHIN, 2]  # nearer to the camera


def test_smile_shows_an_open_mouth(landmarks):
    gap = landmarks[LOWER_LIP, 1] - landmarks[UPPER_LIP, 1]
    assert 0.04 < gap / face_height(landmarks) < 0.25


@pytest.mark.parametrize("angle_deg", [-35, -15, 20, 40])
def test_landmarks_follow_a_turned_picture(portrait, detector, mesh, landmarks, angle_deg):
    angle = np.radians(angle_deg)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = np.array([225.0, 120.0])
    offset = np.array([256.0, 200.0]) - matrix @ centre
    picture = transformed(portrait, matrix, offset)
    found = mesh.landmarks(picture, detector.detect(picture)[0])
    expected = landmarks[:, :2] @ matrix.T + offset
    distance = np.linalg.norm(found[:, :2] - expected, axis=1) / face_height(landmarks)
    assert distance.mean() < 0.03
    assert distance.max() < 0.12


@pytest.mark.parametrize("scale", [0.6, 1.7, 3.1])
def test_landmarks_follow_scale_and_shift(portrait, detector, mesh, landmarks, scale):
    offset = np.array([256.0, 230.0]) - scale * np.array([225.0, 120.0])
    picture = transformed(portrait, scale * np.eye(2), offset)
    found = mesh.landmarks(picture, detector.detect(picture)[0])
    expected = landmarks[:, :2] * scale + offset
    distance = np.linalg.norm(found[:, :2] - expected, axis=1) / (scale * face_height(landmarks))
    assert distance.mean() < 0.03
    assert distance.max() < 0.12


def test_mirrored_picture_gives_the_mirrored_face(portrait, detector, mesh, landmarks):
    mirrored = np.ascontiguousarray(portrait[:, ::-1])
    found = mesh.landmarks(mirrored, detector.detect(mirrored)[0])
    pairs = [(33, 263), (133, 362), (61, 291), (468, 473), (4, 4), (152, 152)]
    for index, other in pairs:
        expected = [512 - landmarks[other, 0], landmarks[other, 1]]
        np.testing.assert_allclose(found[index, :2], expected, atol=0.05 * face_height(landmarks))


def test_presence_tells_a_face_from_none(portrait, mesh, landmarks):
    assert mesh.mesh(portrait, landmarks_region(landmarks)).presence > 0.9
    shuttle = mesh.mesh(portrait, Region(380.0, 380.0, 150.0))
    assert not shuttle.is_face


def test_face_at_the_border_of_the_picture(portrait, detector, mesh, landmarks):
    cut = np.ascontiguousarray(portrait[80:, 185:])  # through the forehead and beside the cheek
    found = mesh.landmarks(cut, detector.detect(cut)[0])
    inner = [NOSE_TIP, UPPER_LIP, LOWER_LIP, 33, 263, 61, 291]
    np.testing.assert_allclose(found[inner, :2], landmarks[inner, :2] - [185, 80], atol=5)


def test_box_is_around_the_mesh_without_the_irises():
    points = np.zeros((NUM_LANDMARKS, 3), np.float32)
    points[0], points[1], points[470] = [-2, 3, 0], [5, 9, 0], [99, 99, 0]
    assert landmarks_box(points) == (-2.0, 0.0, 5.0, 9.0)
