"""Sliders of a face: expressions by name, in shares of how far faces go.

A slider says by how much a measure of the face changes: the width of the mouth, the height of a
brow. Of all expressions that do so and leave the other measures as they are, the most probable one
under the head model is taken, ``c = S^T (S S^T)^-1 m`` with the slopes S of the measures. 1 is two
standard deviations of the measure. Lids and lips are set by `animation.retargeting`.

Shapes: N = 478 landmarks at rest, E coefficients of expression.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace

import numpy as np
from jaxtyping import Float

from fnevr.animation.retargeting import Retargeting
from fnevr.errors import FnevrError
from fnevr.face3d.face_fit import slopes
from fnevr.face3d.performance import EYE_CORNERS, Performance
from fnevr.media.files import PathLike, atomic_path, readable_file

LIMITS = {
    "smile": (-1.0, 1.0),
    "pout": (-1.0, 1.0),
    "mouth_open": (-1.0, 1.0),
    "brow_left": (-1.0, 1.0),
    "brow_right": (-1.0, 1.0),
    "blink_left": (-0.1, 1.0),
    "blink_right": (-0.1, 1.0),
    "gaze_x": (-1.0, 1.0),
    "gaze_y": (-1.0, 1.0),
}
"""Least and most of each slider."""

DEVIATIONS = 2.0  # of a measure, at 1
WIDEST_GAZE = np.array([[0.1, 0.04]])  # in eye widths, as landmarks see it
WIDEST_LIPS = 0.15  # gap at 1, in face heights
MEASURED = ("smile", "pout", "brow_left", "brow_right")
GAINS = np.array([1.6, 4.4, 2.9, 2.5])  # drawn faces change by less than their keypoints

# Points of MediaPipe's mesh.
CORNERS, LIPS = [61, 291], [0, 17]
BROWS = ([70, 63, 105, 66, 107], [300, 293, 334, 296, 336])


@dataclass(frozen=True)
class FaceSliders:
    """Changes of a face from how the picture shows it; all 0 changes nothing.

    Left and right are the picture's.

    Attributes:
        smile: corners of the mouth out and up; negative: in and down.
        pout: lips forward and narrow; negative: drawn back.
        mouth_open: lips apart, by 0.15 face heights at 1; negative: together, wholly at -1.
        brow_left: up; negative: down.
        brow_right: the same of the other one.
        blink_left: lids together, wholly at 1; negative: wider open.
        blink_right: the same of the other eye.
        gaze_x: irises to the picture's right, by a fifth of the eyes' width at 1; negative: to its
            left.
        gaze_y: down, by a twelfth of the eyes' width at 1; negative: up.

    Raises:
        FnevrError: if a slider is beyond its limits or no number.
    """

    smile: float = 0.0
    pout: float = 0.0
    mouth_open: float = 0.0
    brow_left: float = 0.0
    brow_right: float = 0.0
    blink_left: float = 0.0
    blink_right: float = 0.0
    gaze_x: float = 0.0
    gaze_y: float = 0.0

    def __post_init__(self) -> None:
        for name, (least, most) in LIMITS.items():
            value = getattr(self, name)
            if not least <= value <= most:  # also true for not-a-number
                raise FnevrError(
                    f"{name} is {value}: wanted a number from {least:g} to {most:g}", argument=name
                )

    @property
    def is_none(self) -> bool:
        """Whether the face stays as it is."""
        return self == FaceSliders()

    def __add__(self, other: FaceSliders) -> FaceSliders:
        """Put two expressions together; what goes beyond the limits stays at them."""
        values = {}
        for name, (least, most) in LIMITS.items():
            total = getattr(self, name) + getattr(other, name)
            values[name] = min(max(total, least), most)
        return FaceSliders(**values)

    @classmethod
    def load(cls, path: PathLike) -> FaceSliders:
        """Read sliders from a JSON file, as `save` writes it; those that are missing are 0.

        Raises:
            FnevrError: if it is no such file, or a slider is beyond its limits.
        """
        path = readable_file(path, "an expression")
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise FnevrError(f"'{path}' cannot be read as JSON: {error}") from error
        return cls.of_values(values, f"'{path}'")

    @classmethod
    def of_values(cls, values: object, origin: str) -> FaceSliders:
        """Take sliders from what was read as JSON; those that are missing are 0.

        Args:
            values: an object with numbers by the names of sliders.
            origin: where it comes from, for messages.

        Raises:
            FnevrError: if it is no such object, or a slider is beyond its limits.
        """
        known = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or not values.keys() <= known:
            raise FnevrError(
                f"{origin} is no expression: wanted an object with numbers for some of "
                f"{', '.join(sorted(known))}"
            )
        for name, value in values.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise FnevrError(f"{origin}: {name} is {value!r}, which is no number")
        try:
            return cls(**{name: float(value) for name, value in values.items()})
        except FnevrError as error:
            raise FnevrError(f"{origin}: {error}", argument=error.argument) from error

    def save(self, path: PathLike) -> None:
        """Write the sliders that are not 0 to a JSON file, which appears when it is complete.

        Raises:
            FnevrError: if it cannot be written.
        """
        values = {name: value for name, value in asdict(self).items() if value}
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")

    def performance(self, retarget: Retargeting) -> Performance:
        """Return what a source does with this on top of how its picture has it."""
        return added(retarget.own, self.changes(retarget))

    def changes(self, retarget: Retargeting) -> dict[str, Float[np.ndarray, "1 _"]]:
        """Return what is added to a performance of a source, by the names of its arrays."""
        matrix = slopes(measures, retarget.still, retarget.fit.basis.expression_basis)
        wanted = np.array([getattr(self, name) for name in MEASURED])
        wanted = DEVIATIONS * np.linalg.norm(matrix, axis=1) * GAINS * wanted
        opened = self.mouth_open * (WIDEST_LIPS if self.mouth_open > 0 else retarget.own.lips)
        blinks = np.array([[self.blink_left, self.blink_right]])
        return {
            "expressions": (np.linalg.pinv(matrix) @ wanted)[None],
            "eyes": -retarget.own.eyes * blinks,
            "lips": np.broadcast_to(opened, (1, 1)),
            "gazes": WIDEST_GAZE * np.array([[self.gaze_x, self.gaze_y]]),
        }


def added(performance: Performance, changes: dict[str, Float[np.ndarray, "1 _"]]) -> Performance:
    """Return a performance with changes on top."""
    sums = {name: getattr(performance, name) + change for name, change in changes.items()}
    return replace(performance, **sums)


def measures(face: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, " 4"]:
    """Return the measures of `MEASURED`, in face heights."""
    width = np.linalg.norm(face[CORNERS[0]] - face[CORNERS[1]])
    raised = face[LIPS, 1].mean() - face[CORNERS, 1].mean()
    forward = face[CORNERS, 2].mean() - face[LIPS, 2].mean()
    brows = [
        face[list(eye), 1].mean() - face[brow, 1].mean()
        for eye, brow in zip(EYE_CORNERS, BROWS, strict=True)
    ]
    return np.array([width / 2 + raised, forward - width / 2, *brows])
