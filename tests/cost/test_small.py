"""The small configurations of the published models are as cheap as `lite` without `InnerFace`."""

from __future__ import annotations

from pathlib import Path

import pytest

from fnevr.config.presets import find_preset
from fnevr.cost.complexity import measure_complexity

SMALL = sorted((Path(__file__).parents[2] / "benchmarks" / "small").glob("*.json"))


@pytest.fixture(scope="module")
def lite(tmp_path_factory):
    preset = find_preset("lite")
    assert preset is not None
    config = preset.config().model_copy(update={"inner_face_width": 0})
    path = tmp_path_factory.mktemp("lite") / "lite.json"
    path.write_text(config.model_dump_json())
    return measure_complexity(str(path), repeats=0)


@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.stem)
def test_a_frame_costs_what_it_costs_with_lite(path, lite):
    small = measure_complexity(str(path), repeats=0)
    assert small.frame_gmacs == pytest.approx(lite.frame_gmacs, rel=0.12)
    assert small.side == lite.side
