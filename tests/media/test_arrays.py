from __future__ import annotations

import numpy as np

from fnevr.media.arrays import to_images_01, to_pictures


def test_pictures_become_images_and_come_back_as_they_were():
    pictures = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), np.uint8)
    images_01 = to_images_01(pictures)
    assert (images_01.shape, images_01.dtype) == ((2, 3, 5, 7), np.float32)
    assert images_01[1, 2, 3, 4] == pictures[1, 3, 4, 2] / np.float32(255)
    np.testing.assert_array_equal(to_images_01(list(pictures)), images_01)
    np.testing.assert_array_equal(to_pictures(images_01), pictures)


def test_levels_are_rounded_and_clipped():
    levels = np.array([-9.0, 0.4, 0.6, 254.6, 300.0], np.float32) / 255
    images_01 = np.broadcast_to(levels, (1, 3, 1, 5))
    assert to_pictures(images_01)[0, 0, :, 1].tolist() == [0, 0, 1, 255, 255]
