"""A turn of the head by angles: by the pose editor of a model, or of a head whose pose is known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fnevr.errors import FnevrError
from fnevr.face3d.face_fit import Similarity
from fnevr.face3d.performance import NECK
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.rotations import rotation_matrices
from fnevr.runtime.engine import Turn

Axis = Literal["yaw", "pitch", "roll"]
AXES: tuple[Axis, ...] = ("yaw", "pitch", "roll")
REACH_DEG = {"yaw": 30.0, "pitch": 20.0, "roll": 20.0}  # as far as the outputs were measured
LIMIT_DEG = 80.0
DRAWN = {"yaw": 0.97, "pitch": 0.94, "roll": 0.98}  # how far drawn heads follow that are posed
SIGNS = np.array([-1.0, -1.0, 1.0])  # of pitch, yaw and roll about the axes x, y and z of a picture


@dataclass(frozen=True)
class HeadTurn:
    """Angles to add to a head's pose, in degrees.

    Attributes:
        yaw: positive: the head turns to the viewer's right.
        pitch: positive: up.
        roll: positive: clockwise as seen.

    Raises:
        FnevrError: if an angle is not a number within 80 degrees.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0

    def __post_init__(self) -> None:
        for axis in AXES:
            angle = getattr(self, axis)
            if not (math.isfinite(angle) and abs(angle) <= LIMIT_DEG):
                raise FnevrError(
                    f"the {axis} is {angle:g} degrees: wanted -{LIMIT_DEG:g} to {LIMIT_DEG:g}",
                    argument=f"{axis}_deg",
                )

    @property
    def is_none(self) -> bool:
        """Whether the head stays as it is."""
        return self == HeadTurn()

    def warnings(self) -> list[str]:
        """Say which angles are beyond what was measured."""
        return [
            f"{axis} {getattr(self, axis):g}: turned by more than {reach:g} degrees, the face "
            "falls behind the angle and is distorted"
            for axis, reach in REACH_DEG.items()
            if abs(getattr(self, axis)) > reach
        ]

    def apply(self, turn: Turn, keypoints: Keypoints) -> Keypoints:
        """Return the keypoints of the heads, turned by these angles."""
        angles = np.array([[self.yaw, self.pitch, self.roll]], np.float32)
        return turn(keypoints, angles.repeat(len(keypoints), axis=0))

    def place(self, head: Similarity) -> Similarity:
        """Return where a head is when it is turned about its neck.

        It is turned by as much more as drawn heads turn less (`DRAWN`).

        Args:
            head: where it was.
        """
        asked = [getattr(self, axis) / DRAWN[axis] for axis in ("pitch", "yaw", "roll")]
        turn = rotation_matrices(np.radians(asked) * SIGNS) @ head.rotation
        return Similarity(head.scale, turn, head(NECK) - head.scale * turn @ NECK)
