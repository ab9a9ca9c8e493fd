from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from fnevr.faces.detector import (
    Face,
    anchor_centres,
    contained,
    distinct,
    overlap,
    part_views,
    weighted_suppression,
)


def gray(height, width):
    return np.full((height, width, 3), 128, np.uint8)


def resized(rgb, side):
    return np.array(Image.fromarray(rgb).resize((side, side), Image.Resampling.LANCZOS))


def test_finds_the_one_face_with_its_points(portrait, detector, landmarks):
    faces = detector.detect(portrait)
    assert len(faces) == 1
    (face,) = faces
    assert face.score > 0.8
    left, top, right, bottom = face.box
    assert 190 < (left + right) / 2 < 260
    assert 80 < (top + bottom) / 2 < 160
    assert 80 < face.size < 130
    irises = landmarks[[468, 473], :2]  # the person's right eye is on the picture's left
    np.testing.assert_allclose(face.keypoints[:2], irises, atol=9)


def test_no_face_in_what_shows_none(detector):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (200, 300, 3), dtype=np.uint8)
    assert detector.detect(gray(240, 320)) == []
    assert detector.detect(noise, thorough=False) == []
    assert detector.detect(gray(3, 500)) == []


def test_largest_face_comes_first(portrait, detector):
    picture = gray(512, 900)
    picture[:300, :300] = resized(portrait, 300)
    picture[:, 388:] = portrait
    sizes = [face.size for face in detector.detect(picture)]
    assert len(sizes) == 2
    assert sizes[0] > 1.4 * sizes[1]


def test_small_face_in_a_large_picture(portrait, detector):
    picture = gray(1400, 2000)
    picture[1000:1256, 300:556] = resized(portrait, 256)
    assert detector.detect(picture, thorough=False) == []
    (face,) = detector.detect(picture)
    assert 35 < face.size < 70
    assert 1000 < face.box[1] < 1100


def test_face_that_fills_the_picture(portrait, detector):
    (face,) = detector.detect(np.ascontiguousarray(portrait[55:185, 160:290]))
    assert 70 < face.size < 140


def test_anchors_are_cell_centres_row_by_row():
    centres = anchor_centres(2, per_cell=2)
    expected = [[0.25, 0.25]] * 2 + [[0.75, 0.25]] * 2 + [[0.25, 0.75]] * 2 + [[0.75, 0.75]] * 2
    np.testing.assert_allclose(centres, expected)


def test_number_of_anchors(detector):
    assert len(detector.short_range.anchors) == 896
    assert len(detector.full_range.anchors) == 2304


def test_overlap_of_known_boxes():
    boxes = np.array([[0.0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6], [1, 1, 1, 1]])
    np.testing.assert_allclose(overlap(boxes, boxes[0]), [1, 1 / 3, 0, 0], atol=1e-6)


def test_suppression_averages_by_score():
    rows = np.zeros((3, 8, 2), np.float32)
    rows[:, 0] = [[10, 10], [11, 10], [40, 40]]  # centres: the first two are one face
    rows[:, 1] = 10
    faces = weighted_suppression(rows, np.array([0.9, 0.6, 0.7], np.float32))
    assert [face.score for face in faces] == pytest.approx([0.9, 0.7])
    assert faces[0].box == pytest.approx((5.4, 5.0, 15.4, 15.0))


def test_suppression_of_nothing():
    assert weighted_suppression(np.zeros((0, 8, 2), np.float32), np.zeros(0, np.float32)) == []


def test_contained_is_the_share_of_the_smaller_box():
    assert contained((0.0, 0.0, 10.0, 10.0), (5.0, 5.0, 9.0, 15.0)) == pytest.approx(0.5)
    assert contained((0.0, 0.0, 1.0, 1.0), (2.0, 0.0, 3.0, 1.0)) == 0.0


def test_distinct_keeps_the_first_of_each():
    boxes = [(0.0, 0.0, 10.0, 10.0), (1.0, 1.0, 5.0, 5.0), (30.0, 0.0, 40.0, 10.0)]
    faces = [Face(box, 0.9, np.zeros((6, 2))) for box in boxes]
    assert distinct(faces) == [faces[0], faces[2]]


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (500, 3000), (800, 800)])
def test_parts_cover_the_picture(width, height):
    views = list(part_views(width, height, 192))
    sizes = sorted({view.size for view in views})
    assert sizes == [max(width, height) * 0.375, max(width, height) * 0.75]
    for size in sizes:
        seen = np.zeros((height, width), bool)
        for view in views:
            if view.size == size:
                top, left = round(view.centre_y - size / 2), round(view.centre_x - size / 2)
                bottom, right = top + round(size), left + round(size)
                seen[max(top, 0) : bottom, max(left, 0) : right] = True
        assert seen.all()


def test_small_pictures_are_not_cut_up():
    assert list(part_views(240, 250, 192)) == []
