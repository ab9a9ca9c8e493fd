from __future__ import annotations

import json

import numpy as np
import pytest

from fnevr.train.log import RunLog


def records(path):
    return [json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()]


def test_takes_up_the_log_where_the_checkpoint_left_it(tmp_path):
    log = RunLog(tmp_path, 0, 0)
    for step in (50, 100, 150):
        log.write({"step": step, "image": step / 10})
    log.close()
    assert log.num_lines == 3
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 2')
    again = RunLog(tmp_path, 2, 100)
    assert [r["step"] for r in records(tmp_path)] == [50, 100]
    again.write({"step": 150, "image": 1.0})
    again.close()
    assert [r["step"] for r in records(tmp_path)] == [50, 100, 150]


def test_tensorboard_gets_scalars_and_pictures(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import (  # noqa: PLC0415
        EventAccumulator,
    )

    log = RunLog(tmp_path, 0, 0)
    log.write({"step": 50, "image": 0.25})
    log.show(np.zeros((4, 6, 3), np.uint8), 50)
    log.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("image")] == [(50, 0.25)]
    assert [(e.step, e.width, e.height) for e in events.Images("pictures")] == [(50, 6, 4)]


def test_without_tensorboard_there_is_the_file_alone(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    log = RunLog(tmp_path, 0, 0)
    log.write({"step": 1, "image": 0.5})
    log.show(np.zeros((4, 6, 3), np.uint8), 1)
    log.close()
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]


def test_what_json_does_not_have_becomes_null(tmp_path):
    log = RunLog(tmp_path, 0, 0)
    log.write({"step": 1, "psnr": float("nan"), "gain": float("inf"), "loss": 0.5})
    log.close()
    (line,) = (tmp_path / "log.jsonl").read_text().splitlines()

    def refuse(name):
        raise AssertionError(name)

    record = json.loads(line, parse_constant=refuse)
    assert record == {"step": 1, "psnr": None, "gain": None, "loss": 0.5}
