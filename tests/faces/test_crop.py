from __future__ import annotations

import numpy as np
import pytest

from fnevr.faces.crop import SIDE_PER_FACE, CropBox, CropSmoother, crop, crop_box


def ramp(height, width):
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y, np.full_like(x, 9)], axis=-1).astype(np.uint8)


def face(width=80.0, height=100.0, centre=(300.0, 200.0)):
    """478 points that fill a box."""
    unit = np.random.default_rng(0).uniform(-0.5, 0.5, (478, 3))
    unit[:2, :2] = [[-0.5, -0.5], [0.5, 0.5]]
    return (unit * [width, height, 50] + [*centre, 0]).astype(np.float32)


def test_box_frames_the_face_as_the_training_clips_do():
    box = crop_box(face())
    assert box.size == pytest.approx(SIDE_PER_FACE * 100, rel=1e-5)
    assert box.centre == pytest.approx([300.0, 192.7], abs=0.01)  # the face sits a little low


def test_a_wide_face_is_framed_by_its_width():
    assert crop_box(face(width=150)).size == pytest.approx(SIDE_PER_FACE * 150, rel=1e-5)


def test_whole_pixels_at_their_own_size_are_a_slice():
    picture = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    np.testing.assert_array_equal(crop(picture, CropBox(11.0, 7.0, 32.0), 32), picture[7:39, 11:43])


@pytest.mark.parametrize("box", [CropBox(20.3, 31.8, 64.5), CropBox(10.0, 12.5, 130.0)])
def test_pixel_centres_land_where_they_should(box):
    side = 48
    result = crop(ramp(200, 200), box, side)
    expected = (np.arange(side) + 0.5) * box.size / side - 0.5
    np.testing.assert_allclose(result[5, :, 0], expected + box.left, atol=0.6)
    np.testing.assert_allclose(result[:, 5, 1], expected + box.top, atol=0.6)


def test_border_pixels_are_repeated_outside():
    picture = np.zeros((40, 40, 3), np.uint8)
    picture[:, 0] = 200
    result = crop(picture, CropBox(-20.0, 10.0, 20.0), 20)
    np.testing.assert_array_equal(result[:, :18], 200)
    assert crop(picture, CropBox(-500.0, -500.0, 100.0), 8).min() == 200


def test_shrinking_does_not_alias():
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 200
    np.testing.assert_allclose(crop(stripes, CropBox(50.0, 50.0, 400.0), 64), 100, atol=3)


@pytest.mark.parametrize("size", [0.0, -3.0, float("nan")])
def test_empty_box_is_an_error(size):
    with pytest.raises(ValueError, match="positive size"):
        crop(ramp(20, 20), CropBox(0.0, 0.0, size), 8)


def follow(smoother, centres, sizes, rate=25):
    return [
        smoother.update(CropBox.around(np.asarray(c), float(s)), 1 / rate)
        for c, s in zip(centres, sizes, strict=True)
    ]


def test_noise_does_not_shake_the_crop():
    rng = np.random.default_rng(0)
    centres = 300 + rng.normal(0, 3, (200, 2))
    boxes = follow(CropSmoother(), centres, 170 * np.exp(rng.normal(0, 0.02, 200)))
    assert len(set(boxes)) == 1


def test_head_motion_stays_motion():
    """A nod of a tenth of the crop, and a mouth that opens: the crop stands still."""
    time = np.arange(100) / 25
    centres = np.stack([np.full(100, 300.0), 200 + 17 * np.sin(2 * np.pi * time)], axis=1)
    boxes = follow(CropSmoother(), centres, 170 * (1 + 0.1 * np.sin(5 * time)))
    assert len(set(boxes)) == 1


def test_a_walking_person_is_followed_smoothly():
    """Across four crop sides in eight seconds, with noise: inside the crop, and no shaking."""
    rng = np.random.default_rng(0)
    x = 300 + np.linspace(0, 4 * 170, 200)
    centres = np.stack([x, np.full(200, 200.0)], axis=1)
    noisy = centres + rng.normal(0, 1.5, centres.shape)
    boxes = follow(CropSmoother(), noisy, np.full(200, 170.0))
    middles = np.array([box.centre for box in boxes])
    assert np.abs(middles - centres).max() < 0.2 * 170
    steps = np.diff(middles, axis=0)
    shake_out = np.abs(np.diff(steps, axis=0))[20:].mean()
    shake_in = np.abs(np.diff(noisy, n=2, axis=0)).mean()
    assert shake_out < 0.05 * shake_in


def test_coming_closer_widens_the_crop():
    boxes = follow(CropSmoother(), np.full((200, 2), 300.0), np.linspace(100, 250, 200))
    assert 1.6 < boxes[-1].size / boxes[0].size < 2.5


def test_reset_starts_at_the_next_box():
    smoother = CropSmoother()
    follow(smoother, [[0.0, 0.0], [5.0, 0.0]], [100, 100])
    smoother.reset()
    box = CropBox(700.0, 3.0, 40.0)
    assert smoother.update(box, 0.04) == box


@pytest.mark.parametrize("sides_per_second", [0.6, 1.2, 3.0])
@pytest.mark.parametrize("direction", [(1.0, 0.0), (-0.6, 0.8)])
def test_a_quick_face_never_leaves_the_crop(sides_per_second, direction):
    """A camera that pans, a person who walks by: half a face's width a second and more."""
    side = 170.0
    travelled = np.linspace(0, 2 * sides_per_second * side, 50)[:, None]
    centres = 900 + travelled * np.array(direction)
    boxes = follow(CropSmoother(), centres, np.full(50, side))
    offsets = np.array([box.centre for box in boxes]) - centres
    assert np.hypot(*offsets.T).max() <= CropSmoother().reach[1] * side * 1.001
    face = side / SIDE_PER_FACE
    assert (np.abs(offsets) + face / 2 < side / 2).all()
