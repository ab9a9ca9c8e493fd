from __future__ import annotations

import json

import pytest
import torch
from support.killed import left_by_a_kill
from typer.testing import CliRunner

from fnevr.cli import app
from fnevr.cost.bench import PLAIN, _folder, bench, bench_table
from fnevr.cost.ceilings import seconds


@pytest.fixture
def quick(monkeypatch):
    """Ceilings that cost nothing to measure."""
    ceilings = {"float32": 100.0, "int8": 400.0, "copy, GB/s": 20.0}
    monkeypatch.setattr("fnevr.cost.bench.measure_ceilings", lambda device: ceilings)


@pytest.fixture
def folder(tmp_path, tiny_models):
    tiny_models["lite"].save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


def test_variants_are_set_against_the_plain_loop(quick, folder):
    found = bench(str(folder), ["torch"], ["float32", "int8"], [1, 2], repeats=2)
    assert [(row.engine, row.precision, row.batch) for row in found.rows] == [
        (PLAIN, "float32", 1),
        (PLAIN, "float32", 2),
        ("torch", "float32", 1),
        ("torch", "float32", 2),
    ]
    assert found.has_weights
    assert 0 < found.folded_gmacs < found.plain_gmacs
    assert list(found.missing) == ["torch, int8"]
    plain, _, folded, _ = found.rows
    assert plain.speedup == 1
    assert folded.max_levels < 0.05
    for row in found.rows:
        assert row.fps == pytest.approx(1e3 / (row.keypoints_ms + row.draw_ms))
        assert row.share == pytest.approx(row.gmacs_per_s / 100)


def test_what_a_killed_one_left_is_removed(tmp_path, monkeypatch, tiny_configs):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("fnevr.cost.bench.config_of", lambda _name: tiny_configs["fomm"])
    left_by_a_kill(tmp_path).mkdir()
    with _folder("fomm", set(), False, None) as (folder, has_weights):
        assert not has_weights
        assert (folder / "model.safetensors").is_file()
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["pirender", "bilayer"])
def test_models_that_are_told_of_faces_are_timed(quick, monkeypatch, face_driven_configs, name):
    monkeypatch.setattr("fnevr.cost.bench.config_of", lambda _name: face_driven_configs[name])
    found = bench(name, ["torch", "onnx"], ["float32"], [1, 2], repeats=1)
    assert [row.engine for row in found.rows] == [PLAIN, PLAIN, "torch", "torch"]
    assert found.missing["onnx, float32"].startswith(f"'{name}' has no graphs")
    assert max(row.max_levels for row in found.rows) < 0.05
    assert 0 < found.folded_gmacs < found.plain_gmacs


def test_a_preset_without_weights_is_timed_all_the_same(quick, monkeypatch, tiny_lite_config):
    monkeypatch.setattr("fnevr.cost.bench.config_of", lambda name: tiny_lite_config)
    found = bench("base", ["torch"], ["float32"], repeats=1)
    assert not found.has_weights
    assert "weights drawn at random" in bench_table(found)


def test_the_command_prints_a_table_and_writes_json(quick, folder, tmp_path):
    options = ["--engine", "torch", "--repeats", "1", "--device", "cpu"]
    target = tmp_path / "bench.json"
    result = CliRunner().invoke(
        app, ["bench", "--model", str(folder), *options, "--json", str(target)]
    )
    assert result.exit_code == 0, result.output
    assert "| plain loop | float32 | 1 |" in result.stdout
    assert "| copy, GB/s | 20 |" in result.stdout
    assert json.loads(target.read_text())["device"] == "cpu"


def test_seconds_is_the_median_after_warm_up():
    calls = []

    def run():
        calls.append(0)
        return torch.zeros(())

    assert seconds(run, "cpu", repeats=3) >= 0
    assert len(calls) == 5
