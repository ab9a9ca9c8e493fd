from fractions import Fraction

import numpy as np
import pytest

from fnevr.animation.keypoint_log import FRAMES_PER_BLOCK, DrivingBatch, KeypointLog
from fnevr.geometry.keypoints import Keypoints


@pytest.mark.parametrize("size", [1, 3, 7])
def test_what_went_in_comes_out_over_the_borders_of_blocks(size):
    num_frames = 2 * FRAMES_PER_BLOCK + 5
    rng = np.random.default_rng(0)
    whole = Keypoints(
        rng.standard_normal((num_frames, 4, 2), np.float32),
        rng.standard_normal((num_frames, 4, 2, 2), np.float32),
    )
    log = KeypointLog()
    for start in range(0, num_frames, size):
        part = whole[start : start + size]
        log.append(DrivingBatch((part,), tuple(Fraction(start + i, 25) for i in range(len(part)))))
    assert len(log) == num_frames

    batches = list(log.batches())
    back = Keypoints.concatenate([batch.of(0) for batch in batches])
    np.testing.assert_array_equal(back.positions, whole.positions)
    np.testing.assert_array_equal(back.jacobians, whole.jacobians)
    times = [time for batch in batches for time in batch.times]
    assert times == [Fraction(i, 25) for i in range(num_frames)]
    assert {len(batch.times) for batch in batches[:-1]} == {size}

    last = log.frame(FRAMES_PER_BLOCK)
    np.testing.assert_array_equal(last.jacobians[0], whole.jacobians[FRAMES_PER_BLOCK])
    np.testing.assert_array_equal(np.stack(list(log.positions())), whole.positions)


def test_an_empty_log():
    assert len(KeypointLog()) == 0
    assert list(KeypointLog().batches()) == []
