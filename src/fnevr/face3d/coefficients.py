"""What a face does, in the layout of 3DMM coefficients that PIRender is driven by.

The 73 numbers of a frame: 64 of expression, pitch, yaw and roll, a translation, and the crop (scale
and two shifts), as Deep3DFaceRecon estimates them with the Basel Face Model of 2009, which may not
be passed on. Ours come from the open head model's fit (`face_fit`):

    rows 0-63   our coefficients of expression, the jaw's first, in standard deviations, then zeros.
                They are not those of the Basel model: a different basis of a different model.
    rows 64-66  the head's turn as R = R_z(roll) R_y(yaw) R_x(pitch), x to the viewer's right, y up,
                z out of the face, in radians
    rows 67-69  the translation of a head at rest, 0, 0, 0.45: the crop says where the head is
    rows 70-72  102 over the pixels that 10 cm of the head take in a picture of 256, and where the
                head's centre is: x from the left, y from the bottom

So weights that were trained on the reference's coefficients follow the turns of a head by them,
within what the two estimators differ, and not its expression. Weights that are trained on these
numbers follow both.

Shapes: N = 478 landmarks, of C = 3 coordinates or 2.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from fnevr.face3d.face_fit import TO_PICTURE, FaceFit
from fnevr.face3d.head_model import HeadModel
from fnevr.faces.expression import CHIN, FOREHEAD
from fnevr.geometry.driving import NEUTRAL_PLACE, NUM_COEFFICIENTS

NUM_EXPRESSION = 64
REFERENCE_SIDE, REFERENCE_SCALE = 256, 102.0  # the latter: Deep3DFaceRecon's alignment
UNIT_M = 0.1  # of the Basel model, as that code scales it


class CoefficientReader:
    """Reads the coefficients of one face, frame by frame.

    Args:
        side: of the square pictures, in pixels.
    """

    def __init__(self, side: int) -> None:
        self.fit = FaceFit()
        template = HeadModel.packaged().template
        self._face_m = float(np.linalg.norm(template[FOREHEAD] - template[CHIN]))
        self._to_reference = REFERENCE_SIDE / side

    def update(self, landmarks: Float[np.ndarray, "N C"]) -> Float[np.ndarray, " 73"]:
        """Read the next frame.

        Args:
            landmarks: in pixels of the picture, with depth in the same unit, or without it.
        """
        self.fit.update(landmarks)
        similarity, row = self.fit.similarity, np.zeros(NUM_COEFFICIENTS, np.float32)
        expression = self.fit.expression[:NUM_EXPRESSION]
        row[: len(expression)] = expression
        row[64:67] = angles(TO_PICTURE[:, None] * similarity.rotation * TO_PICTURE)
        row[67:70] = NEUTRAL_PLACE
        unit_px = similarity.scale * self._to_reference * UNIT_M / self._face_m
        x, y = similarity.shift[:2] * self._to_reference
        row[70:73] = REFERENCE_SCALE / unit_px, x, REFERENCE_SIDE - y
        return row


def angles(rotation: Float[np.ndarray, "3 3"]) -> tuple[float, float, float]:
    """Return a, b and c, in radians, of R = R_z(c) R_y(b) R_x(a)."""
    return (
        float(np.arctan2(rotation[2, 1], rotation[2, 2])),
        float(-np.arcsin(np.clip(rotation[2, 0], -1, 1))),
        float(np.arctan2(rotation[1, 0], rotation[0, 0])),
    )


def matched_scale(
    frames: Float[np.ndarray, "T 73"], source: Float[np.ndarray, " 73"]
) -> Float[np.ndarray, "T 73"]:
    """Return a driver's frames with the size of another person's head, as PIRender's code does.

    The crop's scale of all frames is multiplied by the source's over that of the frame which is
    most like the source: 0.3 of the mean difference of expressions and 0.7 of that of angles.
    """
    expression, turn = (slice(0, NUM_EXPRESSION), slice(64, 67))
    distance = 0.3 * np.abs(frames[:, expression] - source[expression]).mean(axis=1)
    distance = distance + 0.7 * np.abs(frames[:, turn] - source[turn]).mean(axis=1)
    matched = frames.copy()
    matched[:, 70] *= source[70] / frames[int(distance.argmin()), 70]
    return matched
