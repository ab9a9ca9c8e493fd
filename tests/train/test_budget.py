from __future__ import annotations

import pytest

from fnevr.train.budget import FINAL_RATE, WARM_UP_STEPS, rate_factor, spent
from fnevr.train.recipe import FullRecipe, ReferenceRecipe
from fnevr.train.recipe_table import RECIPES

LITE = pytest.mark.parametrize("stage", ["motion", "full"])


def test_the_budget_that_ends_first_counts():
    both = FullRecipe(minutes=10, steps=100)
    assert spent(both, 50, 2.0) == 0.5
    assert spent(both, 10, 4.0) == 0.4
    assert spent(both, 100, 4.0) == 1.0


def test_a_step_budget_does_not_look_at_the_clock():
    assert spent(FullRecipe(minutes=None, steps=8), 2, 1e9) == 0.25
    assert spent(FullRecipe(minutes=8), 10**9, 2.0) == 0.25


@LITE
def test_rates_of_lite_warm_up_then_fall_along_a_cosine(stage):
    recipe = RECIPES[stage]
    assert rate_factor(recipe, 0.0, 0) == pytest.approx(1 / WARM_UP_STEPS)
    assert rate_factor(recipe, 0.0, WARM_UP_STEPS) == 1.0
    assert rate_factor(recipe, 0.5, WARM_UP_STEPS) == pytest.approx((1 + FINAL_RATE) / 2)
    assert rate_factor(recipe, 1.0, 10**6) == pytest.approx(FINAL_RATE)
    assert rate_factor(recipe, 7.0, 10**6) == pytest.approx(FINAL_RATE)


def test_rates_of_the_reference_fall_at_the_released_milestones():
    """Epochs 60 and 90 of 100, as `MultiStepLR` counts them: from that epoch on; no warm-up."""
    recipe = ReferenceRecipe(minutes=None, steps=100)
    factors = [rate_factor(recipe, spent(recipe, step, 0.0), step) for step in range(101)]
    expected = [1.0] * 60 + [0.1] * 30 + [0.01] * 11
    assert factors == pytest.approx(expected)
    assert [recipe.motion_rate, recipe.generator_rate, recipe.discriminator_rate] == [2e-4] * 3
    assert recipe.betas == (0.5, 0.999)
