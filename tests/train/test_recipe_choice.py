from __future__ import annotations

import json
from typing import Any

import pytest

from fnevr.errors import FnevrError
from fnevr.train.recipe import FullRecipe, MotionRecipe, ReferenceRecipe, ReferenceWeights
from fnevr.train.recipe_choice import choose_recipe, recipe_for
from fnevr.train.recipe_table import RECIPES


@pytest.fixture
def write(tmp_path):
    def write_file(values):
        path = tmp_path / "mine.json"
        path.write_text(values if isinstance(values, str) else json.dumps(values))
        return str(path)

    return write_file


def test_settings_change_a_named_recipe():
    recipe = choose_recipe("motion", ["batch_size=3", "weights.warped=7", "precision=bfloat16"])
    expected = RECIPES["motion"].model_dump() | {"batch_size": 3, "precision": "bfloat16"}
    expected["weights"]["warped"] = 7.0
    assert recipe.model_dump() == expected


def test_a_file_is_a_recipe_and_its_gaps_are_those_of_its_stage(write):
    assert choose_recipe(write({"stage": "motion", "steps": 9})) == MotionRecipe(steps=9)
    weights = ReferenceWeights(image=8)
    assert choose_recipe(write({"stage": "reference", "weights": {"image": 8}})) == ReferenceRecipe(
        weights=weights
    )
    assert choose_recipe(write({"steps": 9})) == FullRecipe(steps=9)


def test_a_budget_that_is_given_replaces_the_other():
    assert choose_recipe("full", ["steps=5"]).minutes is None
    both = choose_recipe("full", ["steps=5", "minutes=2"])
    assert (both.steps, both.minutes) == (5, 2.0)
    assert choose_recipe("full", ["minutes=2"]).steps is None


@pytest.mark.parametrize(
    ("recipe", "setting", "message"),
    [
        ("full", "windowsize=64", "'windowsize=64' sets nothing: wanted NAME=VALUE"),
        ("full", "window", "'window' sets nothing"),
        ("full", "stage=motion", "'stage=motion' sets nothing: the recipe is of the stage 'full'"),
        ("full", "stage.x=1", "'stage.x=1' sets nothing"),
        ("full", "window=65", "window: Input should be a multiple of 32"),
        ("full", "weights.image=much", "weights.image: Input should be a valid number"),
        ("full", "weights={}", "'weights={}' sets nothing"),
        (
            "reference",
            "weights.position=3",
            "weights.position does nothing in the stage 'reference': it is of motion and full",
        ),
        ("motion", "window=64", "window does nothing in the stage 'motion': it is of full"),
        (
            "motion",
            "weights.image=1",
            "weights.image does nothing in the stage 'motion': it is of inner-face and composed "
            "and full and reference",
        ),
        ("full", "features=vgg19", "features does nothing without weights.perceptual"),
        (
            "full",
            "discriminator_rate=1",
            r"does nothing without weights\.generator or weights\.feature_matching",
        ),
        ("motion", "equivariance_every=x", "equivariance_every: Input should be a valid integer"),
    ],
)
def test_wrong_setting_says_so(recipe, setting, message):
    with pytest.raises(FnevrError, match=message):
        choose_recipe(recipe, [setting])


def test_a_knob_counts_with_what_it_needs():
    recipe = choose_recipe("full", ["features=vgg19", "weights.perceptual=1"])
    assert isinstance(recipe, FullRecipe)
    assert recipe.features == "vgg19"


@pytest.mark.parametrize("stage", ["motion", "full", "reference"])
def test_files_of_before_are_read_where_what_does_nothing_has_its_default(stage, write):
    """They held the knobs of all stages, whatever their own."""
    values: dict[str, Any] = {"weights": {}}
    for recipe in (*RECIPES.values(), RECIPES[stage]):
        dumped = recipe.model_dump()
        dumped["weights"] = values["weights"] | dumped["weights"]
        values |= dumped
    values["window"] = 256 if stage == "reference" else 128
    assert {"window", "prior_rate", "features"} <= values.keys()
    assert {"position", "image", "equivariance_position"} <= values["weights"].keys()
    assert choose_recipe(write(values)) == RECIPES[stage]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "neither one of motion, inner-face, composed, full, reference, .* nor a file"),
        ("{", "not a valid recipe: .*Invalid JSON"),
        ("[]", "not a valid recipe: wanted an object"),
        (
            '{"stage": "picture"}',
            "not a valid recipe: stage: .*'picture'.*'motion', 'inner-face', 'composed', 'full'",
        ),
        ('{"step": 5}', "not a valid recipe: step: Extra inputs"),
        ('{"weights": 5}', "not a valid recipe: weights: Input should be"),
        ('{"minutes": null}', "no budget: give minutes or steps"),
        (
            '{"stage": "composed", "generator_share": 0.2, "weights": {"generator": 0}}',
            "not a valid recipe: generator_share needs weights.generator, and weights.perceptual",
        ),
        (
            '{"stage": "reference", "weights": {"position": 5}}',
            "weights.position does nothing in the stage 'reference': it is of motion and full\n"
            "take it out of the file",
        ),
        ('{"stage": "reference", "window": 64}', "window does nothing in the stage 'reference'"),
        ('{"features": "vgg19"}', "features does nothing without weights.perceptual\nset that"),
    ],
)
def test_wrong_file_says_so(text, message, write, tmp_path):
    path = str(tmp_path / "mine.json") if text is None else write(text)
    with pytest.raises(FnevrError, match=message):
        choose_recipe(path)


def test_a_model_has_its_own_recipe(tmp_path, tiny_fomm_config, tiny_model):
    assert recipe_for(None, None) == recipe_for(None, "lite") == "full"
    assert recipe_for(None, "base") == "reference"
    assert recipe_for(None, "face-vid2vid-s") == "face-vid2vid"
    config = tmp_path / "mine.json"
    config.write_text(tiny_fomm_config.model_dump_json())
    assert recipe_for(None, str(config)) == "reference"
    tiny_model.save_pretrained(tmp_path / "folder")
    assert recipe_for(str(tmp_path / "folder"), None) == "full"
    with pytest.raises(FnevrError, match="no model 'nobody' to start anew"):
        recipe_for(None, "nobody")
