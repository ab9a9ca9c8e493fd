"""The recipes by name, and their knobs: which there are, and which do nothing beside the others."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from fnevr.train.recipe import (
    ComposedRecipe,
    FullRecipe,
    InnerFaceRecipe,
    MotionRecipe,
    Recipe,
    ReferenceRecipe,
)
from fnevr.train.recipe_baselines import (
    BilayerRecipe,
    DaGANRecipe,
    FaceVid2VidRecipe,
    PIRenderRecipe,
)

AnyRecipe = (
    MotionRecipe
    | InnerFaceRecipe
    | ComposedRecipe
    | FullRecipe
    | ReferenceRecipe
    | FaceVid2VidRecipe
    | DaGANRecipe
    | PIRenderRecipe
    | BilayerRecipe
)
RECIPE: TypeAdapter[AnyRecipe] = TypeAdapter(Annotated[AnyRecipe, Field(discriminator="stage")])

RECIPES: dict[str, AnyRecipe] = {
    "motion": MotionRecipe(),
    "inner-face": InnerFaceRecipe(),
    "composed": ComposedRecipe(),
    "full": FullRecipe(),
    "reference": ReferenceRecipe(),
    "face-vid2vid": FaceVid2VidRecipe(),
    "dagan": DaGANRecipe(),
    "pirender": PIRenderRecipe(),
    "bilayer": BilayerRecipe(),
}
"""The default recipe of each stage."""

WEIGHTS = "weights."
"""Prefix of the knobs that are weights of the loss."""

_NEEDS = {
    "weights.identity": ("face_network",),
    "weights.face_features": ("face_network",),
    "features": ("weights.perceptual", "weights.perceptual_warped", "weights.style"),
    "discriminator_rate": ("weights.generator", "weights.feature_matching"),
    "generator_share": ("weights.generator",),
    "region_gain": ("weights.regions", "weights.decoded_regions"),
    "equivariance_every": ("weights.equivariance",),
    "validation_stride": ("validations",),
}
"""Knobs that need others: each does nothing where all of these others are 0 or None."""


def stage_of(architecture: str) -> str:
    """Return the stage that trains all of a model: the last one that trains any of it."""
    stages = [name for name, each in RECIPES.items() if architecture in each.architectures]
    return stages[-1]


def knobs(recipe: Recipe) -> dict[str, Any]:
    """Return the values of all knobs, by names with a dot for those of the weights."""
    values = recipe.model_dump(exclude={"stage"})
    weights = values.pop("weights")
    return values | {f"{WEIGHTS}{name}": value for name, value in weights.items()}


def idle_knobs(recipe: Recipe) -> dict[str, tuple[str, ...]]:
    """Return the knobs that do nothing as others stand, and which of those would change that."""
    values = knobs(recipe)
    idle = {}
    for name, needed in _NEEDS.items():
        there = tuple(other for other in needed if other in values)
        if name in values and not any(values[other] for other in there):
            idle[name] = there
    return idle


def recipe_json(recipe: Recipe) -> str:
    """Write down what counts: the stage, and every knob that does something."""
    idle = idle_knobs(recipe)
    weights = {name.removeprefix(WEIGHTS) for name in idle if name.startswith(WEIGHTS)}
    exclude: dict[str, Any] = {**dict.fromkeys(idle, True), "weights": weights}
    return recipe.model_dump_json(indent=2, exclude=exclude)
