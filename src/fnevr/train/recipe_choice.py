"""A recipe by name or from a file, changed by settings; a knob that would do nothing is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fnevr.config.folder import read_config
from fnevr.config.presets import DEFAULT, new_config, resolve_model
from fnevr.errors import FnevrError
from fnevr.train.recipe_table import (
    RECIPE,
    RECIPES,
    WEIGHTS,
    AnyRecipe,
    idle_knobs,
    knobs,
    stage_of,
)

FORMER_DEFAULTS = {"window": 256}
"""Defaults of knobs that the reference recipe had once: old files with these values are read."""


def recipe_for(init: str | None, model: str | None) -> str:
    """Return the name of the recipe that trains all of a model.

    Args:
        init: a preset or a model folder that training starts from; None starts anew.
        model: what starts anew: a preset or a config.json; None is the default preset.

    Raises:
        FnevrError: if there is no such model.
    """
    config = new_config(model or DEFAULT) if init is None else read_config(resolve_model(init))
    return stage_of(config.architecture)


def choose_recipe(name_or_file: str, settings: Sequence[str] = ()) -> AnyRecipe:
    """Take a recipe by name or from a JSON file, and change it by settings.

    A budget that the settings give replaces the recipe's: with steps alone there is no limit in
    minutes.

    Args:
        name_or_file: one of `RECIPES`, or a file; what a file leaves out is as in the recipe of its
            stage ("full", if it names none).
        settings: NAME=VALUE each; a dot reaches into the weights ("weights.image=8").

    Raises:
        FnevrError: if there is no such recipe, a name or value is not valid, or a knob does nothing
            in this stage or beside the other knobs.
    """
    start = RECIPES.get(name_or_file) or _read_recipe(Path(name_or_file))
    changes: dict[str, str | None] = dict(_parsed(setting, start) for setting in settings)
    if "steps" in changes:
        changes.setdefault("minutes", None)
    elif "minutes" in changes:
        changes["steps"] = None
    recipe = _validated(start.stage, knobs(start) | changes, "the recipe is not valid")
    if recipe.minutes is None and recipe.steps is None:
        raise FnevrError("the recipe has no budget: give minutes or steps")
    for name, needed in idle_knobs(recipe).items():
        if name in changes:
            raise FnevrError(f"{name} {_idle_without(needed)}")
    return recipe


def _parsed(setting: str, recipe: AnyRecipe) -> tuple[str, str]:
    name, is_pair, value = setting.partition("=")
    if is_pair and name in knobs(recipe):
        return name, value
    if name == "stage":
        raise FnevrError(f"'{setting}' sets nothing: the recipe is of the stage '{recipe.stage}'")
    if is_pair and (stages := _stages_with(name)):
        raise FnevrError(f"{name} {_idle_in(recipe.stage, stages)}")
    raise FnevrError(
        f"'{setting}' sets nothing: wanted NAME=VALUE with a name of the recipe, such as "
        "batch_size=16 or weights.image=8; `fnevr train DATA RUN --dry-run` prints them all"
    )


def _read_recipe(path: Path) -> AnyRecipe:
    if not path.is_file():
        raise FnevrError(
            f"there is no recipe '{path}': it is neither one of {', '.join(RECIPES)} nor a file"
        )
    problem = f"'{path}' is not a valid recipe"
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise FnevrError(f"{problem}: Invalid JSON: {error}") from error
    if not isinstance(values, dict):
        raise FnevrError(f"{problem}: wanted an object of names and values")
    stage = str(values.pop("stage", "full"))
    if isinstance(values.get("weights"), dict):
        values |= {f"{WEIGHTS}{name}": value for name, value in values.pop("weights").items()}
    values = {
        name: value for name, value in values.items() if not _is_idle(name, value, stage, path)
    }
    recipe = _validated(stage, values, problem)
    for name, needed in idle_knobs(recipe).items():
        if knobs(recipe)[name] != knobs(RECIPES[stage])[name]:
            raise FnevrError(f"'{path}': {name} {_idle_without(needed)}")
    return recipe


def _is_idle(name: str, value: object, stage: str, path: Path) -> bool:
    """Return whether a file's knob is of another stage, at its default: files of before had all.

    Raises:
        FnevrError: if it has another value; somebody meant something by that.
    """
    stages = _stages_with(name)
    if stage not in RECIPES or not stages or stage in stages:
        return False
    defaults = [knobs(RECIPES[other])[name] for other in stages]
    if value not in [*defaults, FORMER_DEFAULTS.get(name)]:
        raise FnevrError(f"'{path}': {name} {_idle_in(stage, stages)}\ntake it out of the file")
    return True


def _stages_with(name: str) -> list[str]:
    return [stage for stage, recipe in RECIPES.items() if name in knobs(recipe)]


def _idle_in(stage: str, stages: Sequence[str]) -> str:
    return f"does nothing in the stage '{stage}': it is of {' and '.join(stages)}"


def _idle_without(needed: Sequence[str]) -> str:
    return f"does nothing without {' or '.join(needed)}\nset that too, or leave it out"


def _validated(stage: object, values: Mapping[str, Any], problem: str) -> AnyRecipe:
    """Make a recipe of the values by name."""
    weights = {name: value for name, value in values.items() if name.startswith(WEIGHTS)}
    nested = {name: value for name, value in values.items() if name not in weights}
    if weights:
        nested["weights"] = {name.removeprefix(WEIGHTS): value for name, value in weights.items()}
    try:
        return RECIPE.validate_python(nested | {"stage": stage})
    except ValidationError as error:
        problems = "; ".join(_told(each["loc"], each["msg"]) for each in error.errors())
        raise FnevrError(f"{problem}: {problems}") from error


def _told(place: Sequence[str | int], problem: str) -> str:
    """Say what pydantic found, and of which knob: the first part of a place is the stage."""
    if not place:
        return f"stage: {problem}"
    knob = ".".join(map(str, place[1:]))
    return f"{knob}: {problem}" if knob else problem.removeprefix("Value error, ")
