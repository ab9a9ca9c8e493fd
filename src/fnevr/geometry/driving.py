"""What drives a model: keypoints of its own, coefficients of a 3D face model, or face landmarks.

A model takes one of the three (`config.driven_by`), one entry per driving frame. Arrays are of
NumPy or of PyTorch.

Shapes: B frames, F = 73 coefficients, T = 27 frames of a window, 68 landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from fnevr.geometry.arrays import Array, as_numpy, namespace
from fnevr.geometry.keypoints import Keypoints

NUM_COEFFICIENTS, WINDOW = 73, 27
NUM_POINTS = 68
# Where the reference's estimator has a face that looks into the camera, and the crop's scale and
# shift that it finds on a VoxCeleb picture of 256 pixels.
NEUTRAL_PLACE, NEUTRAL_CROP = (0.0, 0.0, 0.45), (1.0, 128.0, 128.0)


@dataclass(frozen=True)
class Coefficients:
    """Windows of 3DMM coefficients: the frame in the middle, 13 before it and 13 after.

    Rows are 64 of expression, pitch, yaw and roll in radians, the translation (at rest 0, 0, 0.45),
    and the crop: scale and two shifts in pixels, as Deep3DFaceRecon's alignment has them.

    Attributes:
        windows: time along the last axis.
    """

    windows: Float[Array, "B 73 27"]

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, frames: slice) -> Coefficients:
        return Coefficients(self.windows[frames])

    def numpy(self) -> Coefficients:
        """Return the windows as float32 arrays of NumPy."""
        return Coefficients(as_numpy(self.windows).astype(np.float32, copy=False))

    @classmethod
    def neutral(cls, like: Array) -> Coefficients:
        """Return the window of a face at rest that looks into the camera, in arrays of a kind."""
        frame = [0.0] * 67 + [*NEUTRAL_PLACE, *NEUTRAL_CROP]
        xp = namespace(like)
        windows = xp.asarray([[[value] * WINDOW for value in frame]], dtype=like.dtype)
        return cls(windows if isinstance(windows, np.ndarray) else windows.to(like.device))

    @classmethod
    def of_frames(cls, frames: Float[np.ndarray, "B 73"]) -> Coefficients:
        """Take windows out of a clip; before its first and after its last frame, that repeats."""
        reach = np.arange(WINDOW) - WINDOW // 2
        index = np.clip(np.arange(len(frames))[:, None] + reach, 0, len(frames) - 1)
        return cls(np.moveaxis(frames[index], 1, 2).astype(np.float32))


@dataclass(frozen=True)
class Landmarks68:
    """The 68 landmarks of iBUG's order.

    Attributes:
        points: in [-1, 1], x first, y down; -1 and 1 are the picture's edges.
    """

    points: Float[Array, "B 68 2"]

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, frames: slice) -> Landmarks68:
        return Landmarks68(self.points[frames])

    def numpy(self) -> Landmarks68:
        """Return the points as float32 arrays of NumPy."""
        return Landmarks68(as_numpy(self.points).astype(np.float32, copy=False))


Driving = Keypoints | Coefficients | Landmarks68
"""What a model is driven by; which of them, its config says (`driven_by`)."""


def on_device(driving: Driving, tensor: Any) -> Driving:
    """Return what drives a model with each array turned into a tensor by a function."""
    if isinstance(driving, Keypoints):
        return Keypoints(tensor(driving.positions), tensor(driving.jacobians))
    if isinstance(driving, Coefficients):
        return Coefficients(tensor(driving.windows))
    return Landmarks68(tensor(driving.points))
