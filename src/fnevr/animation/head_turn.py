"""A turn of the head by angles, by the pose editor of a model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from fnevr.errors import FnevrError
from fnevr.face3d.face_fit import Similarity
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.rotations import rotation_matrices
from fnevr.runtime.engine import Turn

Axis = Literal["yaw", "pitch", "roll"]
AXES: tuple[Axis, ...] = ("yaw", "pitch", "roll")
REACH_DEG = {"yaw": 30.0, "pitch": 20.0, "roll": 20.0}  # as far as the outputs were measured
LIMIT_DEG = 80.0


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


@dataclass(frozen=True)
class Turning:
    """A turn and what turns keypoints.

    Attributes:
        angles: of the turn.
        editor: the engine's pose editor.
    """

    angles: HeadTurn
    editor: Turn

    def __call__(self, keypoints: Keypoints) -> Keypoints:
        """Return the keypoints of the heads, turned."""
        return self.angles.apply(self.editor, keypoints)

    def place(self, head: Similarity, went: Float[np.ndarray, " 2"]) -> Similarity:
        """Return where a head is when it is turned about its middle.

        Args:
            head: where it was.
            went: how far the keypoints say that the middle of the face went.
        """
        angles = self.angles
        turn = rotation_matrices(np.radians([-angles.pitch, -angles.yaw, angles.roll]))
        return Similarity(head.scale, turn @ head.rotation, head.shift + np.array([*went, 0.0]))
