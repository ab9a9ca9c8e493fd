"""The small configurations of the published models are as cheap as `lite`."""

from __future__ import annotations

from pathlib import Path

import pytest

from fnevr.cost.complexity import measure_complexity

SMALL = sorted((Path(__file__).parents[2] / "benchmarks" / "small").glob("*.json"))


@pytest.fixture(scope="module")
def lite():
    return measure_complexity("lite", repeats=0)


@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.stem)
def test_a_frame_costs_what_it_costs_with_lite(path, lite):
    small = measure_complexity(str(path), repeats=0)
    assert small.frame_gmacs == pytest.approx(lite.frame_gmacs, rel=0.1)
    assert small.side == lite.side
