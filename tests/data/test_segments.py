from __future__ import annotations

import numpy as np
import pytest
from support.face_tracks import make_track, still

from fnevr.data.segments import (
    CUT_OFF,
    TOO_FEW,
    TOO_SHORT,
    TOO_SMALL,
    Segment,
    clip_seconds,
    divide_run,
    face_boxes,
    face_motion,
    place_square,
    plan_clips,
)
from fnevr.data.settings import PrepareSettings
from fnevr.faces.crop import SIDE_PER_FACE, crop_box

SETTINGS = PrepareSettings(min_seconds=0.4, max_seconds=4.0, min_frames=8)


def stretches(track, settings=SETTINGS):
    segments, rejected = plan_clips(track, settings)
    return [(segment.start, segment.stop) for segment in segments], dict(rejected)


def test_still_face_is_one_clip_framed_as_crop_box_does():
    track = make_track(still(50))
    (segment,), rejected = plan_clips(track, SETTINGS)
    assert (segment.start, segment.stop) == (0, 50)
    assert not rejected
    assert segment.face_px == pytest.approx(100)
    assert segment.motion == pytest.approx(0, abs=1e-6)
    depth = np.zeros((478, 1), np.float32)
    wanted = crop_box(np.concatenate((track.landmarks_px[0], depth), axis=1))
    assert segment.box.size == pytest.approx(wanted.size)
    np.testing.assert_allclose(segment.box.centre, wanted.centre, atol=1e-3)


def test_lost_face_cut_and_jump_end_a_clip():
    assert stretches(make_track(still(40), lost=(15, 16))) == ([(0, 15), (17, 40)], {})
    assert stretches(make_track(still(40), cuts=(0, 18))) == ([(0, 18), (18, 40)], {})
    jump = still(40)
    jump[22:] += 60
    assert stretches(make_track(jump)) == ([(0, 22), (22, 40)], {})
    sizes = np.where(np.arange(40) < 20, 100, 140)
    assert stretches(make_track(still(40), sizes)) == ([(0, 20), (20, 40)], {})


def test_face_that_walks_out_of_the_square_starts_another_clip():
    walk = still(60) + np.arange(60)[:, None] * [3.0, 0.0] - [90, 0]
    found, rejected = stretches(make_track(walk))
    assert not rejected
    assert found[0][0] == 0
    assert found[-1][1] == 60
    assert len(found) >= 2
    segments, _ = plan_clips(make_track(walk), SETTINGS)
    boxes = face_boxes(make_track(walk))
    for segment in segments:
        faces = boxes[segment.start : segment.stop]
        corner = [segment.box.left, segment.box.top]
        assert (faces[:, :2] >= np.subtract(corner, 0.02 * segment.box.size)).all()
        assert (faces[:, 2:] <= np.add(corner, 1.02 * segment.box.size)).all()


def test_face_that_comes_nearer_starts_another_clip():
    found, _ = stretches(make_track(still(60), np.linspace(100, 200, 60)))
    assert len(found) >= 2
    assert found[0][0] == 0
    assert found[-1][1] == 60


def test_long_shots_are_divided_into_equal_parts():
    track = make_track(still(225))  # nine seconds, at most four each
    parts = divide_run(face_boxes(track), track.times_s, 0, 225, 4.0)
    lengths = [stop - start for start, stop in parts]
    assert len(parts) == 3
    assert max(lengths) - min(lengths) <= 3
    assert max(lengths) <= 101
    assert parts[0][0] == 0
    assert parts[-1][1] == 225


@pytest.mark.parametrize(
    ("track", "reason"),
    [
        (make_track(still(9)), TOO_SHORT),
        (make_track(still(6), rate=5), TOO_FEW),
        (make_track(still(30), sizes=60), TOO_SMALL),
        (make_track(still(30), sizes=400), CUT_OFF),
        (make_track(still(30) - [300, 0]), CUT_OFF),
    ],
)
def test_what_is_left_out_has_a_reason(track, reason):
    assert stretches(track) == ([], {reason: 1})


def test_square_stays_in_the_picture():
    faces = np.tile([20.0, 10.0, 120.0, 110.0], (5, 1))
    box = place_square(faces, 640, 480)
    assert box is not None
    assert (box.left, box.top) == (0, 0)
    assert box.size == pytest.approx(100 * SIDE_PER_FACE)
    low = place_square(np.tile([520.0, 370.0, 620.0, 470.0], (5, 1)), 640, 480)
    assert low is not None
    assert low.left + low.size == pytest.approx(640)
    assert low.top + low.size == pytest.approx(480)


def test_square_shrinks_a_little_to_fit():
    box = place_square(np.tile([100.0, 30.0, 200.0, 130.0], (5, 1)), 640, 160)
    assert box is not None
    assert (box.top, box.size) == (0, 160)


def test_motion_is_in_face_heights():
    boxes = np.array([[0.0, 0, 100, 200], [20, 0, 120, 200]])
    assert face_motion(boxes) == pytest.approx(10 / 200)


def test_last_frame_lasts_as_long_as_the_others():
    assert clip_seconds(np.arange(25) / 25) == pytest.approx(1.0)
    assert clip_seconds(np.array([3.0])) == 0.0


def test_segments_are_what_they_say():
    (segment,), _ = plan_clips(make_track(still(30)), SETTINGS)
    assert isinstance(segment, Segment)
    assert segment.box.size == pytest.approx(169, abs=0.1)
