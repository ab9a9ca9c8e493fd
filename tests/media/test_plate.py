from __future__ import annotations

import numpy as np
import pytest

from fnevr.media.plate import background_plate


def disc(size, radius, softness=1.0):
    """Return a round person in the middle."""
    height, width = size
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(y + 0.5 - height / 2, x + 0.5 - width / 2)
    return ((radius - distance) / softness + 0.5).clip(0, 1).astype(np.float32)


def composed(person, background, alpha):
    """Put a person before a background."""
    share = alpha[..., None]
    return np.rint(person * share + background * (1 - share)).astype(np.uint8)


@pytest.mark.parametrize("size", [(128, 128), (97, 151), (64, 33)])
@pytest.mark.parametrize("softness", [1.0, 6.0])
def test_an_even_background_comes_back(size, softness):
    alpha = disc(size, 14, softness)
    colour = np.array([180, 140, 60])
    picture = composed(np.array([20, 10, 200]), colour * np.ones((*size, 1)), alpha)
    plate = background_plate(picture, alpha)
    assert plate.dtype == np.uint8
    assert abs(plate - colour).max() <= 1


def test_a_slope_is_continued():
    alpha = disc((192, 192), 40)
    background = np.linspace(60, 190, 192)[:, None, None] * np.ones((1, 192, 3))
    plate = background_plate(composed(np.array([255, 0, 0]), background, alpha), alpha)
    assert abs(plate - background).max() < 25
    assert abs(plate - background).mean() < 2


def test_the_nearest_background_fills_the_rim():
    alpha = disc((192, 192), 40)
    background = np.zeros((192, 192, 3))
    background[:, 96:] = 200
    plate = background_plate(composed(np.array([0, 255, 0]), background, alpha), alpha)
    assert plate[96, 58:64].max() < 30
    assert plate[96, 128:134].min() > 170


def test_what_is_far_from_the_person_stays():
    picture = np.random.default_rng(0).integers(0, 256, (200, 160, 3)).astype(np.uint8)
    alpha = disc((200, 160), 30)
    plate = background_plate(picture, alpha)
    far = disc((200, 160), 36) == 0
    np.testing.assert_array_equal(plate[far], picture[far])


def test_the_filling_brings_no_texture():
    picture = np.random.default_rng(0).integers(0, 256, (256, 256, 3)).astype(np.uint8)
    plate = background_plate(picture, disc((256, 256), 80)).astype(np.float64)
    inside = plate[96:160, 96:160]
    assert abs(np.diff(inside, axis=0)).max() <= 3
    assert abs(np.diff(inside, axis=1)).max() <= 3


def test_nobody_and_nothing_else_leave_the_picture():
    picture = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    for alpha in (np.zeros((40, 50), np.float32), np.ones((40, 50), np.float32)):
        plate = background_plate(picture, alpha)
        np.testing.assert_array_equal(plate, picture)
        assert not np.shares_memory(plate, picture)


def test_one_corner_fills_everything():
    alpha = np.ones((65, 130), np.float32)
    alpha[:12, :12] = 0
    picture = np.full((65, 130, 3), 250, np.uint8)
    picture[:12, :12] = 7
    assert background_plate(picture, alpha)[20:].max() <= 8


def test_alpha_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"\(8, 9\).*\(9, 8\)"):
        background_plate(np.zeros((8, 9, 3), np.uint8), np.zeros((9, 8), np.float32))
