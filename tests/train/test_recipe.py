from __future__ import annotations

import pytest
from pydantic import ValidationError

from fnevr.train.recipe import RECIPES, Recipe


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
