from __future__ import annotations

import itertools

import pytest
from pydantic import ValidationError

from fnevr.train.recipe import FullRecipe, MotionRecipe, ReferenceRecipe
from fnevr.train.recipe_table import RECIPE, RECIPES, idle_knobs, knobs, recipe_json

STAGES = pytest.mark.parametrize("stage", list(RECIPES))
OF_EVERY_RUN = {
    *("minutes", "steps", "batch_size", "seed", "checkpoint_every", "accumulate"),
    *("workers", "precision", "average_decay", "max_gradient_norm", "validations"),
    *("validation_stride", "stills_share"),
}
OF_JUDGES = {
    *("generator_rate", "discriminator_rate", "features"),
    *("weights.perceptual", "weights.generator", "weights.feature_matching"),
}
OF_LITE = {
    "motion_rate",
    *("prior_rate", "target_keypoints", "motion_dropout", "equivariance_every"),
    *("weights.warped", "weights.position", "weights.jacobian", "weights.equivariance"),
    "weights.smoothness",
}
OF_PICTURES = OF_JUDGES | {
    *("motion_rate", "region_gain", "face_network"),
    *("weights.image", "weights.log_squared", "weights.regions"),
    *("weights.identity", "weights.face_features"),
}
OF_RENDERED = {"weights.auxiliary", "weights.sigma"}
EQUIVARIANCE = {"weights.equivariance_position", "weights.equivariance_jacobian"}
EXPECTED = {
    "motion": OF_EVERY_RUN | OF_LITE,
    "inner-face": OF_EVERY_RUN | OF_JUDGES | {"weights.image", "weights.drawn"},
    "composed": OF_EVERY_RUN
    | OF_JUDGES
    | {"motion_rate", "motion_dropout", "region_gain", "weights.warped", "weights.decoded"}
    | {"generator_share"}
    | {"weights.image", "weights.log_squared", "weights.regions"}
    | {"weights.inner_image", "weights.inner_drawn"},
    "full": OF_EVERY_RUN
    | OF_LITE
    | OF_PICTURES
    | OF_RENDERED
    | {"window", "weights.decoded", "weights.decoded_regions", "weights.hedging"},
    "reference": OF_EVERY_RUN | OF_PICTURES | OF_RENDERED | EQUIVARIANCE,
    "face-vid2vid": OF_EVERY_RUN
    | OF_PICTURES
    | {"weights.equivariance_position", "weights.keypoint_prior", "weights.head_pose"}
    | {"weights.deformation"},
    "dagan": OF_EVERY_RUN | OF_PICTURES | EQUIVARIANCE | {"weights.keypoint_distance"},
    "pirender": OF_EVERY_RUN | OF_PICTURES | {"weights.perceptual_warped", "weights.style"},
    "bilayer": OF_EVERY_RUN
    | OF_PICTURES
    | {"weights.low_frequency", "weights.segmentation", "weights.offset"},
}


@STAGES
def test_each_stage_has_its_knobs_and_no_others(stage):
    assert knobs(RECIPES[stage]).keys() == EXPECTED[stage]


@STAGES
def test_whole_numbers_have_an_end(stage):
    recipe = type(RECIPES[stage])
    whole = [name for name, info in recipe.model_fields.items() if "int" in str(info.annotation)]
    assert {"steps", "batch_size", "seed", "workers", "validations"} <= set(whole)
    for name, value in itertools.product(whole, (10**10, 10**400)):
        with pytest.raises(ValidationError, match=f"{name}\n.*less than or equal to"):
            recipe.model_validate({name: value})


@STAGES
def test_json_restores_the_recipe(stage):
    recipe = RECIPES[stage]
    assert recipe.stage == stage
    assert RECIPE.validate_json(recipe_json(recipe)) == recipe
    assert RECIPE.validate_json(recipe.model_dump_json()) == recipe


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (MotionRecipe(), set()),
        (MotionRecipe(validations=0), {"validation_stride"}),
        (
            FullRecipe(),
            {"features", "discriminator_rate", "weights.identity", "weights.face_features"},
        ),
        (ReferenceRecipe(), {"region_gain", "weights.identity", "weights.face_features"}),
    ],
)
def test_what_does_nothing_beside_the_other_knobs_is_not_written(recipe, expected):
    assert idle_knobs(recipe).keys() == expected
    text = recipe_json(recipe)
    assert not any(f'"{name.removeprefix("weights.")}"' in text for name in expected)
    assert RECIPE.validate_json(text) == recipe


@pytest.mark.parametrize(
    ("field", "value"),
    [
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
        RECIPE.validate_python({"stage": "full", field: value})


def test_the_reference_is_the_released_configuration():
    recipe = RECIPES["reference"]
    weights = {name: value for name, value in recipe.weights.model_dump().items() if value}
    judged = {"perceptual": 10, "generator": 1, "feature_matching": 10, "auxiliary": 5}
    equivariance = {"equivariance_position": 10, "equivariance_jacobian": 10}
    needs_a_network = {"identity": 1.5, "face_features": 0.2}
    assert weights == judged | equivariance | needs_a_network


@pytest.mark.parametrize(
    ("stage", "published"),
    [
        (
            "face-vid2vid",
            {"perceptual": 10, "generator": 1, "feature_matching": 10, "equivariance_position": 20}
            | {"keypoint_prior": 10, "head_pose": 20, "deformation": 5},
        ),
        (
            "dagan",
            {"perceptual": 10, "generator": 1, "feature_matching": 10, "keypoint_distance": 10}
            | {"equivariance_position": 10, "equivariance_jacobian": 10},
        ),
        ("pirender", {"perceptual": 4, "perceptual_warped": 2.5, "style": 1000}),
        (
            "bilayer",
            {"perceptual": 10, "generator": 0.5, "feature_matching": 10, "low_frequency": 10}
            | {"segmentation": 10},
        ),
    ],
)
def test_the_baselines_have_the_published_weights(stage, published):
    weights = {name: value for name, value in RECIPES[stage].weights.model_dump().items() if value}
    assert weights == published | {"identity": 1.5, "face_features": 0.2}
    assert RECIPES[stage].betas == (0.5, 0.999)
