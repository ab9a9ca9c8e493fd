from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from fnevr.errors import FaceError
from fnevr.faces.find import (
    MIN_FACE_PX,
    choose_faces,
    face_numbers,
    face_size,
    find_face,
    find_faces,
)


def smaller(rgb, side):
    return np.array(Image.fromarray(rgb).resize((side, side), Image.Resampling.LANCZOS))


@pytest.fixture(scope="module")
def group(portrait):
    """Three people, of sizes 1, 0.75 and 0.5; the largest in the middle."""
    picture = np.full((512, 1152, 3), 90, np.uint8)
    picture[:256, :256] = smaller(portrait, 256)
    picture[:, 256:768] = portrait
    picture[:384, 768:] = smaller(portrait, 384)
    return picture


def test_one_face(portrait, detector, mesh, landmarks):
    found = find_face(portrait, None, detector, mesh)
    np.testing.assert_array_equal(found, landmarks)
    np.testing.assert_array_equal(find_face(portrait, 0, detector, mesh), landmarks)


def test_several_faces_largest_first(group, detector, mesh):
    faces = find_faces(group, detector, mesh)
    sizes = [face_size(face) for face in faces]
    assert sizes == sorted(sizes, reverse=True)
    middles = [face[:, 0].mean() for face in faces]
    assert middles == pytest.approx([481, 937, 112], abs=20)


def test_largest_alone_is_the_first_of_all(group, portrait, detector, mesh):
    for picture in (group, portrait, portrait[100:420, 120:400]):
        largest, *_ = find_faces(picture, detector, mesh, largest_only=True)
        np.testing.assert_allclose(largest, find_faces(picture, detector, mesh)[0], atol=1e-3)


def test_index_picks_and_default_is_the_largest(group, detector, mesh):
    picked = [find_face(group, i, detector, mesh)[:, 0].mean() for i in (None, 0, 1, 2)]
    assert picked[0] == picked[1]
    assert picked[1:] == pytest.approx([481, 937, 112], abs=20)


@pytest.mark.parametrize("choice", [3, (0, 3)])
def test_index_out_of_range_says_how_many(group, detector, mesh, choice):
    with pytest.raises(FaceError, match=r"there is no face 3: the picture holds 3 face"):
        choose_faces(group, choice, detector, mesh)


@pytest.mark.parametrize("choice", [-1, (), (1, 1), (0, -2)])
def test_numbers_that_are_no_choice(choice):
    with pytest.raises(FaceError, match=r"no such faces.*wanted numbers that differ"):
        face_numbers(choice)


def test_several_are_chosen_in_their_order(group, detector, mesh):
    chosen = choose_faces(group, (2, 0), detector, mesh)
    assert [face[:, 0].mean() for face in chosen.faces] == pytest.approx([112, 481], abs=20)
    assert [face[:, 0].mean() for face in chosen.others] == pytest.approx([937], abs=20)
    assert len(choose_faces(group, "all", detector, mesh).faces) == 3


def test_all_leaves_out_what_is_too_small(portrait, detector, mesh):
    picture = np.full((512, 700, 3), 90, np.uint8)
    picture[:, :512] = portrait
    picture[:150, 530:680] = smaller(portrait, 150)
    chosen = choose_faces(picture, "all", detector, mesh)
    assert len(chosen.faces) == 1
    assert len(chosen.others) == 1


def test_no_face_says_what_to_do(detector, mesh):
    with pytest.raises(FaceError, match=r"no face found.*320x200.*from the front"):
        find_face(np.full((200, 320, 3), 60, np.uint8), None, detector, mesh)


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 900, 3), (16, 16, 3)])
def test_degenerate_pictures_hold_no_face(detector, mesh, shape):
    with pytest.raises(FaceError, match="no face found"):
        find_face(np.zeros(shape, np.uint8), None, detector, mesh)


def test_tiny_face_says_its_size(portrait, detector, mesh):
    with pytest.raises(FaceError, match=rf"only \d\d px high.*{MIN_FACE_PX} px"):
        find_face(smaller(portrait, 150), None, detector, mesh)
