"""Real processes of `fnevr train`: killed and taken up again, and two that share the batches."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
import torch

from fnevr.train.launch import make_trainer
from fnevr.train.recipe_choice import choose_recipe


def environment(**extra):
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"} | extra


@pytest.fixture
def start(tiny_folders):
    """Start `fnevr train` from the tiny model; what still runs after the test is killed."""
    processes = []

    def run(run_dir, *options, **extra):
        data, init = tiny_folders
        command = [sys.executable, "-m", "fnevr", "train", data, run_dir, "--init", init, *options]
        process = subprocess.Popen(
            [str(part) for part in command],
            env=environment(**extra),
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


def finish(process):
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors.decode()


def options_for(steps, **changes):
    values = {"batch_size": 2, "window": 32, "checkpoint_every": 3, "validations": 2} | changes
    settings = [part for name, value in values.items() for part in ("--set", f"{name}={value}")]
    return ["--steps", steps, "--device", "cpu", *settings]


def state_of(run):
    return torch.load(run / "last.pt", weights_only=True)


def assert_same(one, other, path=""):
    """Compare nested states, bit for bit; times may differ."""
    assert type(one) is type(other), path
    if isinstance(one, dict):
        assert one.keys() == other.keys(), path
        for key in one.keys() - {"minutes"}:
            assert_same(one[key], other[key], f"{path}/{key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), path
        for index, pair in enumerate(zip(one, other, strict=True)):
            assert_same(*pair, f"{path}/{index}")
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other), path
    else:
        assert one == other, path


def log_of(run):
    lines = (run / "log.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "minutes"} for line in lines]


def kill_after_a_checkpoint(process, run, delay_s):
    """Kill the process a while after it has written a checkpoint of its own."""
    path, start_s = run / "last.pt", time.monotonic()
    before = path.stat().st_mtime_ns if path.exists() else None
    while process.poll() is None and time.monotonic() < start_s + 60:
        if path.exists() and path.stat().st_mtime_ns != before:
            break
        time.sleep(0.005)
    time.sleep(delay_s)
    assert process.poll() is None, process.communicate()[1].decode()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("num_kills", [pytest.param(1), pytest.param(10, marks=pytest.mark.slow)])
def test_killed_and_taken_up_ends_as_if_nothing_had_happened(num_kills, start, tmp_path):
    options = options_for(15 * num_kills + 15)
    straight = start(tmp_path / "straight", *options)
    killed, draw = tmp_path / "killed", random.Random(0)
    for _ in range(num_kills):
        process = start(killed, *options)
        kill_after_a_checkpoint(process, killed, draw.uniform(0, 0.3))
    finish(start(killed, *options))
    finish(straight)
    assert_same(state_of(killed), state_of(tmp_path / "straight"))
    assert log_of(killed) == log_of(tmp_path / "straight")
    for name in ("best", "model"):
        weights = [p / name / "model.safetensors" for p in (killed, tmp_path / "straight")]
        assert weights[0].read_bytes() == weights[1].read_bytes()
    leftovers = [path for path in killed.iterdir() if path.name.startswith(".fnevr-")]
    assert len(leftovers) <= num_kills  # what a kill in the middle of writing leaves


def test_sigterm_ends_with_a_checkpoint_and_says_how_to_go_on(start, tmp_path):
    run = tmp_path / "run"
    process = start(run, *options_for(10**6))
    while not (run / "last.pt").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors.decode()
    assert b"the same command goes on" in errors
    step = state_of(run)["progress"]["step"]
    assert f"stopped at step {step}".encode() in errors


@pytest.mark.parametrize(
    ("accumulate", "stray"), [(1, 0.0), pytest.param(2, 0.001, marks=pytest.mark.slow)]
)
def test_two_processes_train_as_one_with_the_whole_batch(
    accumulate, stray, tiny_folders, start, tmp_path
):
    """To 1e-5, statistics of the batches included; in turns, the turns are the same too.

    Left out are biases that the next operation takes away again (a batch normalization, or a
    softmax): their gradient is zero but for rounding, which Adam magnifies to whole steps. In
    turns, whose sums round more, that befalls a few weights of tiny gradient too.
    """
    options = options_for(4, batch_size=4, accumulate=accumulate, seed=5)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    pair = [
        start(
            tmp_path / "pair",
            *options,
            WORLD_SIZE="2",
            RANK=str(rank),
            LOCAL_RANK=str(rank),
            MASTER_ADDR="127.0.0.1",
            MASTER_PORT=port,
        )
        for rank in range(2)
    ]
    data, init = tiny_folders
    settings = [text for text in options[4:] if text != "--set"]
    recipe = choose_recipe("full", ["steps=4", *settings])
    alone = make_trainer(data, tmp_path / "alone", recipe, init=str(init), device="cpu")
    before = {name: value.clone() for name, value in alone.model.state_dict().items()}
    alone.run()
    for process in pair:
        finish(process)
    one, two = state_of(tmp_path / "alone"), state_of(tmp_path / "pair")
    idle = re.compile(r".*conv(_\d)?\.bias|detector\.heatmaps\.bias")
    names = [name for name in before if not idle.fullmatch(name)]
    for part in ("model", "average"):
        a, b = (
            torch.cat([run[part][name].double().flatten() for name in names]) for run in (one, two)
        )
        difference = (a - b).abs()
        assert (difference > 1e-5 * (1 + b.abs())).double().mean() <= stray
        assert difference.max() < 1e-4
    changes = [(one["model"][name] - before[name]).abs().float().mean() for name in names]
    assert sum(change > 3e-5 for change in changes) > len(names) / 4
    assert log_of(tmp_path / "pair")[0].keys() == log_of(tmp_path / "alone")[0].keys()


def test_training_imports_neither_video_nor_face_libraries():
    """A machine that only trains has none of them; nor what only draws the progress."""
    blocked = ("av", "onnxruntime", "rich", "typer", "tensorboard", "efficientnet_lite0")
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({blocked!r}))\n"
        "import accelerate, fnevr.train.launch, fnevr.train.recipe_choice\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=False, env=environment()
    )
    assert done.returncode == 0, done.stderr.decode()
