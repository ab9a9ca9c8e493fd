"""Pose editing, measured: a head is turned by known angles, and the output says by how much it was.

Shapes: B turns at a time, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from fnevr.errors import CheckpointError
from fnevr.evaluate.metrics.head_pose import head_turn, pose_error_deg
from fnevr.evaluate.networks.available import Networks
from fnevr.evaluate.scorer import (
    ClipScores,
    FaceMeter,
    MeasuredFace,
    identity_columns,
    identity_scores,
    to_frames,
)
from fnevr.face3d.fitting import fit_landmarks
from fnevr.face3d.head_model import HeadModel
from fnevr.geometry.rotations import head_angles_deg, head_rotations
from fnevr.media.arrays import to_images_01
from fnevr.runtime.engine import Engine

# Yaw, pitch and roll of each turn, in degrees: one axis at a time.
TURNS_DEG = np.array(
    [
        *([yaw, 0, 0] for yaw in (-30, -20, -10, 10, 20, 30)),
        *([0, pitch, 0] for pitch in (-20, -10, 10, 20)),
        *([0, 0, roll] for roll in (-20, -10, 10, 20)),
    ],
    dtype=np.float32,
)

# Columns, by axis: the change that is measured over the one that was asked for.
RESPONSES = ("yaw_response", "pitch_response", "roll_response")

# Heads have y up and z towards the viewer, landmarks y down and z away.
FLIP = np.diag([1.0, -1.0, -1.0])

# Takes angles in degrees, (B, 3); returns pictures in [0, 1].
Turner = Callable[[Float[np.ndarray, "B 3"]], Tensor]


def model_turner(engine: Engine, name: str, source: UInt8[np.ndarray, "H W 3"]) -> Turner:
    """Turn the head of a picture by a model's pose editor.

    Raises:
        CheckpointError: if the model has none.
    """
    editor = engine.turn
    if editor is None:
        raise CheckpointError(f"the model '{name}' has no pose editor: it cannot be evaluated so")
    encoded = engine.read_source(to_images_01(source[None]))
    keypoints = encoded.keypoints.numpy()

    def turn(angles_deg: Float[np.ndarray, "B 3"]) -> Tensor:
        driving = editor(keypoints.expand(len(angles_deg)), angles_deg)
        return torch.from_numpy(engine.draw(encoded, driving))

    return turn


class TurnScorer:
    """Scores predictors that turn one head; the source is measured once."""

    def __init__(self, source: UInt8[np.ndarray, "H W 3"], networks: Networks) -> None:
        """Measure the source."""
        self.meter = FaceMeter(networks, every=1)
        self.start = self.meter.faces(source[None])[0]
        self.own_deg = torch.zeros(3)
        if self.start.landmarks is not None:
            landmarks = torch.tensor(self.start.landmarks, dtype=torch.float32)
            self.own_deg = fit_landmarks(HeadModel.packaged(), landmarks[None]).angles_deg[0]

    def score(self, turn: Turner) -> ClipScores:
        """Turn the head by all of `TURNS_DEG` and score what comes out, one value per turn."""
        rows = []
        for angles in TURNS_DEG:
            image_01 = turn(angles[None]).clamp(0, 1)
            rows.append(self._compare(self.meter.faces(to_frames(image_01))[0], angles))
        return ClipScores({name: [row[name] for row in rows] for name in rows[0]}, {})

    def _compare(self, face: MeasuredFace, angles_deg: np.ndarray) -> dict[str, float]:
        columns = [*identity_columns(self.meter.networks), "pose_error", *RESPONSES, "other_axes"]
        scores = dict.fromkeys(columns, float("nan"))
        if self.start.landmarks is None:
            return scores | {"lost": 0.0}
        if face.landmarks is None:
            return scores | {"lost": 1.0}
        scores |= identity_scores(face, self.start)
        # An edit adds its angles to the head's own.
        after = head_rotations(self.own_deg + torch.from_numpy(angles_deg))
        turn = (after @ head_rotations(self.own_deg).T).double().numpy()
        target_turn = FLIP @ turn @ FLIP
        output_turn = head_turn(self.start.landmarks, face.landmarks)
        scores["pose_error"] = pose_error_deg(output_turn, target_turn)
        return scores | self._by_axis(output_turn, angles_deg) | {"lost": 0.0}

    def _by_axis(
        self, output_turn: Float[np.ndarray, "3 3"], angles_deg: Float[np.ndarray, " 3"]
    ) -> dict[str, float]:
        """Compare angle by angle: the one that was asked for, and the others, which were not."""
        after = torch.from_numpy(FLIP @ output_turn @ FLIP).float() @ head_rotations(self.own_deg)
        change = (head_angles_deg(after) - self.own_deg).numpy()
        axis = int(np.argmax(np.abs(angles_deg)))
        return {
            RESPONSES[axis]: float(change[axis] / angles_deg[axis]),
            "other_axes": float(np.abs(np.delete(change, axis)).mean()),
        }
