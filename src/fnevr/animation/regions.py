"""How much of a driver's performance goes over, by region of the face."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fnevr.errors import FnevrError
from fnevr.face3d.performance import Performance

LARGEST_FACTOR = 2.0


@dataclass(frozen=True)
class Regions:
    """How much of the driver's performance goes over, by region: 1 is all, 0 leaves the source's.

    Attributes:
        head: turns, place and size of the head; None is 1 for a picture and 0 for a video, whose
            head has a motion of its own, to which the driver's would be added.
        expression: brows, cheeks, jaw and the shape of the mouth.
        eyes: how far lids are open.
        lips: how far lips are apart.
        gaze: where the eyes look; None is 1 for a picture and 0 for a video, whose eyes look at
            something.

    Raises:
        FnevrError: if a factor is not a number from 0 to 2.
    """

    head: float | None = None
    expression: float = 1.0
    eyes: float = 1.0
    lips: float = 1.0
    gaze: float | None = None

    def __post_init__(self) -> None:
        for name, factor in vars(self).items():
            # The second half is also false for not-a-number.
            if factor is not None and not 0 <= factor <= LARGEST_FACTOR:
                raise FnevrError(
                    f"the factor of {name} is {factor:g}: wanted 0 to {LARGEST_FACTOR:g}",
                    argument=name,
                )

    @property
    def of_video(self) -> Regions:
        """The same for a source that is a video."""
        head, gaze_factor = (factor or 0.0 for factor in (self.head, self.gaze))
        return replace(self, head=head, gaze=gaze_factor)

    def of(self, performance: Performance, own: Performance) -> Performance:
        """Return the share of a performance: own + factor (performance - own).

        Args:
            performance: the driver's.
            own: what the source itself does.
        """
        head, looks = (1.0 if factor is None else factor for factor in (self.head, self.gaze))

        def part(factor: float, name: str) -> np.ndarray:
            start, end = getattr(own, name), getattr(performance, name)
            return start + factor * (end - start)

        return Performance(
            rotations=part(head, "rotations"),
            shifts=part(head, "shifts"),
            zooms=part(head, "zooms"),
            expressions=part(self.expression, "expressions"),
            eyes=part(self.eyes, "eyes"),
            lips=part(self.lips, "lips").clip(0),
            gazes=part(looks, "gazes"),
        )
