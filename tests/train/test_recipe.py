from __future__ import annotations

import pytest
from pydantic import ValidationError

from fnevr.errors import FnevrError
from fnevr.train.recipe import RECIPES, Recipe, choose_recipe


@pytest.mark.parametrize("stage", ["motion", "full"])
def test_json_restores_the_recipe(stage):
    recipe = RECIPES[stage]
    assert recipe.stage == stage
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("stage", "picture"),
        ("minutes", 0),
        ("batch_size", 0),
        ("window", 100),
        ("motion_rate", -1e-3),
        ("target_keypoints", 1.5),
        ("seed", -1),
        ("weights", {"imagee": 1.0}),
        ("learning_rate", 1e-3),
    ],
)
def test_invalid_recipe_names_the_field(field, value):
    with pytest.raises(ValidationError, match=field):
        Recipe.model_validate({field: value})


def test_settings_change_a_named_recipe():
    recipe = choose_recipe("motion", ["batch_size=3", "weights.warped=7", "precision=bfloat16"])
    expected = RECIPES["motion"].model_dump() | {"batch_size": 3, "precision": "bfloat16"}
    expected["weights"]["warped"] = 7.0
    assert recipe.model_dump() == expected


def test_a_file_is_a_recipe_and_its_gaps_have_defaults(tmp_path):
    (tmp_path / "mine.json").write_text('{"stage": "motion", "steps": 9}')
    assert choose_recipe(str(tmp_path / "mine.json")) == Recipe(stage="motion", steps=9)


def test_a_budget_that_is_given_replaces_the_other():
    assert choose_recipe("full", ["steps=5"]).minutes is None
    both = choose_recipe("full", ["steps=5", "minutes=2"])
    assert (both.steps, both.minutes) == (5, 2.0)
    assert choose_recipe("full", ["minutes=2"]).steps is None


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("windowsize=64", "'windowsize=64' sets nothing: wanted NAME=VALUE"),
        ("window", "'window' sets nothing"),
        ("stage.x=1", "'stage.x=1' sets nothing"),
        ("window=65", "window: Input should be a multiple of 32"),
        ("weights.image=much", "weights.image: Input should be a valid number"),
    ],
)
def test_wrong_setting_says_so(setting, message):
    with pytest.raises(FnevrError, match=message):
        choose_recipe("full", [setting])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "neither one of motion, full, reference nor a file"),
        ("{", "not a valid recipe: .*Invalid JSON"),
        ('{"step": 5}', "not a valid recipe: step: Extra inputs"),
        ('{"minutes": null}', "no budget: give minutes or steps"),
    ],
)
def test_wrong_file_says_so(text, message, tmp_path):
    path = tmp_path / "mine.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(FnevrError, match=message):
        choose_recipe(str(path))
