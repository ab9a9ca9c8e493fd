from __future__ import annotations

import numpy as np
import pytest
from support.media_clips import make_video
from support.raw_videos import talking_frames

from fnevr.data.sources import Span
from fnevr.data.tracking import is_in, track_spans
from fnevr.media.cuts import CutDetector
from fnevr.media.video import open_video


def cuts(frames):
    detector = CutDetector()
    return [index for index, frame in enumerate(frames) if detector.update(frame)]


def scene(seed, count, shift=3):
    """A picture of blocks that moves to the right."""
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (12, 20, 3), np.uint8).repeat(20, axis=0).repeat(20, axis=1)
    return [np.roll(picture, shift * i, axis=1) for i in range(count)]


def test_cuts_are_where_the_scenes_change():
    assert cuts([*scene(0, 10), *scene(1, 10), *scene(2, 5)]) == [10, 20]


def test_motion_and_slow_changes_of_light_are_no_cuts():
    assert cuts(scene(0, 30, shift=5)) == []
    darker = [frame * (1 - 0.02 * i) for i, frame in enumerate(scene(0, 25))]
    assert cuts([frame.astype(np.uint8) for frame in darker]) == []


def test_frame_of_another_size_is_no_cut_by_itself():
    assert cuts([np.zeros((40, 40, 3), np.uint8), np.full((60, 90, 3), 255, np.uint8)]) == []


@pytest.fixture(scope="module")
def two_faces(tmp_path_factory):
    """The portrait twice, side by side, the right one at half its height below."""
    left = talking_frames(6, step=0)
    frames = [np.concatenate((rgb, np.roll(rgb[:, ::-1], 8, axis=0)), axis=1) for rgb in left]
    path = tmp_path_factory.mktemp("two") / "two.mp4"
    return make_video(path, frames, options={"crf": "10", "preset": "ultrafast"})


@pytest.mark.parametrize(("left", "right"), [(0.0, 0.5), (0.5, 1.0)])
def test_listed_boxes_say_which_face_is_meant(two_faces, left, right):
    boxes = np.array([[left, 0.0, right, 1.0]])
    span = Span("a", "ann", 0.04, 0.16, np.array([0.0]), boxes)
    with open_video(two_faces) as video:
        (track,) = track_spans(video, [span])
    assert track.first == 1
    np.testing.assert_allclose(track.times_s, [0.04, 0.08, 0.12])
    assert track.is_found.all()
    middle = track.landmarks_px.mean(axis=(0, 1))[0] / track.width
    assert left < middle < right


def test_spans_share_one_pass(two_faces):
    spans = [Span("a", "ann"), Span("b", "bob", 5.0, 6.0)]
    with open_video(two_faces) as video:
        whole, empty = track_spans(video, spans)
    assert len(whole.times_s) == 6
    assert len(empty.times_s) == 0
    assert empty.landmarks_px.shape == (0, 478, 2)


def test_no_face_is_not_a_number(tmp_path):
    path = make_video(tmp_path / "gray.mp4", num_frames=3)
    with open_video(path) as video:
        (track,) = track_spans(video, [Span("a", "ann")])
    assert not track.is_found.any()
    assert np.isnan(track.landmarks_px).all()


def test_middle_of_the_face_counts():
    face = np.zeros((478, 3), np.float32)
    face[:468, 0] = np.linspace(100, 200, 468)
    face[:468, 1] = np.linspace(50, 90, 468)
    assert is_in(face, (90.0, 40.0, 210.0, 100.0))
    assert is_in(face, (151.0, 40.0, 210.0, 100.0))
    assert not is_in(face, (190.0, 40.0, 210.0, 100.0))
