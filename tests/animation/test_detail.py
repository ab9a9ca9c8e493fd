"""The portrait's own resolution, and its two layers."""

from __future__ import annotations

import numpy as np
import pytest

from fnevr.animation.detail import in_its_colours, inside_border, kept_at_border, layered
from fnevr.config.presets import asset
from fnevr.faces.crop import CropBox, crop, crop_box
from fnevr.faces.find import find_face
from fnevr.faces.parts import PersonParts
from fnevr.media.arrays import to_images_01
from fnevr.media.image import read_image
from fnevr.models.encoded_source import Detail


@pytest.fixture(scope="module")
def portrait():
    return read_image(asset("portrait.jpg"))


@pytest.fixture(scope="module")
def box(portrait):
    return crop_box(find_face(portrait)).on_pixels(186)


@pytest.fixture(scope="module")
def layers(portrait, box):
    return layered(portrait, box, 186, PersonParts())


def middle(foreground, side):
    margin = (foreground.shape[-1] - side) // 2
    return foreground[0, :, margin : margin + side, margin : margin + side]


def test_a_whole_square_moves_as_it_is(portrait):
    detail = Detail.opaque(to_images_01([portrait]))
    np.testing.assert_array_equal(detail.foreground[:, :3], to_images_01([portrait]))
    assert (detail.foreground[:, 3] == 1).all()


def test_layers_together_are_the_portrait(portrait, box, layers):
    """At rest nothing changes: colours times alpha, and the plate for the rest."""
    colours = middle(layers.foreground, 186)
    together = colours[:3] + (1 - colours[3]) * layers.plate_01[0]
    square = portrait[int(box.top) : int(box.top) + 186, int(box.left) : int(box.left) + 186]
    np.testing.assert_allclose(together, to_images_01([square])[0], atol=1e-6)


def test_the_person_is_in_front_and_the_background_behind(portrait, box, layers):
    alpha = middle(layers.foreground, 186)[3]
    face = find_face(portrait)[:, :2] - (box.left, box.top)
    columns, rows = face.astype(int).T
    assert alpha[rows, columns].mean() > 0.98
    assert alpha[5:25, 5:25].max() < 0.1
    plate = (255 * layers.plate_01[0]).transpose(1, 2, 0)
    corner = crop(portrait, box, 186)[5:25, 5:25]
    assert np.abs(plate[5:25, 5:25] - corner).max() <= 1
    # Where the face was, the plate shows the wall.
    assert np.abs(plate[80:110, 80:110].mean(axis=(0, 1)) - corner.mean(axis=(0, 1))).max() < 30


def test_alpha_goes_on_beyond_the_border_of_the_picture(portrait, box):
    """Hair that the picture cuts off has no soft edge there."""
    cut = portrait[int(box.top) + 30 :]
    moved = CropBox(box.left, box.top - (int(box.top) + 30), 186.0)
    alpha = layered(cut, moved, 186, PersonParts()).foreground[0, 3]
    border = round(-moved.top) + (len(alpha) - 186) // 2
    np.testing.assert_array_equal(alpha[:border], alpha[border][None].repeat(border, axis=0))


def test_a_picture_without_a_person_has_one_layer():
    picture = np.full((400, 400, 3), 90, np.uint8)
    detail = layered(picture, CropBox(100.0, 100.0, 200.0), 200, PersonParts())
    assert (detail.foreground[:, 3] == 1).all()


def test_what_lies_beyond_the_picture_is_repeated_of_the_plate(portrait, box):
    """The wall beside the person goes on, whatever the person hides at the picture's border."""
    cut = portrait[: int(box.top) + 150]
    moved = CropBox(box.left, box.top, 186.0)
    detail = layered(cut, moved, 186, PersonParts())
    rows = detail.plate_01[0, :, 150:]
    np.testing.assert_allclose(rows, rows[:, :1].repeat(36, axis=1), atol=1e-6)


def person(*parts):
    """A square of 96 pixels and its surroundings, with rectangles of a person."""
    alpha = np.zeros((1, 1, 144, 144), np.float32)
    for rows, columns in parts:
        alpha[..., 24 + rows.start : 24 + rows.stop, 24 + columns.start : 24 + columns.stop] = 1
    return Detail(alpha.repeat(4, axis=1), np.zeros((1, 3, 96, 96), np.float32))


def test_a_person_inside_the_square_hides_the_picture():
    """Near its border too, and a little around the person."""
    hidden = inside_border(person((slice(4, 60), slice(4, 92))))
    assert (hidden[4:60, 4:92] == 1).all()
    assert hidden[61, 40] > 0.5
    assert (hidden[68:] == 0).all()


def test_who_crosses_a_border_fades_there():
    """A body crosses the bottom, a head does not cross the top."""
    hidden = inside_border(person((slice(3, 60), slice(40, 60)), (slice(60, 120), slice(20, 80))))
    assert (hidden[-1, 15:85] == 0).all()
    assert (hidden[3:80, 42:58] == 1).all()


def test_a_head_that_crosses_the_top_fades_in_a_narrow_strip():
    hidden = inside_border(person((slice(-10, 60), slice(30, 60))))
    assert (hidden[0, 28:62] == 0).all()
    assert (hidden[4:60, 30:60] == 1).all()


def person_in(rows, columns):
    alpha = np.zeros((1, 1, 192, 192), np.float32)
    alpha[:, :, rows, columns] = 1
    foreground = np.concatenate((np.zeros((1, 3, 192, 192), np.float32), alpha), axis=1)
    return Detail(foreground, np.zeros((1, 3, 128, 128), np.float32))


def test_who_stays_inside_the_square_may_move():
    assert (kept_at_border(person_in(slice(60, 130), slice(60, 130)), 32) == 1).all()


def test_what_crosses_a_border_is_kept_there_alone():
    kept = kept_at_border(person_in(slice(0, 130), slice(90, 100)), 32)
    assert kept[0, 15] < 0.05
    assert (np.diff(kept[:, 15]) >= 0).all()
    assert (kept[10:] == 1).all()
    assert (kept[:, [0, 31]] == 1).all()
    below = kept_at_border(person_in(slice(60, 192), slice(90, 100)), 32)
    np.testing.assert_allclose(below, kept[::-1])


def test_a_gray_portrait_is_drawn_in_gray(portrait):
    gray = np.repeat(portrait.mean(axis=-1, keepdims=True).astype(np.uint8), 3, axis=-1)
    tinted = gray // np.array([1, 1, 2], np.uint8)
    found = [
        in_its_colours(Detail.opaque(to_images_01([picture]))).is_gray
        for picture in (gray, tinted, portrait)
    ]
    assert found == [True, False, False]
    rng = np.random.default_rng(0)
    layers = [rng.random((1, channels, 4, 4), np.float32) for channels in (3, 1, 2, 2, 1, 1, 4)]
    detail = in_its_colours(Detail.opaque(to_images_01([gray])))
    decoded, *others, inner_face = detail.carried(layers)
    for drawn, layer in ((decoded, layers[0]), (inner_face, layers[6])):
        np.testing.assert_allclose(drawn[:, 0], layer[:, :3].mean(axis=1), rtol=1e-6)
        assert np.ptp(drawn[:, :3], axis=1).max() == 0
    np.testing.assert_array_equal(inner_face[:, 3], layers[6][:, 3])
    assert all(a is b for a, b in zip(others, layers[1:6], strict=True))
