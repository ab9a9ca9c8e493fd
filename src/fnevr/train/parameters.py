"""Which parameters of a model a stage trains, and at what learning rates."""

from __future__ import annotations

from typing import Any

from torch import nn

from fnevr.models.portrait import KeypointModel
from fnevr.train.recipe import LiteRecipe, MotionRecipe, PictureRecipe, Recipe

UNUSED_BY_MOTION = ("motion.occlusion.", "motion.context.")
"""The occlusion is of the features, which the motion stage does not warp."""


def parameter_groups(model: KeypointModel, recipe: Recipe) -> list[dict[str, Any]]:
    """Group the parameters that the stage trains by learning rate; freeze the others.

    The groups are the motion, the widths and biases of its Gaussian blend (`lite`), and the
    generator (all stages but "motion").
    """
    rates = {"motion": recipe.motion_rate}
    if isinstance(recipe, LiteRecipe):
        rates["prior"] = recipe.prior_rate
    if isinstance(recipe, PictureRecipe):
        rates["generator"] = recipe.generator_rate
    unused = UNUSED_BY_MOTION if isinstance(recipe, MotionRecipe) else ()
    groups: dict[str, list[nn.Parameter]] = {name: [] for name in rates}
    for name, parameter in model.named_parameters():
        group = _group_of(name)
        parameter.requires_grad_(group in groups and not name.startswith(unused))
        if parameter.requires_grad:
            groups[group].append(parameter)
    return [{"params": groups[name], "lr": rate} for name, rate in rates.items()]


def _group_of(name: str) -> str:
    if name in {"motion.log_widths", "motion.biases"}:
        return "prior"
    if name.startswith(("encoder.", "renderer.", "decoder.", "motion.code.")):
        return "generator"
    return "motion"
