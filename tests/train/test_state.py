from __future__ import annotations

from dataclasses import asdict

import pytest
import torch
from torch import nn

from fnevr.errors import CheckpointError
from fnevr.models.checkpoint_file import write_checkpoint
from fnevr.train.state import RunProgress, restore_state, save_state


def test_progress_and_parts_come_back(tmp_path):
    progress = RunProgress(step=7, minutes=1.5, best_psnr=20.0, sums={"image": 0.1}, log_lines=3)
    part = nn.Linear(2, 3)
    save_state(tmp_path / "last.pt", progress, {"model": part})
    again = nn.Linear(2, 3)
    assert restore_state(tmp_path / "last.pt", {"model": again}) == progress
    assert torch.equal(again.weight, part.weight)
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


@pytest.mark.parametrize(
    "parts", [{}, {"model": nn.Linear(3, 3)}, {"model": nn.Linear(2, 3), "critic": nn.Linear(1, 1)}]
)
def test_other_parts_say_so(parts, tmp_path):
    save_state(tmp_path / "last.pt", RunProgress(), {"model": nn.Linear(2, 3)})
    with pytest.raises(CheckpointError, match="cannot take up this run"):
        restore_state(tmp_path / "last.pt", parts)


@pytest.mark.parametrize(
    "changed",
    [
        {"step": -1},
        {"step": 10**30},
        {"step": 1.5},
        {"step": True},
        {"minutes": float("nan")},
        {"minutes": -1.0},
        {"validations": -3},
        {"best_psnr": float("nan")},
        {"best_psnr": "high"},
        {"log_lines": None},
        {"sums": {"image": float("nan")}},
        {"means": {1: 2.0}},
        {"counts": 3},
    ],
)
def test_progress_that_no_run_can_have_is_refused(tmp_path, changed):
    model = nn.Linear(2, 3)
    content = {"model": model.state_dict(), "progress": asdict(RunProgress()) | changed}
    write_checkpoint(tmp_path / "last.pt", content)
    with pytest.raises(CheckpointError, match="cannot take up this run"):
        restore_state(tmp_path / "last.pt", {"model": model})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("exp_avg", torch.zeros(7)),
        ("exp_avg_sq", torch.tensor(float("nan")).expand(3, 2)),
        ("exp_avg", "much"),
    ],
)
def test_an_optimizer_that_does_not_fit_is_refused(tmp_path, name, value):
    def parts():
        model = nn.Linear(2, 3)
        optimizer = torch.optim.Adam(model.parameters())
        model(torch.ones(1, 2)).sum().backward()
        optimizer.step()
        return {"model": model, "optimizer": optimizer}

    saved = parts()
    save_state(tmp_path / "last.pt", RunProgress(), saved)
    restore_state(tmp_path / "last.pt", parts())
    saved["optimizer"].state[saved["model"].weight][name] = value
    save_state(tmp_path / "last.pt", RunProgress(), saved)
    with pytest.raises(CheckpointError, match="cannot take up this run"):
        restore_state(tmp_path / "last.pt", parts())


@pytest.mark.parametrize("content", [b"", b"no checkpoint", None])
def test_a_damaged_checkpoint_says_so(tmp_path, content):
    if content is None:
        (tmp_path / "last.pt").mkdir()
    else:
        (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot take up this run"):
        restore_state(tmp_path / "last.pt", {"model": nn.Linear(2, 3)})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("part", ["weights", "buffers", "average"])
def test_weights_that_are_no_numbers_are_refused(tmp_path, value, part):
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    state = {"model": model.state_dict(), "average": {"shadow": [torch.zeros(2), torch.ones(3)]}}
    broken = {
        "weights": state["model"]["0.weight"],
        "buffers": state["model"]["1.running_var"],
        "average": state["average"]["shadow"][1],
    }[part]
    broken.reshape(-1)[-1] = value

    class Average:
        def load_state_dict(self, state):
            raise AssertionError("it was loaded unchecked")

    content = {**state, "progress": asdict(RunProgress())}
    write_checkpoint(tmp_path / "last.pt", content)
    parts = {"model": model} if part != "average" else {"average": Average()}
    content = {name: content[name] for name in (*parts, "progress")}
    write_checkpoint(tmp_path / "last.pt", content)
    with pytest.raises(CheckpointError, match=r"(?s)cannot take up this run.*infinities or NaN"):
        restore_state(tmp_path / "last.pt", parts)
