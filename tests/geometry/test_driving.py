from __future__ import annotations

import numpy as np
import torch

from fnevr.geometry.driving import Coefficients, Landmarks68, on_device
from fnevr.geometry.keypoints import Keypoints


def test_windows_repeat_the_first_and_the_last_frame():
    frames = np.arange(5, dtype=np.float32)[:, None] + np.zeros((1, 73), np.float32)
    windows = Coefficients.of_frames(frames).windows
    assert windows.shape == (5, 73, 27)
    assert windows[2, 0].tolist() == [0.0] * 12 + [1, 2, 3] + [4.0] * 12
    assert Coefficients.of_frames(frames[:1]).windows[0, 7].tolist() == [0.0] * 27


def test_a_still_clip_differs_from_a_moving_one_where_it_moves():
    frames = np.zeros((40, 73), np.float32)
    frames[20, 5] = 1
    found = Coefficients.of_frames(frames).windows
    assert np.flatnonzero(found.any(axis=(1, 2))).tolist() == list(range(7, 34))
    assert [found[20, 5, t] for t in (12, 13, 14)] == [0, 1, 0]


def test_neutral_is_of_the_kind_it_is_asked_for():
    for like in (np.zeros(1, np.float32), torch.zeros(1), torch.zeros(1, device="meta")):
        neutral = Coefficients.neutral(like)
        assert neutral.windows.shape == (1, 73, 27)
        assert type(neutral.windows) is type(like)
    assert Coefficients.neutral(np.zeros(1)).windows[0, [66, 69, 70], 13].tolist() == [0, 0.45, 1]


def test_what_drives_goes_over_to_tensors_whole():
    driving = (
        Keypoints(np.ones((2, 3, 2)), np.ones((2, 3, 2, 2))),
        Coefficients(np.ones((2, 73, 27))),
        Landmarks68(np.ones((2, 68, 2))),
    )
    for own in driving:
        moved = on_device(own, torch.from_numpy)
        assert type(moved) is type(own)
        assert len(moved) == 2
        again = moved[:1].numpy()
        for name, array in vars(own).items():
            np.testing.assert_array_equal(getattr(again, name), array[:1])
