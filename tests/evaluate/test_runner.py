from __future__ import annotations

import csv
import json
import math
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from fnevr.cli import app
from fnevr.config.shard import Shard
from fnevr.errors import CheckpointError, FaceError, FnevrError, MediaError
from fnevr.evaluate import plots, runner
from fnevr.evaluate.clips import find_clips
from fnevr.evaluate.columns import BY_NAME
from fnevr.evaluate.metrics.l1 import l1
from fnevr.evaluate.metrics.psnr import psnr
from fnevr.evaluate.networks.available import Networks
from fnevr.evaluate.published import published_tables
from fnevr.evaluate.report import table_text, write_report
from fnevr.evaluate.runner import EvaluationSettings, choose_models, run_evaluation
from fnevr.evaluate.scorer import ClipScorer
from fnevr.evaluate.summary import summarize_evaluation
from fnevr.media.writer import VideoWriter


def simple_networks(_files):
    """No network but the face mesh: quick, and there on every machine."""
    found = Networks(pictures={"l1": l1, "psnr": psnr}, missing={"fid": "not <here>"})
    found.features["fid-efficientnet"] = lambda images: images.float().mean(dim=3).flatten(1)[:, :9]
    return found


@contextmanager
def quick_networks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "load_networks", simple_networks)
        runner._networks.cache_clear()
        yield
    runner._networks.cache_clear()


@pytest.fixture
def quick():
    with quick_networks():
        yield


@pytest.fixture(scope="module")
def data(walk, tmp_path_factory):
    """Two people in a table of cropped clips: one wanders to the right, one to the left."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "clips").mkdir()
    rows = ["name\tsplit\tidentity\tmotion"]
    for name, frames in (("right", walk[:4]), ("left", walk[:4, :, ::-1])):
        with VideoWriter(folder / "clips" / f"{name}.mp4", 256, 256, Fraction(25), None) as writer:
            for rgb in frames:
                writer.write(np.ascontiguousarray(rgb))
        rows.append(f"{name}.mp4\tval\t{name}\t0.1")
    rows.append("other.mp4\ttrain\tother\t0.1")
    (folder / "clips.tsv").write_text("\n".join(rows) + "\n")
    return folder


def evaluated(data, tiny_model_folder, out, **settings):
    models = [f"tiny={tiny_model_folder}", "lite"]
    return run_evaluation(data, models, out, settings=EvaluationSettings(**settings), workers=1)


@pytest.fixture(scope="module")
def whole(data, tiny_model_folder, tmp_path_factory):
    """An evaluation with the default settings, and its folder: both not to be changed."""
    folder = tmp_path_factory.mktemp("whole")
    with quick_networks():
        return evaluated(data, tiny_model_folder, folder), folder


def test_clips_of_a_table_of_a_folder_and_of_nothing(data, tmp_path):
    clips = find_clips(data, "val")
    assert [(clip.name, clip.identity) for clip in clips] == [("right", "right"), ("left", "left")]
    assert clips[0].load(64).shape == (4, 64, 64, 3)
    assert len(find_clips(data, None)) == 3
    plain = find_clips(data / "clips", "val")
    assert sorted(clip.name.partition("-")[0] for clip in plain) == ["left", "right"]
    (tmp_path / "clips.tsv").write_text("name\tsplit\tidentity\tmotion\na\ttrain\ta\t0\n")
    with pytest.raises(MediaError, match="no clips of the split"):
        find_clips(tmp_path, "val")


@pytest.mark.usefixtures("quick")
def test_a_crash_at_a_clip_resumes_and_the_numbers_are_the_same(
    data, whole, tiny_model_folder, tmp_path, monkeypatch
):
    scored, score = [], ClipScorer.score

    def counting(self, predict):
        scored.append(self)
        if len(scored) == 5:  # in the middle of the second clip
            raise RuntimeError("crash")
        return score(self, predict)

    monkeypatch.setattr(ClipScorer, "score", counting)
    with pytest.raises(RuntimeError, match="crash"):
        evaluated(data, tiny_model_folder, tmp_path)
    resumed = evaluated(data, tiny_model_folder, tmp_path)
    assert len(scored) == 5 + 2  # what was left, no more

    straight, folder = whole
    first, second = (summarize_evaluation(one) for one in (straight, resumed))
    assert repr(first.cells) == repr(second.cells)
    for path in sorted((folder / "scores").rglob("*.npz")):
        assert path.read_bytes() == (tmp_path / path.relative_to(folder)).read_bytes()
    assert not list(tmp_path.rglob(".*"))


@pytest.mark.usefixtures("quick")
def test_shards_make_the_whole_together(data, tiny_model_folder, tmp_path):
    models, out = [f"tiny={tiny_model_folder}"], tmp_path / "out"
    first = run_evaluation(data, models, out, workers=1, shard=Shard(1, 2))
    assert ([pair.name for pair in first.pairs], first.waiting) == (["right"], ["left"])
    second = run_evaluation(data, models, out, workers=1, shard=Shard(2, 2))
    assert second.waiting == []
    whole = run_evaluation(data, models, tmp_path / "whole", workers=1)
    assert repr(summarize_evaluation(second)) == repr(summarize_evaluation(whole))


@pytest.mark.usefixtures("quick")
def test_a_pair_that_fails_is_left_out_of_all_models_and_told(
    data, tiny_model_folder, tmp_path, monkeypatch
):
    score = ClipScorer.score

    def failing(self, predict):
        if self.is_target and self.start.landmarks[:, 0].mean() > 128:
            raise FaceError("no face in the picture")
        return score(self, predict)

    monkeypatch.setattr(ClipScorer, "score", failing)
    found = evaluated(data, tiny_model_folder, tmp_path)
    (name,) = found.failed
    assert found.failed == {name: "still: no face in the picture"}
    assert [pair.name for pair in found.pairs] == [{"right": "left", "left": "right"}[name]]
    assert found.waiting == []
    write_report(found, tmp_path)
    assert json.loads((tmp_path / "scores.json").read_text())["left_out"] == found.failed
    page = (tmp_path / "report.html").read_text()
    assert f"clip {name}, left out of all numbers" in page
    monkeypatch.undo()


@pytest.mark.usefixtures("quick")
def test_a_report_of_the_same_scores_stays(data, tiny_model_folder, tmp_path):
    found = evaluated(data, tiny_model_folder, tmp_path)
    summary = write_report(found, tmp_path)
    (tmp_path / "report.html").write_text("as it was")
    assert repr(write_report(found, tmp_path)) == repr(summary)
    assert (tmp_path / "report.html").read_text() == "as it was"
    (tmp_path / "scores.json").write_text("{}")
    write_report(found, tmp_path)
    assert "<html" in (tmp_path / "report.html").read_text()


def test_a_folder_with_an_equals_sign_is_no_name(tiny_model_folder, tmp_path):
    folder = tmp_path / "seed=0" / "tiny"
    shutil.copytree(tiny_model_folder, folder)
    named = choose_models([str(folder), f"other={folder}"])
    assert [(model.name, model.folder) for model in named[1:]] == [
        ("tiny", folder),
        ("other", folder),
    ]


@pytest.mark.usefixtures("quick")
def test_damaged_scores_are_made_again(data, whole, tiny_model_folder, tmp_path):
    shutil.copytree(whole[1], tmp_path, dirs_exist_ok=True)
    scores = sorted(tmp_path.rglob("*.npz"))
    before = [np.load(path)["value psnr"] for path in scores if "real" not in path.parts]
    for path in scores:
        path.write_bytes(path.read_bytes()[:-40])
    evaluated(data, tiny_model_folder, tmp_path)
    again = [np.load(path)["value psnr"] for path in scores if "real" not in path.parts]
    for first, second in zip(before, again, strict=True):
        np.testing.assert_array_equal(first, second)


def test_report_says_what_was_measured(whole, tmp_path):
    found, _ = whole
    summary = write_report(found, tmp_path)
    assert [model.name for model in found.models] == ["still", "tiny", "lite"]
    assert summary.first == "tiny"

    scores = json.loads((tmp_path / "scores.json").read_text())
    lite = next(model for model in scores["models"] if model["name"] == "lite")
    clips = [clip["psnr"] for clip in lite["clips"].values()]
    assert lite["cells"]["psnr"]["mean"] == pytest.approx(sum(clips) / 2)
    assert lite["cells"]["psnr"]["low"] <= lite["cells"]["psnr"]["mean"]
    assert 0 < lite["cells"]["psnr"]["p_value"] <= 1
    assert lite["cells"]["fid-efficientnet"]["mean"] > 0
    assert scores["settings"]["seed"] == 0
    assert scores["versions"]["torch"] == torch.__version__

    rows = list(csv.DictReader((tmp_path / "scores.csv").read_text().splitlines()))
    assert [(row["clip"], row["model"]) for row in rows] == [
        (clip, model) for clip in ("right", "left") for model in ("still", "tiny", "lite")
    ]
    assert float(rows[2]["psnr"]) == pytest.approx(clips[0])

    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/jpeg;base64,") == page.count("data:image/svg+xml;base64,") == 2
    assert "http" not in page.replace("http://www.w3.org", "")  # nothing to load
    assert "not &lt;here&gt;" in page
    assert "0.0804" in page  # FNeVR's LPIPS, as published
    ours = f"<td>lite (here)</td><td>{summary.cells['lite']['l1'].mean:.4f}</td><td>-</td>"
    assert ours in page  # below it, without an LPIPS that was not measured
    assert f"{summary.cells['lite']['psnr'].mean:.2f}" in page
    assert f"{summary.cells['lite']['psnr'].mean:.2f}" in table_text(summary)


def test_frames_of_the_page_are_drawn_once_each_on_the_device_of_the_scores(
    whole, tmp_path, monkeypatch
):
    asked, told = [], []

    def drawing(model, _source, _driver, _protocol, device):
        def predict(numbers):
            asked.append((model.name, numbers.tolist(), device))
            return torch.zeros(len(numbers), 3, 256, 256)

        return predict

    monkeypatch.setattr(plots, "predictor_of", drawing)
    found = replace(whole[0], settings=EvaluationSettings(device="cpu"))
    write_report(found, tmp_path, lambda _, *count: told.append(count), "VoxCeleb2")
    # Of clips of four frames, the first is the source: seven are not to be had.
    assert asked == 2 * [("tiny", [0, 1, 2], "cpu"), ("lite", [0, 1, 2], "cpu")]
    assert told == [(0, 2), (1, 2), (2, 2)]
    assert "0.0804" not in (tmp_path / "report.html").read_text()  # of VoxCeleb


@pytest.mark.usefixtures("quick")
def test_cross_identity_is_drawn_with_a_seed_and_has_no_truth(data, tiny_model_folder, tmp_path):
    found = evaluated(data, tiny_model_folder, tmp_path, protocol="cross-identity")
    summary = write_report(found, tmp_path)
    assert [pair.name for pair in found.pairs] == ["right--left", "left--right"]
    names = [column.name for column in summary.columns]
    assert "psnr" not in names
    assert {"fid-efficientnet", "pose_error", "jitter", "lost"} <= set(names)
    assert "right--left" in (tmp_path / "report.html").read_text()
    # lite turns the head with the driver; an untrained model does not. Both frames sit still here.
    assert math.isfinite(summary.cells["lite"]["pose_error"].mean)


@pytest.mark.usefixtures("quick")
def test_pose_editing_turns_the_head_by_about_what_was_asked(data, tiny_model_folder, tmp_path):
    settings = EvaluationSettings(protocol="pose-editing")
    (tmp_path / "one").mkdir()
    shutil.copy(data / "clips" / "right.mp4", tmp_path / "one")
    found = run_evaluation(tmp_path / "one", ["lite"], tmp_path, settings=settings, workers=1)
    summary = write_report(found, tmp_path)
    still, lite = (summary.cells[name]["pose_error"].mean for name in ("still", "lite"))
    assert still == pytest.approx((2 * (10 + 20 + 30) + 4 * (10 + 20)) / 14, abs=1e-3)
    assert lite < still / 3
    for axis, least in (("yaw", 0.8), ("pitch", 0.7), ("roll", 0.9)):
        still, lite = (summary.cells[name][f"{axis}_response"].mean for name in ("still", "lite"))
        assert still == pytest.approx(0, abs=1e-4)
        assert least < lite < 1.2
    assert summary.cells["still"]["other_axes"].mean == pytest.approx(0, abs=1e-2)
    assert summary.cells["lite"]["other_axes"].mean < 5
    assert summary.cells["lite"]["lost"].mean == 0
    with pytest.raises(CheckpointError, match="has no pose editor"):
        run_evaluation(data, [str(tiny_model_folder)], tmp_path, settings=settings, workers=1)


@pytest.mark.usefixtures("quick")
def test_other_settings_do_not_take_up_each_others_scores(data, tiny_model_folder, tmp_path):
    for every in (1, 2):
        settings = EvaluationSettings(every=every)
        models = [str(tiny_model_folder)]
        found = run_evaluation(data, models, tmp_path, settings=settings, workers=1)
        rows = found.scores["tiny"]["right"].features["fid-efficientnet"]
        assert len(rows) == math.ceil(3 / every)
    assert len(list((tmp_path / "scores").iterdir())) == 2


def test_two_processes_give_the_same_numbers(data, tiny_model_folder, tmp_path):
    """With the real networks, as the command line has it."""
    (first, second) = (
        run_evaluation(data, [str(tiny_model_folder)], tmp_path / str(workers), workers=workers)
        for workers in (1, 2)
    )
    assert repr(summarize_evaluation(first)) == repr(summarize_evaluation(second))


@pytest.mark.usefixtures("quick")
def test_the_command_writes_a_report(data, tiny_model_folder, tmp_path):
    command = ["evaluate", "--data", str(data), "--model", f"tiny={tiny_model_folder}"]
    result = CliRunner().invoke(app, [*command, "--report", str(tmp_path), "--workers", "1"])
    assert result.exit_code == 0, result.output
    assert "tiny" in result.stdout
    assert "not measured: fid" in result.stderr
    assert (tmp_path / "report.html").is_file()


@pytest.mark.usefixtures("quick")
def test_inputs_that_cannot_be_used_say_so(data, tiny_model_folder, tmp_path):
    with pytest.raises(FnevrError, match="every must be at least 1, got 0"):
        EvaluationSettings(every=0)
    for seed in (-1, 2**32, 10**30):
        with pytest.raises(FnevrError, match="seed must be from 0 to 4294967295"):
            EvaluationSettings(seed=seed)
    with pytest.raises(FnevrError, match="workers must be at least 1"):
        run_evaluation(data, ["lite"], tmp_path, workers=0)
    with pytest.raises(FnevrError, match="no model to evaluate"):
        choose_models([])
    with pytest.raises(FnevrError, match="two models are called 'lite'"):
        choose_models(["lite", f"lite={tiny_model_folder}"])
    with pytest.raises(FnevrError, match="no such folder"):
        run_evaluation(tmp_path / "none", ["lite"], tmp_path, workers=1)
    other = tmp_path / "other"
    shutil.copytree(tiny_model_folder, other)
    config = json.loads((other / "config.json").read_text()) | {"image_size": 128}
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(FnevrError, match=r"differ in size \(lite 256, other 128\)"):
        run_evaluation(data, ["lite", str(other)], tmp_path, workers=1)


@pytest.mark.usefixtures("quick")
def test_a_clip_of_one_frame_says_so(walk, tiny_model_folder, tmp_path):
    with VideoWriter(tmp_path / "one.mp4", 256, 256, Fraction(25), None) as writer:
        writer.write(walk[0])
    with pytest.raises(FnevrError, match=r"no pair could be scored.*has one frame"):
        run_evaluation(tmp_path, [str(tiny_model_folder)], tmp_path / "out", workers=1)


def test_published_numbers_are_the_papers():
    (quality,) = published_tables("same-identity")
    row = dict(zip(quality.columns, quality.rows["FNeVR"], strict=True))
    assert (row["psnr"], row["fid"]) == (24.292, 8.443)
    (cost,) = published_tables("complexity")
    assert set(cost.rows) == {"Face vid2vid", "Face vid2vid-S", "DaGAN", "FNeVR"}
    assert set(quality.rows) == {*cost.rows, "FOMM", "PIRender", "Bilayer"}
    first, second = published_tables("cross-identity")
    assert first.columns == second.columns == ["fid", "csim"]
    assert first.rows["Face vid2vid-S"] == [106.6, 0.6447]
    assert second.rows["FNeVR"] == [133.9, 0.5282]
    for table in (quality, first, second, cost):
        assert {name: len(row) for name, row in table.rows.items()} == dict.fromkeys(
            table.rows, len(table.columns)
        )
        assert {*table.columns} <= {*BY_NAME} or table is cost


def test_no_two_unit_vectors_differ_by_pirenders_aed():
    """What the note of the published table says: the mean of 128 numbers is bounded."""
    (quality,) = published_tables("same-identity")
    column = quality.columns.index("aed-l1")
    bound = 2 / 128**0.5
    aed = {name: row[column] for name, row in quality.rows.items()}
    assert {name for name, value in aed.items() if value > bound} == {"PIRender"}


@pytest.mark.slow
def test_workers_end_with_a_process_that_is_killed(data, tiny_model_folder, tmp_path):
    command = [sys.executable, "-m", "fnevr", "evaluate", "--data", str(data)]
    command += ["--model", str(tiny_model_folder), "--report", str(tmp_path), "--workers", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    listing = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    workers: list[int] = []
    for _ in range(600):
        # Beside the workers there is the tracker of Python's own resources.
        workers = [int(word) for word in listing.read_text().split()]
        if len(workers) >= 3 or process.poll() is not None:
            break
        time.sleep(0.1)
    assert len(workers) >= 3
    time.sleep(2)
    process.kill()
    process.wait()
    for _ in range(200):
        left = [worker for worker in workers if Path(f"/proc/{worker}").exists()]
        if not left:
            return
        time.sleep(0.1)
    pytest.fail(f"{left} are still running")
