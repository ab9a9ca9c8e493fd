from __future__ import annotations

import pytest
import torch
from torch import nn

from fnevr.errors import CheckpointError
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
