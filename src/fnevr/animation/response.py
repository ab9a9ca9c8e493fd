"""What drawn lids and lips do when they are asked to open, and so what to ask for.

Shapes: N openings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Response:
    """What is drawn of an opening that is asked for, in the middle of portraits.

    Attributes:
        asked: openings, ascending.
        drawn: what comes out, ascending; linear in between.
    """

    asked: tuple[float, ...]
    drawn: tuple[float, ...]

    def ask(
        self, wanted: Float[np.ndarray, "*N"], own: Float[np.ndarray, "*N"]
    ) -> Float[np.ndarray, "*N"]:
        """Return what to ask a portrait for, so that an opening is drawn.

        Args:
            wanted: the opening; one beyond those that were measured counts as the last of them.
            own: the portrait's, which is asked for when it is wanted.
        """
        asked, at_rest = (np.interp(openings, self.drawn, self.asked) for openings in (wanted, own))
        return own + asked - at_rest


# Shares of an open eye; lids are shut a little below 0. The first two are no medians (-0.12 and
# -0.03): two portraits of three draw no more than these, so that eyes that are to shut do so.
EYES = Response((-0.6, -0.3, 0.0, 0.3, 0.6, 1.0, 1.4), (-0.05, 0.02, 0.2, 0.49, 0.83, 1.0, 1.14))
# Face heights: lips that touch stay together at first.
LIPS = Response(
    (0.0, 0.02, 0.045, 0.08, 0.11, 0.155, 0.22, 0.28),
    (0.0, 0.014, 0.043, 0.07, 0.097, 0.132, 0.18, 0.203),
)
