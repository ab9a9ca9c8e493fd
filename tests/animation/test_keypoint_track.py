from fractions import Fraction

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from fnevr.animation.keypoint_track import (
    KeypointTrack,
    load_track,
    record_track,
    save_track,
)
from fnevr.errors import MediaError
from fnevr.face3d.performance import Performance
from fnevr.geometry.keypoints import Keypoints

GOOD = {"format": "fnevr-motion-1", "frame_rate": "25", "model": "tiny"}


def some_keypoints(frames, num=5):
    rng = np.random.default_rng(frames)
    return Keypoints(
        rng.standard_normal((frames, num, 2), np.float32),
        rng.standard_normal((frames, num, 2, 2), np.float32),
    )


def test_a_track_is_read_as_it_was_written(tmp_path):
    track = KeypointTrack(some_keypoints(7), Fraction(30000, 1001), "tiny")
    save_track(tmp_path / "m.safetensors", track)
    back = load_track(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(back.keypoints.positions, track.keypoints.positions)
    np.testing.assert_array_equal(back.keypoints.jacobians, track.keypoints.jacobians)
    assert (back.frame_rate, back.model, len(back)) == (Fraction(30000, 1001), "tiny", 7)


@pytest.mark.parametrize("rate", [29.97, 23.976, 25.0, 1 / 3, Fraction(10**20 + 1, 10**19)])
def test_any_rate_is_kept_as_a_small_fraction(tmp_path, rate):
    save_track(tmp_path / "m.safetensors", KeypointTrack(some_keypoints(1), Fraction(rate), "tiny"))
    back = load_track(tmp_path / "m.safetensors").frame_rate
    assert back.denominator < 2**31
    assert float(back) == pytest.approx(float(rate), rel=1e-6)


def test_recording_joins_frames():
    frames = [(some_keypoints(2), None), (some_keypoints(3), None)]
    track = record_track(iter(frames), lambda: Fraction(25), "tiny")
    assert len(track) == 5
    assert track.performance is None
    np.testing.assert_array_equal(track.keypoints.positions[2:], some_keypoints(3).positions)
    with pytest.raises(MediaError, match="no frame"):
        record_track(iter([]), lambda: Fraction(25), "tiny")


def some_performance(frames):
    rng = np.random.default_rng(frames)
    widths = {**Performance.WIDTHS, "expressions": 51}
    return Performance(
        **{
            name: rng.standard_normal((frames, width)).astype(np.float32)
            for name, width in widths.items()
        }
    )


def test_what_the_face_does_comes_back(tmp_path):
    frames = [(some_keypoints(2), some_performance(2)), (some_keypoints(3), some_performance(3))]
    track = record_track(iter(frames), lambda: Fraction(25), "tiny")
    save_track(tmp_path / "a.safetensors", track)
    back = load_track(tmp_path / "a.safetensors").performance
    assert back is not None
    assert len(back) == 5
    for name, values in back.arrays().items():
        np.testing.assert_array_equal(values[2:], some_performance(3).arrays()[name])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"lips": None}, "lacks lips"),
        ({"expressions": torch.zeros(4, 50)}, r"holds expressions \(4, 50\)"),
        ({"rotations": torch.zeros(5, 3)}, r"wanted floats \(4, 3\)"),
        ({"eyes": torch.zeros(4, 2, dtype=torch.int32)}, "eyes .* of int32"),
        ({"zooms": torch.full((4, 1), float("nan"))}, "zooms that no face has"),
        ({"shifts": torch.full((4, 2), 1e300, dtype=torch.float64)}, "shifts that no face has"),
    ],
)
def test_damaged_performances_are_refused(tmp_path, changed, message):
    values = {name: torch.from_numpy(a) for name, a in some_performance(4).arrays().items()}
    path = tmp_path / "bad.safetensors"
    write(path, {**GOOD, "format": "fnevr-motion-2"}, **{**values, **changed})
    with pytest.raises(MediaError, match=message):
        load_track(path)


def write(path, metadata=GOOD, **changed):
    tensors = {"positions": torch.zeros(4, 5, 2), "jacobians": torch.eye(2).repeat(4, 5, 1, 1)}
    save_file({k: v for k, v in {**tensors, **changed}.items() if v is not None}, path, metadata)


def one_bad_frame(jacobian):
    jacobians = torch.eye(2).repeat(4, 5, 1, 1)
    jacobians[2, 3] = jacobian
    return jacobians


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"positions": None}, "missing: positions"),
        ({"metadata": {}}, "missing: the mark 'fnevr-motion-1'"),
        ({"metadata": {**GOOD, "frame_rate": "0"}}, "frame rate '0'"),
        ({"metadata": {**GOOD, "frame_rate": "1/0"}}, "frame rate '1/0'"),
        ({"metadata": {**GOOD, "frame_rate": "fast"}}, "frame rate 'fast'"),
        ({"metadata": {**GOOD, "frame_rate": "1e999999999"}}, "frame rate '1e9"),
        ({"metadata": {**GOOD, "frame_rate": "25/1e-999999999"}}, "frame rate '25"),
        ({"metadata": {**GOOD, "frame_rate": "9" * 5000}}, "frame rate '99"),
        ({"metadata": {**GOOD, "frame_rate": "1001"}}, "frame rate '1001'"),
        ({"positions": torch.zeros(4, 6, 2)}, r"positions \(4, 6, 2\)"),
        ({"positions": torch.zeros(3, 5, 2)}, r"positions \(3, 5, 2\)"),
        ({"positions": torch.zeros(())}, r"positions \(\)"),
        ({"positions": torch.full((4, 5, 2), torch.nan)}, "not finite"),
        ({"positions": torch.full((4, 5, 2), 1e39, dtype=torch.float64)}, "not finite"),
        ({"positions": torch.full((4, 5, 2), -17.0)}, "positions up to 17"),
        ({"jacobians": torch.zeros(4, 5, 2, 2)}, "cannot be inverted.*frame 0"),
        ({"jacobians": torch.ones(4, 5, 2, 2)}, "cannot be inverted"),
        ({"jacobians": one_bad_frame(torch.tensor([[1e-4, 0.0], [0.0, 1e-4]]))}, "frame 2"),
        ({"jacobians": one_bad_frame(torch.tensor([[1.0, 1e30], [0.0, 1.0]]))}, "up to 1e"),
        ({"jacobians": torch.eye(2).repeat(4, 5, 1, 1).double() * 1e60}, "not finite"),
        ({"positions": torch.zeros(0, 5, 2), "jacobians": torch.zeros(0, 5, 2, 2)}, "0 frames"),
        ({"positions": torch.zeros(4, 5, 2, dtype=torch.int64)}, "int64"),
        ({"positions": torch.zeros(4, 5, 2, dtype=torch.float8_e4m3fn)}, "m.safetensors"),
        ({"positions": torch.zeros(4, 5, 2, dtype=torch.bfloat16)}, "m.safetensors"),
    ],
)
def test_a_track_that_cannot_move_a_face_says_why(tmp_path, arguments, message):
    path = tmp_path / "m.safetensors"
    write(path, **arguments)
    with pytest.raises(MediaError, match=message):
        load_track(path)


@pytest.mark.parametrize("content", [b"", b"\x00" * 4, b"\xff" * 64, b"hello world, not a track"])
def test_a_damaged_file_is_one_clear_error(tmp_path, content):
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with pytest.raises(MediaError, match=r"m\.safetensors"):
        load_track(path)


def test_a_truncated_file_is_one_clear_error(tmp_path):
    path = tmp_path / "m.safetensors"
    write(path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(MediaError, match="damaged"):
        load_track(path)


@pytest.mark.parametrize("value", [0.0, 1e30, np.nan])
def test_a_track_that_could_not_be_read_is_not_written(tmp_path, value):
    keypoints = some_keypoints(3)
    keypoints.jacobians[1] = value
    with pytest.raises(MediaError, match="cannot write"):
        save_track(tmp_path / "m.safetensors", KeypointTrack(keypoints, Fraction(25), "tiny"))
    assert list(tmp_path.iterdir()) == []


def test_missing_file_and_wrong_name(tmp_path):
    with pytest.raises(MediaError, match="no such file"):
        load_track(tmp_path / "m.safetensors")
    with pytest.raises(MediaError, match="must end in"):
        save_track(tmp_path / "m.mp4", KeypointTrack(some_keypoints(1), Fraction(25), "tiny"))
    assert list(tmp_path.iterdir()) == []
