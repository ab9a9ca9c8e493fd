"""The budget of a run, in minutes or steps, and the learning rates that follow it."""

from __future__ import annotations

import math

from fnevr.train.recipe import Recipe

WARM_UP_STEPS = 100
FINAL_RATE = 0.03
MILESTONE_FACTOR = 0.1


def spent(recipe: Recipe, step: int, minutes: float) -> float:
    """Return the share of the budget that is spent; 1 or more ends the run.

    With a step budget alone it depends on the step alone.
    """
    by_steps = step / recipe.steps if recipe.steps else 0.0
    by_minutes = minutes / recipe.minutes if recipe.minutes else 0.0
    return max(by_steps, by_minutes)


def rate_factor(recipe: Recipe, share: float, step: int) -> float:
    """Return what the learning rates are multiplied with.

    Without milestones it warms up over the first steps, then falls along a cosine to FINAL_RATE;
    with some it falls to a tenth at each, as in the released configurations.

    Args:
        recipe: has the milestones.
        share: of the budget, spent.
        step: steps done.
    """
    if recipe.milestones is not None:
        return MILESTONE_FACTOR ** sum(share >= milestone for milestone in recipe.milestones)
    cosine = 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
    return (FINAL_RATE + (1 - FINAL_RATE) * cosine) * min(1.0, (step + 1) / WARM_UP_STEPS)
