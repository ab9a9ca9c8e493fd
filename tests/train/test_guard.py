from __future__ import annotations

import math

import pytest

from fnevr.errors import FnevrError
from fnevr.train.guard import EXPLODED, GRACE_STEPS, DivergenceError, Guard


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_names_the_terms_that_are_not_finite(bad):
    terms = {"image": 1.0, "warped": bad, "position": bad}
    with pytest.raises(DivergenceError, match="at step 7, in warped, position: resume"):
        Guard().check(7, terms, 1.0)


def test_names_the_gradient():
    with pytest.raises(DivergenceError, match="gradient is not finite at step 3"):
        Guard().check(3, {"image": 1.0}, math.nan)


def test_a_term_that_explodes_is_named_after_the_grace_steps():
    guard = Guard()
    guard.check(0, {"image": 1.0, "warped": 1.0}, 1.0)
    guard.check(1, {"image": 1e9, "warped": 1.0}, 1.0)
    guard = Guard()
    for step in range(GRACE_STEPS):
        guard.check(step, {"image": 1.0, "warped": 2.0}, 1.0)
    guard.check(GRACE_STEPS, {"image": 0.9 * EXPLODED, "warped": 2.0}, 1.0)
    with pytest.raises(DivergenceError, match=r"exploded at step 201: warped is 1000, 2 on aver"):
        guard.check(GRACE_STEPS + 1, {"image": 1.0, "warped": 1000.0}, 1.0)


def test_it_is_an_error_that_the_command_line_reports():
    assert issubclass(DivergenceError, FnevrError)


def test_terms_of_some_steps_have_means_of_their_own():
    guard = Guard()
    guard.check(0, {"image": 1.0, "equivariance": 5.0}, 1.0)
    guard.check(1, {"image": 2.0}, 1.0)
    assert guard.num_seen == {"image": 2, "equivariance": 1}
    assert guard.means == {"image": pytest.approx(1.01), "equivariance": pytest.approx(5.0)}
