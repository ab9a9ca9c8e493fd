from __future__ import annotations

import numpy as np
import pytest

from fnevr.faces.crop import CropBox, crop
from fnevr.faces.paste import PasteBack, paste_back

BOXES = [
    CropBox(100.0, 60.0, 128.0),
    CropBox(83.4, 51.7, 200.6),
    CropBox(120.2, 90.9, 40.3),
    CropBox(-30.5, -20.2, 150.0),
    CropBox(300.7, 220.3, 150.5),
    CropBox(-50.0, -80.0, 600.0),
]


@pytest.fixture
def picture():
    """Smooth shapes, as in a photograph of a face."""
    y, x = np.mgrid[:300, :400]
    waves = [np.sin(x / 40), np.cos(y / 35), np.sin((x + y) / 50)]
    return (np.stack(waves, axis=-1) * 90 + 128).astype(np.uint8)


def covered(box, shape):
    """Pixels that the box touches."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    in_x = (x + 1 > box.left) & (x < box.left + box.size)
    return in_x & (y + 1 > box.top) & (y < box.top + box.size)


@pytest.mark.parametrize("box", BOXES)
def test_same_content_goes_back_unseen(picture, box):
    result = paste_back(picture, crop(picture, box, 128), box)
    difference = np.abs(result.astype(int) - picture.astype(int))
    assert difference.max() <= 3
    assert difference.mean() < 0.5


@pytest.mark.parametrize("box", BOXES)
def test_outside_of_the_box_nothing_changes(picture, box):
    result = paste_back(picture, np.full((64, 64, 3), 255, np.uint8), box)
    outside = ~covered(box, picture.shape)
    np.testing.assert_array_equal(result[outside], picture[outside])


def test_a_brighter_crop_leaves_no_step(picture):
    """The model may change the light: neighbours never differ by more than the feather's slope."""
    box, flat = CropBox(90.3, 40.8, 210.0), np.full_like(picture, 100)
    change = paste_back(flat, np.full((256, 256, 3), 160, np.uint8), box).astype(int) - 100
    assert change.max() == 60
    for axis in (0, 1):
        assert np.abs(np.diff(change, axis=axis)).max() <= 60 * 1.5 / (0.12 * 210) + 1


def test_middle_is_the_crop(picture):
    box = CropBox(100.0, 60.0, 128.0)
    face = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    result = paste_back(picture, face, box)
    np.testing.assert_array_equal(result[80:168, 120:208], face[20:108, 20:108])


def test_no_fading_where_the_box_leaves_the_picture(picture):
    box = CropBox(-30.0, -20.0, 150.0)
    result = paste_back(picture, np.full((64, 64, 3), 255, np.uint8), box)
    assert (result[:60, :60] == 255).all()


def test_box_beside_the_picture_changes_nothing(picture):
    for box in (CropBox(500.0, 10.0, 50.0), CropBox(10.0, -90.0, 50.0)):
        result = paste_back(picture, np.zeros((32, 32, 3), np.uint8), box)
        np.testing.assert_array_equal(result, picture)


def test_picture_itself_is_left_alone(picture):
    before = picture.copy()
    paste = PasteBack(picture, BOXES[0], 64)
    first = paste(np.zeros((64, 64, 3), np.uint8))
    second = paste(np.full((64, 64, 3), 255, np.uint8))
    np.testing.assert_array_equal(picture, before)
    assert first[124, 164].max() == 0  # the first result is not overwritten by the second
    assert second[124, 164].min() == 255


def test_mask_chooses_what_to_take(picture):
    mask = np.zeros((64, 64), np.float32)
    mask[:, 32:] = 1
    box = CropBox(100.0, 60.0, 128.0)
    result = paste_back(picture, np.full((64, 64, 3), 255, np.uint8), box, mask)
    np.testing.assert_array_equal(result[:, :160], picture[:, :160])
    assert (result[100:150, 175:205] == 255).all()


def test_hard_edge_without_feather(picture):
    result = paste_back(picture, np.full((64, 64, 3), 255, np.uint8), BOXES[0], feather=0.0)
    assert (result[60:188, 100:228] == 255).all()


def test_wrong_sizes_are_errors(picture):
    with pytest.raises(ValueError, match=r"must be \(64, 64, 3\)"):
        PasteBack(picture, BOXES[0], 64)(np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(ValueError, match="mask must be 64x64"):
        PasteBack(picture, BOXES[0], 64, mask=np.ones((8, 8)))


def test_of_what_is_unfaded_the_picture_shows_nothing(picture):
    """Also in the border, where a crop otherwise fades in."""
    unfaded = np.zeros((64, 64), np.float32)
    unfaded[:, :32] = 1
    box = CropBox(20.0, 30.0, 64.0)
    crop = np.full((64, 64, 3), 255, np.uint8)
    result = PasteBack(picture, box, 64, unfaded=unfaded)(crop)
    faded = PasteBack(picture, box, 64)(crop)
    assert (result[30:94, 20:52] == 255).all()
    np.testing.assert_array_equal(result[:, 52:], faded[:, 52:])
    with pytest.raises(ValueError, match="mask must be 64x64"):
        PasteBack(picture, box, 64, unfaded=np.ones((8, 8), np.float32))


def test_crops_that_overlap_have_their_shares_in_any_order(picture):
    size = 64
    boxes = [CropBox(60.0, 60.0, 64.0), CropBox(90.0, 60.0, 64.0)]
    across = np.linspace(1, 0, size, dtype=np.float32)[None].repeat(size, axis=0)
    masks = [across, 1 - across]
    bright, dark = (np.full((size, size, 3), level, np.uint8) for level in (220, 20))
    pastes = [
        PasteBack(picture, box, size, mask, feather=0.0)
        for box, mask in zip(boxes, masks, strict=True)
    ]
    results = []
    for order in ((0, 1), (1, 0)):
        result = picture.copy()
        for index in order:
            pastes[index].add((bright, dark)[index], result)
        results.append(result.astype(int))
    np.testing.assert_allclose(results[0], results[1], atol=1)
    overlap = (slice(60, 124), slice(90, 124))
    shares = [masks[0][:, 30:, None], masks[1][:, :34, None]]
    expected = picture[overlap] * (1 - shares[0] - shares[1]) + 220 * shares[0] + 20 * shares[1]
    np.testing.assert_allclose(results[0][overlap], expected.clip(0, 255), atol=2)
