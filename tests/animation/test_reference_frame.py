"""Reading no further than needed, and keeping time when the face is not seen."""

from fractions import Fraction

import numpy as np
import pytest
from support.gray_model import SQUARE

from fnevr.animation.driver import keypoints_alone
from fnevr.animation.face_crops import face_crops
from fnevr.animation.keypoint_log import DrivingBatch
from fnevr.animation.motions import video_batches
from fnevr.animation.reference_frame import choose_reference
from fnevr.config.presets import asset
from fnevr.errors import FaceError, MediaError
from fnevr.geometry.keypoints import Keypoints
from fnevr.media.image import read_image
from fnevr.media.reader import VideoFrame
from fnevr.media.resize import resize


def keypoints(*shapes):
    positions = np.stack([np.asarray(shape, np.float32) for shape in shapes])
    identity = np.eye(2, dtype=np.float32)
    return Keypoints(positions, np.broadcast_to(identity, (*positions.shape[:2], 2, 2)))


def batches(shapes, size, read):
    """Yield batches, and note in ``read`` how many frames were asked for."""
    for start in range(0, len(shapes), size):
        part = shapes[start : start + size]
        read.append(len(part))
        times = tuple(Fraction(start + i) for i in range(len(part)))
        yield DrivingBatch((keypoints(*part),), times)


def stretched(factor):
    return SQUARE.numpy() * np.array([factor, 1.0], np.float32)


SHAPES = [stretched(factor) for factor in (3.0, 2.0, 1.5, 1.1, 2.5)]


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize(
    ("choice", "index", "num_read"), [("auto", 3, 5), ("first", 0, 1), (2, 2, 3)]
)
def test_the_reference_is_chosen_and_no_frame_is_lost(size, choice, index, num_read):
    read: list[int] = []
    reference = choose_reference(batches(SHAPES, size, read), [keypoints(SQUARE)], choice)
    assert reference.index == index
    assert num_read <= sum(read) < num_read + size
    np.testing.assert_allclose(reference.keypoints[0].positions[0], SHAPES[index])
    rest = list(reference.batches)
    np.testing.assert_allclose(
        np.concatenate([batch.of(0).positions for batch in rest]), np.stack(SHAPES)
    )
    assert [time for batch in rest for time in batch.times] == list(range(5))


@pytest.mark.parametrize(
    ("choice", "words"),
    [(5, "the driver has 5"), (10**9, "the driver has 5"), (-1, "frames count from 0")],
)
def test_a_frame_that_does_not_exist(choice, words):
    with pytest.raises(MediaError, match=f"there is no frame {choice}: {words}"):
        choose_reference(batches(SHAPES, 2, []), [keypoints(SQUARE)], choice)


def test_batches_keep_order_times_and_the_rest():
    frames = [VideoFrame(np.full((4, 4, 3), i, np.uint8), Fraction(i, 25)) for i in range(5)]

    def find(pictures):
        return (keypoints(*[SQUARE + float(picture[0, 0, 0]) for picture in pictures]),)

    found = list(keypoints_alone(video_batches(frames, find, 2)))
    assert [len(batch.times) for batch in found] == [2, 2, 1]
    assert found[2].times == (Fraction(4, 25),)
    np.testing.assert_allclose(found[2].of(0).positions[0], SQUARE + 4)


def test_resize_leaves_the_right_size_alone():
    picture = np.zeros((8, 6, 3), np.uint8)
    assert resize(picture, 6, 8) is picture
    assert resize(picture, 3, 2).shape == (2, 3, 3)


@pytest.fixture(scope="module")
def portrait():
    return read_image(asset("portrait.jpg"))


def timed(pictures):
    return [VideoFrame(picture, Fraction(i, 25)) for i, picture in enumerate(pictures)]


def test_a_face_that_comes_late_or_hides_keeps_the_times(portrait):
    nothing = np.zeros_like(portrait)
    video = timed([nothing, nothing, portrait, nothing, portrait])
    crops = list(face_crops(video, 64))
    assert [crop.time for crop in crops] == [frame.time for frame in video]
    assert all(crop.rgb.shape == (64, 64, 3) for crop in crops)
    np.testing.assert_array_equal(crops[0].rgb, crops[2].rgb)
    np.testing.assert_array_equal(crops[3].rgb, crops[2].rgb)  # where the face is hidden
    assert np.abs(crops[4].rgb.astype(int) - crops[2].rgb).mean() < 5


def test_no_face_at_all(portrait):
    with pytest.raises(FaceError, match="3 frames"):
        list(face_crops(timed([np.zeros_like(portrait)] * 3), 64))
