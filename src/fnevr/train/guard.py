"""Stops a run that diverges, and says which term did."""

from __future__ import annotations

import math
from collections.abc import Mapping

from fnevr.errors import FnevrError

GRACE_STEPS = 200
DECAY = 0.99
EXPLODED = 100.0

ADVICE = "resume from the last checkpoint with smaller learning rates"


class DivergenceError(FnevrError):
    """A loss that is not finite, or that exploded; nothing is saved of such a step."""


class Guard:
    """Compares each term with its own running mean.

    Attributes:
        means: running mean of each term; part of the checkpoint.
        num_seen: how many steps had each term; part of the checkpoint.
    """

    def __init__(self) -> None:
        self.means: dict[str, float] = {}
        self.num_seen: dict[str, int] = {}

    def check(self, step: int, terms: Mapping[str, float], gradient_norm: float) -> None:
        """Look at one step, before it changes the weights.

        A term has exploded when it is EXPLODED times its running mean, after GRACE_STEPS steps.

        Raises:
            DivergenceError: naming the terms, or the gradient.
        """
        bad = [name for name, value in terms.items() if not math.isfinite(value)]
        if bad:
            raise DivergenceError(
                f"the loss is not finite at step {step}, in {', '.join(bad)}: {ADVICE}"
            )
        if not math.isfinite(gradient_norm):
            raise DivergenceError(f"the gradient is not finite at step {step}: {ADVICE}")
        for name, value in terms.items():
            self._check_growth(step, name, value)

    def _check_growth(self, step: int, name: str, value: float) -> None:
        mean, count = self.means.get(name, value), self.num_seen.get(name, 0)
        if count >= GRACE_STEPS and value > EXPLODED * max(mean, 1e-6):
            raise DivergenceError(
                f"the loss exploded at step {step}: {name} is {value:.4g}, {mean:.4g} on average "
                f"before: {ADVICE}"
            )
        self.means[name] = DECAY * mean + (1 - DECAY) * value
        self.num_seen[name] = count + 1
