import numpy as np
import pytest

from fnevr.face3d.face_fit import FaceBasis, Similarity
from fnevr.face3d.performance import (
    EYE_CORNERS,
    FADE_S,
    GAZE_DOWN,
    IRISES,
    NECK,
    OneEuro,
    Performance,
    PerformanceReader,
    eye_openings,
    lip_gap,
)
from fnevr.faces.expression import EYES
from fnevr.geometry.rotations import rotation_matrices

BASIS, FRAME_S = FaceBasis.packaged(), 0.04


def face(expression=None, turn=(0.0, 0.0, 0.0), scale=150.0, shift=(128.0, 128.0)):
    """Landmarks of the mean face; the shift is that of the neck."""
    shape = BASIS.template + (0 if expression is None else BASIS.expression_basis @ expression)
    rotation = rotation_matrices(np.array(turn))
    origin = np.array([*shift, 0.0]) - scale * rotation @ NECK
    return Similarity(scale, rotation, origin)(shape)


def jaw(opening):
    return np.array([opening, *np.zeros(BASIS.num_expression - 1)])


def read(frames, smooth=False):
    reader = PerformanceReader(smooth=smooth)
    return [reader.update(frame, FRAME_S) for frame in frames]


def test_a_face_that_rests_does_nothing():
    last = read([face()] * 5)[-1]
    np.testing.assert_allclose(last.rotations, 0, atol=1e-9)
    np.testing.assert_allclose(last.shifts, 0, atol=1e-9)
    np.testing.assert_allclose(last.expressions, 0, atol=1e-9)


def test_how_far_eyes_are_open_as_usual_is_learnt():
    """Before it has seen a person it believes what most people's eyes are like."""
    frames = read([face()] * 300)
    usual = eye_openings(BASIS.template).mean()
    believed = (usual + 2 * 0.3) / 3
    assert frames[0].eyes.mean() == pytest.approx((usual - 0.08) / (believed - 0.08), abs=0.01)
    np.testing.assert_allclose(frames[-1].eyes, 1, atol=0.02)
    assert np.abs(np.diff([frame.eyes.mean() for frame in frames])).max() < 0.005


def test_turns_are_measured_from_a_face_that_looks_into_the_camera():
    (first,) = read([face(turn=(0.1, -0.2, 0.05))])
    np.testing.assert_allclose(first.rotations[0], [0.1, -0.2, 0.05], atol=1e-6)


def test_turning_about_the_neck_is_no_shift():
    last = read([face(), face(turn=(0.0, 0.4, 0.1))])[-1]
    np.testing.assert_allclose(last.shifts, 0, atol=1e-6)


def test_shift_and_size_are_measured_from_where_the_head_was():
    frames = [face()] * 100 + [face(scale=160.0, shift=(128.0 + 15.0, 128.0 - 7.5))]
    last = read(frames)[-1]
    np.testing.assert_allclose(last.shifts[0], [0.1, -0.05], atol=0.01)
    np.testing.assert_allclose(last.zooms[0], np.log(160 / 150), atol=0.01)


def test_a_head_that_walks_away_stays_within_reach():
    walking = [face(shift=(128.0 + 12.0 * frame, 128.0)) for frame in range(200)]
    farthest = max(np.hypot(*frame.shifts[0]) for frame in read(walking))
    assert farthest == pytest.approx(0.25)


def test_the_lips_gap_is_in_face_heights():
    for opening in (0.5, 1.0, 2.0):
        shape = BASIS.template + BASIS.expression_basis @ jaw(opening)
        (first,) = read([face(jaw(opening))])
        assert first.lips[0, 0] == pytest.approx(lip_gap(shape) - 0.006, abs=2e-3)


def test_eyes_are_shares_of_the_persons_own_range():
    # The coefficients that move the lids most, and nothing else.
    step = 1e-4
    slopes = [
        eye_openings(BASIS.template + step * BASIS.expression_basis[..., k]).mean()
        - eye_openings(BASIS.template).mean()
        for k in range(BASIS.num_expression)
    ]
    direction = np.array(slopes) / step
    direction /= direction @ direction
    usual = eye_openings(BASIS.template).mean()
    shut = direction * (0.08 - usual)
    frames = [face()] * 50 + [face(shut)] + [face()]
    *_, before, closed, after = read(frames)
    assert before.eyes.mean() == pytest.approx(1.0, abs=0.1)
    assert closed.eyes.mean() == pytest.approx(0.0, abs=0.15)
    assert after.eyes.mean() == pytest.approx(1.0, abs=0.1)


def looking(right, down):
    """A face whose irises are this far from where they usually are, in eye widths."""
    points = face()
    for corners, iris in zip(EYE_CORNERS, IRISES, strict=True):
        left, end = points[list(corners)]
        along = (end - left)[:2]
        offset = right * along + (down + GAZE_DOWN) * np.array([-along[1], along[0]])
        points[iris, :2] = (left + end)[:2] / 2 + offset
    return points


def test_the_gaze_is_in_eye_widths_and_its_height_from_the_usual_one():
    first, *_, last = read([looking(0.0, 0.0)] * 50 + [looking(0.07, 0.03)])
    np.testing.assert_allclose(first.gazes[0], 0, atol=1e-6)
    np.testing.assert_allclose(last.gazes[0], [0.07, 0.03], atol=2e-3)


def test_eyes_that_are_shut_keep_their_gaze():
    shut = looking(-0.1, 0.0)
    for points in EYES:
        shut[list(points), 1] = shut[list(points), 1].mean()
    held = read([looking(0.05, 0.0), shut])[-1]
    assert held.gazes[0, 0] == pytest.approx(0.05, abs=1e-6)


def test_before_the_first_face_there_is_nothing():
    assert read([None, face()])[0] is None


def test_a_lost_face_holds_its_pose_and_its_expression_fades():
    seen = face(jaw(1.5), turn=(0.0, 0.3, 0.0))
    frames = read([seen] * 3 + [None] * round(FADE_S / FRAME_S))
    np.testing.assert_array_equal(frames[-1].rotations, frames[2].rotations)
    share = np.linalg.norm(frames[-1].expressions) / np.linalg.norm(frames[2].expressions)
    assert share == pytest.approx(np.exp(-1), abs=0.01)
    assert frames[-1].lips[0, 0] < 0.5 * frames[2].lips[0, 0]


def test_nothing_jumps_when_the_face_comes_back():
    turned = face(jaw(1.5), turn=(0.0, 0.6, 0.0))
    frames = read([face()] * 3 + [None] * 5 + [turned] * 20)
    yaws = np.array([frame.rotations[0, 1] for frame in frames])
    assert np.abs(np.diff(yaws)).max() < 0.3
    assert yaws[-1] == pytest.approx(0.6, abs=1e-3)


def test_smoothing_takes_trembling_out_and_does_not_lag():
    rng = np.random.default_rng(0)
    trembling = [face() + 0.4 * rng.standard_normal((478, 3)) for _ in range(60)]
    rough, smooth = (
        np.array([frame.rotations[0] for frame in read(trembling, smooth)])[20:]
        for smooth in (False, True)
    )
    assert np.diff(smooth, axis=0).std() < 0.6 * np.diff(rough, axis=0).std()
    nod = [face(turn=(0.25 * np.sin(2 * np.pi * 1.0 * t * FRAME_S), 0, 0)) for t in range(100)]
    still, moved = (
        np.array([frame.rotations[0, 0] for frame in read(nod, smooth)])[25:]
        for smooth in (False, True)
    )
    # As if it came later by at most half a frame.
    speed = np.gradient(still)
    lag = -((moved - still) * speed).sum() / (speed**2).sum()
    assert 0 <= lag < 0.5


def test_the_start_of_the_driver_does_not_matter():
    rng = np.random.default_rng(1)
    walk = 0.02 * rng.standard_normal((200, 3)).cumsum(axis=0) * 0.3
    smiles = np.abs(np.sin(np.arange(200) / 15))
    frames = [face(jaw(smile), turn=turn) for smile, turn in zip(smiles, walk, strict=True)]
    whole, late = read(frames), read(frames[40:])
    for name, bound in {"rotations": 0.01, "expressions": 0.15, "lips": 1e-3, "eyes": 0.1}.items():
        a, b = (np.array([getattr(f, name)[0] for f in x]) for x in (whole[60:], late[20:]))
        assert np.abs(a - b).mean() < bound, name


def test_one_euro_passes_a_constant():
    one_euro = OneEuro(noise=0.1)
    for _ in range(5):
        np.testing.assert_allclose(one_euro(np.array([2.0]), FRAME_S), 2.0)


def test_performances_are_cut_and_joined():
    parts = read([face(jaw(opening)) for opening in (0.0, 1.0, 2.0)])
    whole = Performance.concatenate(parts)
    assert len(whole) == 3
    np.testing.assert_array_equal(whole[1:2].lips, parts[1].lips)
