from __future__ import annotations

import functools
import json

import pytest
from safetensors.torch import load_file
from typer.testing import CliRunner

from fnevr.cli import app
from fnevr.cost.complexity import (
    NAMES,
    Complexity,
    complexity_table,
    config_of,
    measure_complexity,
)
from fnevr.errors import CheckpointError, FnevrError

# Counted by the reference's keepers with their own counter: generator, detector, head estimator.
REFERENCE_GMACS = {
    "base": (127.58 + 1.31, 1.31),
    "face-vid2vid": (196.15 + 19.39 + 7.84, 7.84),
    "face-vid2vid-s": (602.21 + 19.39 + 7.84, 7.84),
}


@functools.cache
def counted(name: str) -> Complexity:
    """Count a model once for all tests that look at it: Face vid2vid-S takes ten seconds."""
    return measure_complexity(name, repeats=0)


@pytest.mark.parametrize("name", list(REFERENCE_GMACS))
def test_multiply_adds_are_those_of_the_reference(name):
    """Theirs run the detector (the head estimator) once; both pictures need it."""
    once, again = REFERENCE_GMACS[name]
    found = counted(name)
    assert found.plain_gmacs == pytest.approx(once + again, rel=3e-3)


@pytest.mark.parametrize("name", ["base", "face-vid2vid", "face-vid2vid-s"])
def test_the_papers_figures_are_met_within_one_percent(name):
    found = counted(name)
    assert found.published is not None
    assert found.plain_gmacs == pytest.approx(found.published["gmacs"], rel=0.01)
    assert found.parameters_m == pytest.approx(found.published["parameters_m"], rel=0.01)


def test_dagan_differs_by_one_pass_of_its_depth_network():
    found = counted("dagan")
    assert found.published is not None
    depth = 4.26
    assert found.plain_gmacs - depth == pytest.approx(found.published["gmacs"], rel=0.01)


def test_what_differs_by_more_than_a_percent_is_explained():
    rows = [counted(name) for name in ("fomm", "dagan")]
    table = complexity_table(rows).splitlines()
    assert len(table) == 6
    assert table[5].startswith("DaGAN: the paper counts its depth network once")
    assert all(row.published is None or row.name == "dagan" for row in rows)


def test_folding_saves_a_third_of_base():
    found = counted("base")
    assert found.source_gmacs + found.frame_gmacs == pytest.approx(83.6, abs=0.1)


def test_lite_is_timed():
    found = measure_complexity("lite", repeats=1)
    assert found.fps is not None
    assert found.fps > 0
    assert found.published is None
    assert found.parameters_m < 6
    assert found.frame_gmacs < 3.6


def test_table_and_json(tmp_path):
    rows = [counted(name) for name in ("lite", "base")]
    table = complexity_table(rows).splitlines()
    assert len(table) == 4
    assert "61.378" in table[3]
    assert "36.568" in table[3]
    path = tmp_path / "c.json"
    options = ["--model", "base", "--repeats", "0", "--json", str(path)]
    result = CliRunner().invoke(app, ["complexity", *options])
    assert result.exit_code == 0, result.output
    (row,) = json.loads(path.read_text())
    assert row["plain_gmacs"] == rows[1].plain_gmacs
    assert row["fps"] is None


def test_every_name_has_a_configuration_and_others_say_so():
    assert {config_of(name).image_size for name in NAMES} == {256}
    with pytest.raises(FnevrError, match="no model 'huge': it is neither one of lite, base"):
        config_of("huge")


def test_ones_own_model_is_counted_from_its_folder_or_configuration(tiny_model_folder, tmp_path):
    of_folder = measure_complexity(str(tiny_model_folder), repeats=0)
    alone = tmp_path / "mine.json"
    alone.write_bytes((tiny_model_folder / "config.json").read_bytes())
    of_file = measure_complexity(str(alone), repeats=0)
    assert of_file.parameters_m == of_folder.parameters_m
    assert of_file.frame_gmacs == of_folder.frame_gmacs
    weights = load_file(tiny_model_folder / "model.safetensors")
    assert of_folder.parameters_m * 1e6 <= sum(tensor.numel() for tensor in weights.values())
    assert of_folder.published is None
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError):
        config_of(str(tmp_path))
