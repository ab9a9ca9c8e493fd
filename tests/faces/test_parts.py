from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from fnevr.faces.crop import CropBox, crop_box
from fnevr.faces.parts import PARTS, PersonParts, sharpened

NOSE_TIP, LEFT_CHEEK, RIGHT_CHEEK = 4, 50, 280


@pytest.fixture(scope="session")
def person_parts():
    return PersonParts(num_threads=1)


@pytest.fixture(scope="session")
def found(person_parts, portrait):
    return person_parts.parts(portrait)


def part_at(part_map, x, y):
    return PARTS[int(part_map.shares[:, int(y), int(x)].argmax())]


def test_shares_are_shares(found):
    assert found.shares.shape == (6, 512, 512)
    assert found.shares.dtype == np.float32
    assert found.shares.min() >= 0
    np.testing.assert_allclose(found.shares.sum(axis=0), 1, atol=1e-5)
    np.testing.assert_array_equal(found.person, 1 - found.share("background"))


def test_parts_lie_where_a_portrait_has_them(found, landmarks):
    for index in (NOSE_TIP, LEFT_CHEEK, RIGHT_CHEEK):
        assert part_at(found, *landmarks[index, :2]) == "face"
    assert part_at(found, 225, 30) == "hair"
    assert part_at(found, 200, 400) == "clothes"
    for x, y in ((500, 10), (320, 10), (130, 60)):
        assert part_at(found, x, y) == "background"
        assert found.person[y, x] < 0.01
    assert found.person[100:140, 200:240].min() > 0.99


@pytest.mark.parametrize("size", [(256, 256), (300, 450), (700, 640)])
def test_parts_follow_the_picture_s_size(person_parts, portrait, found, size):
    picture = np.asarray(Image.fromarray(portrait).resize(size, Image.Resampling.BICUBIC))
    person = person_parts.parts(picture).person
    assert person.shape == size[::-1]
    expected = Image.fromarray(found.person).resize(size, Image.Resampling.BILINEAR)
    assert abs(person - np.asarray(expected)).mean() < 0.03


def test_a_mirrored_picture_gives_mirrored_parts(person_parts, portrait, found):
    mirrored = person_parts.parts(np.ascontiguousarray(portrait[:, ::-1]))
    assert abs(mirrored.person[:, ::-1] - found.person).mean() < 0.03


def test_a_box_is_seen_anew_and_what_is_outside_is_not(person_parts, portrait, found, landmarks):
    box = crop_box(landmarks)
    closer = person_parts.parts(portrait, box)
    left, top = (round(edge) for edge in (box.left, box.top))
    outside = np.ones((512, 512), bool)
    outside[max(top, 0) : round(box.top + box.size), left : round(box.left + box.size)] = False
    np.testing.assert_array_equal(closer.shares[:, outside], found.shares[:, outside])
    assert abs(closer.shares - found.shares)[:, ~outside].max() > 0.1
    np.testing.assert_allclose(closer.shares.sum(axis=0), 1, atol=1e-5)
    assert part_at(closer, *landmarks[NOSE_TIP, :2]) == "face"


def test_a_box_of_the_whole_picture_is_the_whole_picture(person_parts, portrait, found):
    for box in (CropBox(0.0, 0.0, 512.0), CropBox(-40.0, -9.0, 600.0)):
        again = person_parts.parts(portrait, box)
        np.testing.assert_allclose(again.shares, found.shares, atol=1e-6)


@pytest.mark.parametrize(
    "box", [CropBox(600.0, 0.0, 50.0), CropBox(-90.0, -90.0, 80.0), CropBox(5.0, 5.0, 0.2)]
)
def test_a_box_without_pixels_adds_nothing(person_parts, portrait, found, box):
    np.testing.assert_array_equal(person_parts.parts(portrait, box).shares, found.shares)


def test_nobody_is_background(person_parts):
    sky = np.broadcast_to(np.linspace(120, 220, 200)[:, None, None], (200, 300, 3))
    assert person_parts.parts(sky.astype(np.uint8)).person.mean() < 0.02


def test_tiny_pictures_are_taken(person_parts):
    for size in ((1, 1), (1, 90), (7, 3)):
        assert person_parts.parts(np.zeros((*size, 3), np.uint8)).shares.shape == (6, *size)


def test_smoothed_labels_become_certain():
    smoothed = np.full((6, 2, 2), 0.1 / 6)
    smoothed[3, 0] += 0.9
    smoothed[[1, 4], 1] += 0.45
    shares = sharpened(np.log(smoothed) + 3.0)
    np.testing.assert_allclose(shares[:, 0, 1], np.eye(6)[3], atol=1e-12)
    np.testing.assert_allclose(shares[[1, 4], 1], 0.5, atol=1e-12)
