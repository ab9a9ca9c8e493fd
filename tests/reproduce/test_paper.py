"""The whole command on small systems and four short clips."""

from __future__ import annotations

import json
import re
import shutil
from typing import Any

import pytest
from support.voxceleb import write_cut_clip
from typer.testing import CliRunner

from fnevr.cli import app
from fnevr.commands.options import BAD_INPUT
from fnevr.config.shard import Shard
from fnevr.cost.complexity import Complexity
from fnevr.errors import FnevrError
from fnevr.evaluate import report, runner
from fnevr.evaluate.metrics.l1 import l1
from fnevr.evaluate.metrics.psnr import psnr
from fnevr.evaluate.networks.available import Networks
from fnevr.evaluate.scorer import ClipScorer
from fnevr.reproduce import costs, paper
from fnevr.reproduce.paper import PaperSettings, reproduce_paper
from fnevr.reproduce.report import list_problems, paper_text, state_of, write_paper_report
from fnevr.reproduce.systems import NAMES

REMEDY = "CSIM needs ArcFace: name the file by `arcface=FILE`"


def simple_networks(_files):
    found = Networks(pictures={"l1": l1, "psnr": psnr}, missing={"csim": REMEDY})
    found.features["fid"] = lambda images: images.float().mean(dim=3).flatten(1)[:, :9]
    return found


@pytest.fixture(autouse=True, scope="module")
def _quick(small_systems):
    """No large networks, no large models to count, no frames in the pages."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (runner, paper):
            patch.setattr(module, "load_networks", simple_networks)
        patch.setattr(costs, "measure_complexity", counted_at_once)
        patch.setattr(report, "_shown", lambda *_: [])
        runner._networks.cache_clear()
        yield
    runner._networks.cache_clear()


@pytest.fixture
def nothing_scored(monkeypatch):
    """Whoever scores a clip fails the test."""

    def fail(*_):
        raise AssertionError("scored anew")

    monkeypatch.setattr(ClipScorer, "score", fail)


def counted_at_once(name, *, repeats, device):
    return Complexity(name, 256, 1.5, 2.0, 3.0, 4.25, 5.0 if repeats else None, None)


def reproduced(voxceleb, checkpoints, out, told=None, **settings):
    """Run to the end, writing the report on the way, and return what came of it."""
    tell = (lambda _: None) if told is None else told.append
    chosen = PaperSettings(workers=1, **settings)
    for found in reproduce_paper(voxceleb, checkpoints, out, chosen, tell=tell):
        tables = write_paper_report(found, out)
    return found, tables


@pytest.fixture(scope="module")
def whole(voxceleb, made_checkpoints, tmp_path_factory):
    """Its folder, what was found, and the tables."""
    out = tmp_path_factory.mktemp("whole") / "out"
    return out, *reproduced(voxceleb, made_checkpoints, out)


def test_our_rows_stand_below_the_published_ones(whole):
    out, found, tables = whole
    same, cross, cross2, cost = tables
    rows = dict(same.rows)
    names = list(rows)
    assert names[names.index("FNeVR") + 1] == "FNeVR (here)"
    assert names[-1] == "still (here)"
    place = {column.name: index for index, column in enumerate(same.columns)}
    summary = found.measured["VoxCeleb", "same-identity"].summary
    psnr_here = summary.cells["FNeVR"]["psnr"].mean
    assert rows["FNeVR (here)"][place["psnr"]] == f"{psnr_here:.2f}"
    assert rows["FNeVR"][place["psnr"]] == "24.292"
    assert rows["FNeVR (here)"][place["lpips"]] == "-"
    assert "DaGAN (here)" not in rows
    for table in (cross, cross2):
        fid, csim = dict(table.rows)["FOMM (here)"]
        assert float(fid) > 0
        assert csim == "-"
        assert table.rows[-1][0] == "still (here)"
        assert table.measured.startswith("here: 2 pairs of 2 people; FID of 2 real pictures")
    assert dict(cost.rows)["Bilayer (here)"] == ["4.250", "1.500", "5.000"]
    assert "FOMM (here)" in paper_text(tables)
    assert state_of(found).startswith("All that can be measured")
    assert state_of(found).endswith("for want of a network (-): csim.")

    page = (out / "report.html").read_text()
    assert "<td>24.292</td>" in page
    assert "http" not in page  # nothing to load
    links = re.findall(r'href="([^"]+)"', page)
    assert len(links) == 3
    for link, data_set in zip(links, ("VoxCeleb", "VoxCeleb", "VoxCeleb2"), strict=True):
        # Our numbers stand below those that were published for the same data set, no others.
        evaluation_page = (out / link).read_text()
        assert re.findall(r"<th>(VoxCeleb2?), \w+-identity re", evaluation_page) == [data_set]
    written = json.loads((out / "tables.json").read_text())
    assert written["is_complete"]
    first = {row["name"]: row["values"] for row in written["tables"][0]["rows"]}
    assert first["FNeVR"][place["psnr"]] == 24.292
    assert first["FNeVR (here)"][place["lpips"]] is None


def test_what_is_not_measured_is_told_with_its_remedy(checkpoints, tmp_path):
    voxceleb = tmp_path / "voxceleb"
    write_cut_clip(voxceleb / "test", "id10280")
    write_cut_clip(voxceleb / "test", "id10281").write_text("this is no video")
    told: list[str] = []
    found, tables = reproduced(voxceleb, checkpoints, tmp_path / "out", told)
    problems = dict(list_problems(found))
    few = "VoxCeleb: 2 utterances of 2, of 2 people; all that are here, 525 were asked for"
    assert few in told
    assert problems["VoxCeleb: 2 utterances, not 525"].startswith("all that are here are tested on")
    assert {"DaGAN", "Bilayer", "PIRender", "Face vid2vid", "Face vid2vid-S"} <= set(problems)
    assert "encoder.pth and depth.pth" in problems["DaGAN"]
    assert "FNeVR" not in problems
    assert problems["csim"] == REMEDY
    assert problems["VoxCeleb2, cross-identity"].startswith("nothing of it to test on")
    assert "nothing to drive with" in problems["VoxCeleb, cross-identity"]
    assert any("notes.pth" in name for name in problems)
    assert any("id10281" in name for name in problems)
    assert "not measured here: nothing of it" in tables[2].measured
    assert float(dict(tables[0].rows)["FOMM (here)"][0]) > 0  # the rest went on
    assert any(line.startswith("not measured: csim") for line in told)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "encoder.pth and depth.pth" in page


def test_what_was_interrupted_goes_on(whole, voxceleb, made_checkpoints, tmp_path, monkeypatch):
    out, score, scored = tmp_path / "out", ClipScorer.score, []

    def interrupted(self, predict):
        scored.append(self)
        if len(scored) == 8:  # 3 rows of 2 clips, then in the middle of a pair
            raise KeyboardInterrupt
        return score(self, predict)

    monkeypatch.setattr(ClipScorer, "score", interrupted)
    with pytest.raises(KeyboardInterrupt):
        reproduced(voxceleb, made_checkpoints, out)
    page = (out / "report.html").read_text()
    assert "Under way; if it was interrupted, the same command goes on" in page
    assert "here: 2 clips of 2 people" in page
    assert not json.loads((out / "tables.json").read_text())["is_complete"]
    told: list[str] = []
    _, tables = reproduced(voxceleb, made_checkpoints, out, told)
    assert len(scored) == 8 + (3 * 6 - 7)  # what was left, no more
    assert not [line for line in told if "converting" in line and "notes" not in line]
    assert [table.rows for table in tables] == [table.rows for table in whole[2]]


def test_shards_make_the_whole_together(whole, voxceleb, made_checkpoints, tmp_path):
    out = tmp_path / "out"
    found, tables = reproduced(voxceleb, made_checkpoints, out, shard=Shard(2, 2))
    assert found.num_waiting == 3
    assert found.costs == {}
    assert state_of(found).startswith("Not complete: 3 pairs left to other shards (this was 2/2)")
    assert tables[0].measured == "here: not complete, 1 of 2 clips scored"
    assert "FNeVR (here)" not in dict(tables[0].rows)
    found, tables = reproduced(voxceleb, made_checkpoints, out, shard=Shard(1, 2))
    assert found.num_waiting == 0
    assert set(found.costs) == set(NAMES)
    assert [table.rows for table in tables] == [table.rows for table in whole[2]]


@pytest.mark.usefixtures("nothing_scored")
def test_scores_of_a_system_do_not_depend_on_others(whole, voxceleb, checkpoints, tmp_path):
    """So a checkpoint that comes later, or is taken away, costs no other's scores."""
    out = shutil.copytree(whole[0], tmp_path / "out")
    (checkpoints / "sub" / "two.pt").unlink()
    found, tables = reproduced(voxceleb, checkpoints, out)
    assert [system.name for system in found.systems.found] == ["FNeVR"]
    gone = [row for row in whole[2][0].rows if row not in tables[0].rows]
    assert [name for name, _ in gone] == ["FOMM (here)"]


def test_costs_are_measured_once_each(tmp_path, monkeypatch):
    told: list[Any] = []
    first = costs.measure_costs(tmp_path, "cpu", lambda *now: told.append(now), repeats=0)
    assert set(first) == set(NAMES)
    assert (told[0], told[-1]) == (("costs", 0, 7), ("costs", 7, 7))
    monkeypatch.setattr(costs, "measure_complexity", None)
    assert costs.measure_costs(tmp_path, "cpu", lambda *_: None) == first
    damaged = next(tmp_path.iterdir())
    damaged.write_text("{")
    assert len(costs.read_costs(tmp_path, "cpu")) == 6


@pytest.mark.usefixtures("nothing_scored")
def test_the_command_prints_the_tables(whole, voxceleb, made_checkpoints, tmp_path):
    out = shutil.copytree(whole[0], tmp_path / "out")
    command = ["reproduce", "paper", "--voxceleb", str(voxceleb), "--workers", "1"]
    command += ["--checkpoints", str(made_checkpoints), "--report", str(out)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "VoxCeleb2, cross-identity reenactment" in result.stdout
    assert "FNeVR (here)" in result.stdout
    assert "name the file by --arcface FILE" in result.stderr
    assert "--arcface FILE" in (out / "report.html").read_text()
    assert result.stderr.splitlines()[-1].endswith("report.html")


def test_bad_input_is_refused_before_any_work(voxceleb, checkpoints, tmp_path):
    out = tmp_path / "out"
    given = {"--voxceleb": voxceleb, "--checkpoints": checkpoints, "--report": out}
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for option, value, message in (
        ("--voxceleb", tmp_path / "none", "no such folder"),
        ("--voxceleb", tmp_path / "empty", "nothing to test on"),
        ("--checkpoints", tmp_path / "none", "no such folder"),
        ("--checkpoints", tmp_path / "empty", "holds no checkpoint"),
        ("--report", tmp_path / "file", "cannot make the folder"),
        ("--arcface", tmp_path / "none.onnx", "no such file"),
        ("--shard", "3/2", "1/4 to 4/4"),
        ("--utterances", "0", "at least 1"),
        ("--workers", "0", "at least 1"),
    ):
        options = {**given, option: value}
        words = [str(word) for pair in options.items() for word in pair]
        result = CliRunner().invoke(app, ["reproduce", "paper", *words])
        assert result.exit_code == BAD_INPUT, result.output
        assert message in result.stderr
        assert not out.exists()
    with pytest.raises(FnevrError, match="utterances must be at least 1"):
        PaperSettings(utterances=0)
