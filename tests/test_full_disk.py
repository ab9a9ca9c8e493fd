"""A full disk is no fault of an input, nor of ours: one clear error, and nothing half written."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from support.raw_videos import QUICK, write_raw_videos
from support.small_disk import no_file_above
from typer.testing import CliRunner

from fnevr.animation.keypoint_track import KeypointTrack, save_track
from fnevr.cli import app
from fnevr.commands.options import BAD_INPUT, write_json
from fnevr.compat import export_checkpoint
from fnevr.config.presets import asset
from fnevr.data.manifest import write_manifest
from fnevr.data.prepare import prepare
from fnevr.data.store import write_clip
from fnevr.errors import WriteError
from fnevr.evaluate.scorer import ClipScores
from fnevr.evaluate.store import ScoreStore
from fnevr.face3d.mesh_file import write_mesh
from fnevr.geometry.keypoints import Keypoints
from fnevr.media.image import read_image, write_image
from fnevr.media.writer import VideoWriter
from fnevr.models import FOMM
from fnevr.runtime.export import export
from fnevr.train.log import RunLog
from fnevr.train.state import RunProgress, save_state

NOISE = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
REMEDY = "(?s)cannot write '.*{}.*make room, or write to another disk"


def write_video(path):
    with VideoWriter(path, 128, 128, 25) as writer:
        for shift in range(50):
            writer.write(np.roll(NOISE, 17 * shift, axis=1))


def write_track(path):
    frames = np.broadcast_to(np.eye(2, dtype=np.float32), (900, 5, 2, 2))
    keypoints = Keypoints(np.zeros((900, 5, 2), np.float32), frames)
    save_track(path, KeypointTrack(keypoints, Fraction(25), "tiny"))


WRITERS = {
    "clip.tar": lambda path: write_clip(path, [bytes(9000)] * 3, np.zeros((3, 478, 2))),
    "last.pt": lambda path: save_state(path, RunProgress(), {"part": torch.nn.Linear(100, 100)}),
    "mesh.obj": lambda path: write_mesh(path, np.ones((900, 3)), np.zeros((900, 3), np.int64)),
    "mesh.glb": lambda path: write_mesh(path, np.ones((900, 3)), np.zeros((900, 3), np.int64)),
    "motion.safetensors": write_track,
    "picture.png": lambda path: write_image(path, NOISE),
    "picture.jpg": lambda path: write_image(path, NOISE),
    "report.json": lambda path: write_json(str(path), json.dumps(["long"] * 5000)),
    "video.mp4": write_video,
    "video.gif": write_video,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_without_room(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"before")
    with no_file_above(10_000), pytest.raises(WriteError, match=REMEDY.format(name)):
        WRITERS[name](path)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"before"]
    WRITERS[name](path)


def test_folders_without_room(tmp_path, tiny_fomm_config):
    model = FOMM(tiny_fomm_config)
    scores = ClipScores({"psnr": [20.0] * 5000}, {})
    with no_file_above(10_000):
        with pytest.raises(WriteError, match=REMEDY.format("model")):
            model.save_pretrained(tmp_path / "model")
        with pytest.raises(WriteError, match=REMEDY.format("authors.pth")):
            export_checkpoint(model, tmp_path / "authors.pth")
        with pytest.raises(WriteError, match="cannot write"):
            ScoreStore(tmp_path / "scores").write("key", "clip", scores)
        log = RunLog(tmp_path, 0, 0)
        with pytest.raises(WriteError, match=REMEDY.format("log.jsonl")):
            log.write({"step": 1} | {f"term{number}": 0.5 for number in range(1000)})
        log.close()
    assert {path.name for path in tmp_path.iterdir()} == {"scores", "log.jsonl"}
    assert list((tmp_path / "scores" / "key").iterdir()) == []


def test_export_without_room(tmp_path, tiny_fomm_config, monkeypatch):
    FOMM(tiny_fomm_config).save_pretrained(tmp_path / "model")

    def no_room(_model, folder, *_):
        (folder / "graphs").mkdir()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("fnevr.runtime.export.write_graphs", no_room)
    with pytest.raises(WriteError, match=REMEDY.format("exported")):
        export(tmp_path / "model", tmp_path / "exported")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_no_video_is_blamed(tmp_path, workers):
    raw = write_raw_videos(tmp_path / "raw")
    with no_file_above(50_000), pytest.raises(WriteError, match=REMEDY.format("tar")):
        prepare(raw, tmp_path / "out", QUICK, workers=workers)
    for folder in ("clips", "videos"):
        assert list((tmp_path / "out" / folder).iterdir()) == []
    assert sum(prepare(raw, tmp_path / "out", QUICK).clips.values()) == 3


def test_the_command_exits_with_2_and_blames_no_video(tmp_path):
    raw = write_raw_videos(tmp_path / "raw")
    options = ["--min-seconds", "0.3", "--json", str(tmp_path / "report.json")]
    with no_file_above(50_000):
        result = CliRunner().invoke(app, ["prepare", str(raw), str(tmp_path / "out"), *options])
    assert result.exit_code == BAD_INPUT
    assert "make room" in result.output
    assert "skipped" not in result.output
    assert not (tmp_path / "report.json").exists()


@pytest.mark.parametrize(("broken", "num_before"), [("o.png", 1), ("d.png", 2)])
def test_no_mesh_without_the_pictures_that_were_asked_for(
    tmp_path, monkeypatch, broken, num_before
):
    monkeypatch.chdir(tmp_path)
    write_image("me.png", read_image(asset("portrait.jpg")))
    written = []

    def save_image(path, rgb):
        written.append(path)
        if len(written) == num_before:
            raise OSError(errno.ENOSPC, "No space left on device")
        path.write_bytes(rgb.tobytes())

    monkeypatch.setattr("fnevr.face3d.reconstruction.save_image", save_image)
    options = ["-o", "me.glb", "--overlay", "o.png", "--depth", "d.png"]
    result = CliRunner().invoke(app, ["reconstruct3d", "me.png", *options])
    assert result.exit_code == BAD_INPUT
    assert f"cannot write '{broken}'" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["me.png"]


def test_stdout_without_room():
    command = [sys.executable, "-m", "fnevr", "models", "--json", "-"]
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert result.returncode == BAD_INPUT
    assert "make room" in result.stderr


def test_a_damaged_input_is_still_the_input_while_something_is_written(tmp_path):
    from support.data_rows import make_row  # noqa: PLC0415

    from fnevr.data.shards import write_shards  # noqa: PLC0415 (needs what training needs)

    write_manifest(tmp_path, [make_row("gone", "ann", split="train")])
    with pytest.raises(Exception, match="gone") as caught:
        write_shards(tmp_path, tmp_path / "shards")
    assert not isinstance(caught.value, WriteError)
