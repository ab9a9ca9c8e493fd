"""The keypoints of a whole driver, remembered in few large blocks.

Tens of thousands of small arrays would be enough to keep the memory of the video's frames, which
lie between them, from being used again: the process would grow with the length of the video.

Shapes: B frames at a time, K keypoints, M numbers of one keypoint: 6, or 12 in three dimensions.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import Float

from fnevr.face3d.performance import Performance
from fnevr.geometry.driving import Driving
from fnevr.geometry.keypoints import Keypoints

FRAMES_PER_BLOCK = 1024


T = TypeVar("T")
M = TypeVar("M", Keypoints, Performance, Driving)


@dataclass(frozen=True)
class DrivingBatch(Generic[M]):
    """What the driver does in consecutive frames: what drives the model, or a performance.

    Attributes:
        motions: one entry per frame; one motion for all faces of the source, or one for each.
        times: when each frame is shown, in seconds after the first.
    """

    motions: tuple[M, ...]
    times: tuple[Fraction, ...]

    def of(self, face: int) -> M:
        """Return the motion for one face of the source."""
        return self.motions[face if len(self.motions) > 1 else 0]


def in_batches(items: Iterable[T], batch_size: int) -> Iterator[list[T]]:
    """Take items as they come, so many at a time; the last batch may be smaller."""
    remaining = iter(items)
    while batch := list(itertools.islice(remaining, batch_size)):
        yield batch


class KeypointLog:
    """The keypoints for one face of all batches that were read so far, frame by frame.

    Args:
        face: whose motion of a batch is kept.
    """

    def __init__(self, face: int = 0) -> None:
        self._face = face
        self._blocks: list[Float[np.ndarray, "{FRAMES_PER_BLOCK} K M"]] = []
        self._times: list[Fraction] = []
        self._batch_size = 1
        self._num_dims = 2

    def __len__(self) -> int:
        return len(self._times)

    def append(self, batch: DrivingBatch[Keypoints]) -> None:
        """Copy a batch to the end."""
        motion = batch.of(self._face)
        self._num_dims = motion.positions.shape[-1]
        jacobians = motion.jacobians.reshape(*motion.positions.shape[:2], -1)
        values = np.concatenate([motion.positions, jacobians], axis=-1)
        self._batch_size = max(self._batch_size, len(values))
        for frame, time in zip(values, batch.times, strict=True):
            block, row = divmod(len(self), FRAMES_PER_BLOCK)
            if row == 0:
                self._blocks.append(np.empty((FRAMES_PER_BLOCK, *frame.shape), np.float32))
            self._blocks[block][row] = frame
            self._times.append(time)

    def frame(self, index: int) -> Keypoints:
        """Return the keypoints of one frame, batch 1."""
        return self._keypoints(index, index + 1)

    def positions(self) -> Iterator[Float[np.ndarray, "K 2"]]:
        """Yield where in the picture the keypoints are, frame by frame."""
        for index in range(len(self)):
            yield self._values(index)[:, :2]

    def batches(self) -> Iterator[DrivingBatch[Keypoints]]:
        """Yield all frames again, as many at a time as they came in."""
        for start in range(0, len(self), self._batch_size):
            stop = min(start + self._batch_size, len(self))
            yield DrivingBatch((self._keypoints(start, stop),), tuple(self._times[start:stop]))

    def _values(self, index: int) -> Float[np.ndarray, "K M"]:
        block, row = divmod(index, FRAMES_PER_BLOCK)
        return self._blocks[block][row]

    def _keypoints(self, start: int, stop: int) -> Keypoints:
        values = np.stack([self._values(index) for index in range(start, stop)])
        sides = (self._num_dims, self._num_dims)
        jacobians = values[..., self._num_dims :].reshape(*values.shape[:2], *sides)
        return Keypoints(values[..., : self._num_dims], jacobians)
