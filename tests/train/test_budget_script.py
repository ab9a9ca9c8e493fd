"""scripts/train_budget.sh rehearsed at tiny size, and scripts/pack_clips.py."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from fnevr.data.clips import load_clips
from fnevr.errors import FnevrError
from fnevr.models import load_model

SCRIPTS = Path(__file__).parents[2] / "scripts"
FILES = {
    *("config.json", "model.safetensors", "report.json", "report.md"),
    *("sheet.png", "log.jsonl", "recipe.json"),
}


def load_script(name):
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def train_budget():
    return load_script("train_budget")


@pytest.fixture(scope="module")
def pack_clips():
    return load_script("pack_clips")


@pytest.fixture
def start(tiny_folders, tmp_path):
    """Start the shell script on the tiny model and clips."""
    processes = []

    def run(minutes, *more, **environment):
        data, init = tiny_folders
        options = ["--init", init, "--device", "cpu", "--set", "batch_size=2", "--set", "window=32"]
        command = [SCRIPTS / "train_budget.sh", minutes, tmp_path / "out", *options, *more]
        environment = {"PYTHON": sys.executable, "FNEVR_DATA": str(data)} | environment
        process = subprocess.Popen(
            [str(part) for part in command],
            env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


def check_result(out):
    model = load_model(out)
    assert all(value.isfinite().all() for value in model.state_dict().values())
    report = json.loads((out / "report.json").read_text())
    assert report["end"]["psnr"] >= report["start"]["psnr"]
    assert "| mean |" in (out / "report.md").read_text()
    with Image.open(out / "sheet.png") as sheet:
        assert sheet.size == (5 * 64, 64)
    assert all(path.is_file() for path in out.iterdir())
    return report


@pytest.mark.slow
def test_ends_in_time_with_weights_report_and_sheet(start, tmp_path):
    begin_s = time.monotonic()
    process = start(1)  # a slow machine takes half of it for PyTorch and the first validation
    _, errors = process.communicate(timeout=120)
    assert time.monotonic() - begin_s < 60
    assert process.returncode == 0, errors
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    report = check_result(tmp_path / "out")
    assert report["steps"] > 0
    assert report["recipe"]["batch_size"] == 2
    assert report["notes"] in ([], ["no validation of the run was better than the start"])


def test_sigterm_writes_the_best_so_far(start, tmp_path):
    run = tmp_path / "run"
    process = start(60, "--run", run, "--set", "checkpoint_every=1")
    while not (run / "last.pt").exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    # The first steps are not logged yet.
    assert FILES - {path.name for path in (tmp_path / "out").iterdir()} <= {"log.jsonl"}
    assert "ended by SIGTERM" in check_result(tmp_path / "out")["notes"]


def test_bad_input_says_so_and_exits_with_2(start, tiny_folders):
    process = start(1, FNEVR_DATA=str(tiny_folders[1]))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "is no prepared folder" in errors


def test_alarm_ends_what_hangs(train_budget):
    begin_s = time.monotonic()
    with (
        pytest.raises(train_budget.TimeIsUp, match="the alarm"),
        train_budget.alarm(time.time() + 0.05),
    ):
        time.sleep(5)
    assert time.monotonic() - begin_s < 1


@pytest.mark.parametrize(
    ("memory", "limit", "expected"), [(100, 256, 64), (1000, 256, 256), (3, 256, 2), (64, 24, 16)]
)
def test_batch_is_doubled_while_it_fits(train_budget, memory, limit, expected):
    tried = []

    def fits(size):
        tried.append(size)
        return size <= memory

    assert train_budget.largest_batch(fits, limit, lambda: True) == expected
    assert len(tried) == len(set(tried))
    assert train_budget.largest_batch(lambda _: True, 256, lambda: False) == 16


def test_nothing_that_fits_says_so(train_budget):
    with pytest.raises(FnevrError, match="not even one pair fits"):
        train_budget.largest_batch(lambda _: False, 256, lambda: True)


def test_long_weights_come_in_parts(train_budget, tmp_path):
    source = tmp_path / "model.safetensors"
    source.write_bytes(bytes(range(250)))
    out = tmp_path / "out"
    out.mkdir()
    parts = train_budget.split_file(source, out, part_bytes=100)
    assert [path.name[-6:] for path in parts] == [".part0", ".part1", ".part2"]
    assert b"".join(path.read_bytes() for path in parts) == source.read_bytes()
    (whole,) = train_budget.split_file(source, out, part_bytes=250)
    assert whole.name == "model.safetensors"


def test_packed_folder_is_a_smaller_prepared_folder(pack_clips, tiny_folders, tmp_path):
    data, _ = tiny_folders
    out = tmp_path / "packed"
    result = CliRunner().invoke(pack_clips.app, [str(data), str(out), "--max-mib", "0.04"])
    assert result.exit_code == 0, result.output
    assert "every 2 frames" in result.output
    (clip,), (original,) = load_clips(out, "train"), load_clips(data, "train")
    assert len(clip.frames) == 3
    assert np.array_equal(clip.landmarks, original.landmarks[::2])
    assert np.abs(clip.frames[1].astype(int) - original.frames[2]).mean() < 8
    assert sum(path.stat().st_size for path in out.rglob("*.tar")) < 0.04 * 2**20
    again = CliRunner().invoke(pack_clips.app, [str(data), str(out)])
    assert again.exit_code == 2
    assert "exists already" in again.output


def test_step_that_fits(pack_clips):
    assert pack_clips.choose_step([100, 100], 1024, 1) == 1
    assert pack_clips.choose_step([1000, 1000], 1024, 1) == 2
    with pytest.raises(FnevrError, match=r"two frames of each of 2 clips are more than 0\.001"):
        pack_clips.choose_step([100, 100], 1024, 0.001)
