from __future__ import annotations

import pytest

from fnevr.train.budget import FINAL_RATE, WARM_UP_STEPS, rate_factor, spent
from fnevr.train.recipe import Recipe


def test_the_budget_that_ends_first_counts():
    both = Recipe(minutes=10, steps=100)
    assert spent(both, 50, 2.0) == 0.5
    assert spent(both, 10, 4.0) == 0.4
    assert spent(both, 100, 4.0) == 1.0


def test_a_step_budget_does_not_look_at_the_clock():
    assert spent(Recipe(minutes=None, steps=8), 2, 1e9) == 0.25
    assert spent(Recipe(minutes=8), 10**9, 2.0) == 0.25


def test_rates_warm_up_then_fall():
    assert rate_factor(0.0, 0) == pytest.approx(1 / WARM_UP_STEPS)
    assert rate_factor(0.0, WARM_UP_STEPS) == 1.0
    assert rate_factor(0.5, WARM_UP_STEPS) == pytest.approx((1 + FINAL_RATE) / 2)
    assert rate_factor(1.0, 10**6) == pytest.approx(FINAL_RATE)
    assert rate_factor(7.0, 10**6) == pytest.approx(FINAL_RATE)
