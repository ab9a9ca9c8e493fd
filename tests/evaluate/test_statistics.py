from __future__ import annotations

import numpy as np

from fnevr.evaluate.statistics import bootstrap_interval, paired_p_value


def test_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        low, high = bootstrap_interval(rng.normal(3, 1, 40))
        hits += low < 3 < high
    assert 0.88 < hits / 200 < 0.99


def test_interval_is_the_same_every_time_and_leaves_out_the_unknown():
    values = np.append(np.nan, np.random.default_rng(0).normal(size=30))
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values[1:], seed=3)
    assert bootstrap_interval(values, seed=3) != bootstrap_interval(values, seed=4)
    assert np.isnan(bootstrap_interval(np.array([1.0, np.nan]))).all()


def test_p_value_of_all_flips():
    # Of the 8 flips of (1, 1, 1), two have a mean as large in size.
    assert paired_p_value(np.ones(3), np.zeros(3)) == 2 / 8
    assert paired_p_value(np.array([1.0, -1.0]), np.zeros(2)) == 1
    assert np.isnan(paired_p_value(np.ones(1), np.zeros(1)))


def test_p_value_is_small_for_a_steady_difference_and_not_for_chance():
    rng = np.random.default_rng(0)
    others = rng.normal(size=30)
    better = others + 0.2 + 0.1 * rng.normal(size=30)
    assert paired_p_value(better, others) < 1e-3
    assert paired_p_value(better, others) == paired_p_value(others, better)
    by_chance = [
        paired_p_value(rng.normal(size=20), rng.normal(size=20)) < 0.05 for _ in range(100)
    ]
    assert sum(by_chance) < 15
    values = np.append(better, np.nan)
    assert paired_p_value(values, np.append(others, 1.0)) == paired_p_value(better, others)
