"""Irises are moved in the portrait; corners of the eyes, lids and all else stay."""

import numpy as np
import pytest

from fnevr.animation.detail import layered
from fnevr.animation.gaze import Irises
from fnevr.config.presets import asset
from fnevr.face3d.performance import EYE_CORNERS, IRISES, gaze
from fnevr.faces.crop import crop, crop_box
from fnevr.faces.detector import FaceDetector
from fnevr.faces.find import find_face
from fnevr.faces.landmarks import FaceMesh
from fnevr.faces.parts import PersonParts
from fnevr.media.arrays import to_images_01, to_pictures
from fnevr.media.image import read_image
from fnevr.models.encoded_source import Detail

SIDE = 384


@pytest.fixture(scope="module")
def portrait():
    """A view of the portrait and its landmarks there, in pixels."""
    picture = read_image(asset("portrait.jpg"))
    face = find_face(picture, None, FaceDetector(1), FaceMesh(1))
    box = crop_box(face)
    return picture, box, crop(picture, box, SIDE), box.to_view(face, SIDE)


def signed(landmarks):
    return landmarks / (SIDE / 2) - np.array([1.0, 1.0, 0.0])


def opaque(view):
    return Detail.opaque(to_images_01([view]))


def foreground(irises, x, y=0.0):
    """Return the foreground with the irises moved."""
    with irises.moved(np.array([x, y])) as moved:
        return np.array(moved)


def seen(foreground_01):
    """Return the gaze in the middle of a foreground that has no margin."""
    (view,) = to_pictures(foreground_01[:, :3])
    return gaze(find_face(view, None, FaceDetector(1), FaceMesh(1)))


def test_the_gaze_follows(portrait):
    _, _, view, landmarks = portrait
    irises = Irises(opaque(view), signed(landmarks))
    left, ahead, right = (seen(foreground(irises, x))[0] for x in (-0.2, 0.0, 0.2))
    assert ahead - left > 0.06
    assert right - ahead > 0.06
    up, down = (seen(foreground(irises, 0.0, y))[1] for y in (-0.08, 0.08))
    assert down - up > 0.01


def test_no_shift_changes_nothing_and_one_leaves_the_rest(portrait):
    _, _, view, landmarks = portrait
    detail = opaque(view)
    irises = Irises(detail, signed(landmarks))
    np.testing.assert_array_equal(foreground(irises, 0.0), detail.foreground)
    moved = foreground(irises, 0.15, 0.05)
    changed = np.abs(moved - detail.foreground).max(axis=(0, 1)) > 0.02
    y, x = np.nonzero(changed)
    for index, iris in enumerate(IRISES):
        corners = landmarks[list(EYE_CORNERS[index]), :2]
        width = np.linalg.norm(corners[1] - corners[0])
        near = np.hypot(x - landmarks[iris, 0], y - landmarks[iris, 1]) < 0.6 * width
        assert near.any()
        x, y = x[~near], y[~near]
    assert len(x) == 0
    np.testing.assert_array_equal(detail.foreground[:, :3], to_images_01([view]))


def test_irises_stay_within_their_eyes(portrait):
    _, _, view, landmarks = portrait
    irises = Irises(opaque(view), signed(landmarks))
    far, farther = (foreground(irises, x) for x in (0.24, 5.0))
    assert np.abs(farther - far).mean() < 1e-3
    assert np.isfinite(farther).all()


def test_a_foreground_with_a_margin_is_moved_at_the_same_place(portrait):
    picture, box, view, landmarks = portrait
    wide = layered(picture, box, SIDE, PersonParts())
    margin = (wide.foreground.shape[-1] - SIDE) // 2
    assert margin > 0
    middle = (slice(None), slice(3), *[slice(margin, margin + SIDE)] * 2)
    plain = opaque(view)
    change, expected = (
        foreground(Irises(detail, signed(landmarks)), 0.1) - detail.foreground
        for detail in (wide, plain)
    )
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(change[middle], expected[:, :3], atol=0.02)


def test_shut_eyes_and_eyes_beyond_the_picture_are_left_alone(portrait):
    _, _, view, landmarks = portrait
    detail = opaque(view)
    shut = landmarks.copy()
    shut[:, 1] = 0.02 * shut[:, 1] + 150  # all points nearly on a line
    away = landmarks + np.array([SIDE, 0.0, 0.0])
    for points in (shut, away):
        moved = foreground(Irises(detail, signed(points)), 0.2)
        np.testing.assert_array_equal(moved, detail.foreground)


def test_the_source_is_as_it_was_afterwards(portrait):
    _, _, view, landmarks = portrait
    detail = opaque(view)
    irises = Irises(detail, signed(landmarks))
    with irises.moved(np.array([0.2, 0.0])):
        assert np.abs(detail.foreground[:, :3] - to_images_01([view])).max() > 0.1
    np.testing.assert_array_equal(detail.foreground[:, :3], to_images_01([view]))


def test_each_of_two_threads_has_a_foreground_of_its_own(portrait):
    _, _, view, landmarks = portrait
    detail = opaque(view)
    irises = Irises(detail, signed(landmarks))
    left, right = (foreground(irises, x) for x in (-0.2, 0.2))
    for _ in range(2):
        with irises.moved(np.array([-0.2, 0.0])) as one, irises.moved(np.array([0.2, 0.0])) as two:
            np.testing.assert_array_equal(one, left)
            np.testing.assert_array_equal(two, right)
    assert len(irises.idle) == 2
    np.testing.assert_array_equal(detail.foreground[:, :3], to_images_01([view]))
