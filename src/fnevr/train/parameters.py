"""Which parameters of a model a stage trains, and at what learning rates."""

from __future__ import annotations

import re
from typing import Any

from torch import nn

from fnevr.models.portrait import PortraitModel
from fnevr.train.recipe import JudgedRecipe, LiteRecipe, MovingRecipe, Recipe

PRIOR = {"motion.log_widths", "motion.biases"}


def parameter_groups(model: PortraitModel, recipe: Recipe) -> list[dict[str, Any]]:
    """Group the parameters that the stage trains by learning rate; freeze the others.

    The groups are the motion, the widths and biases of its Gaussian blend (`lite`), and the
    generator (all stages but "motion"); "inner-face" has the last one alone, and in "composed" the
    widths and biases count as motion.
    """
    rates = {}
    if isinstance(recipe, MovingRecipe):
        rates["motion"] = recipe.motion_rate
    if isinstance(recipe, LiteRecipe):
        rates["prior"] = recipe.prior_rate
    if isinstance(recipe, JudgedRecipe):
        rates["generator"] = recipe.generator_rate
    groups: dict[str, list[nn.Parameter]] = {name: [] for name in rates}
    for name, parameter in model.named_parameters():
        group = _group_of(name, recipe)
        is_trained = group in groups and not is_left(name, model, recipe)
        parameter.requires_grad_(is_trained)
        if is_trained:
            groups[group].append(parameter)
    return [{"params": groups[name], "lr": rate} for name, rate in rates.items()]


def is_left(name: str, model: PortraitModel, recipe: Recipe) -> bool:
    """Return whether a parameter stays as it is: the recipe says so, or nothing depends on it."""
    patterns = (model.unused, recipe.untrained)
    return any(pattern is not None and re.match(pattern, name) for pattern in patterns)


def _group_of(name: str, recipe: Recipe) -> str:
    if name in PRIOR and isinstance(recipe, LiteRecipe):
        return "prior"
    return "generator" if name.startswith(recipe.generator_parts) else "motion"
