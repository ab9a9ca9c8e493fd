"""`fnevr train-editor`, as a user calls it."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from support.data_rows import make_row
from typer.testing import CliRunner

from fnevr.cli import app
from fnevr.config.folder import CONFIG_NAME, EDITOR_NAME, WEIGHTS_NAME
from fnevr.config.presets import asset, resolve_model
from fnevr.data.manifest import clip_path, write_manifest
from fnevr.data.store import encode_frame, write_clip
from fnevr.faces.find import find_face
from fnevr.media.image import read_image
from fnevr.models import FaceVid2Vid, FNeVR
from fnevr.models.pose_editor import LightweightPoseEditor
from fnevr.models.retarget_map import RetargetMap

SIDE = 256


def call(*arguments):
    return CliRunner().invoke(app, ["train-editor", *map(str, arguments)])


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A clip of the bundled portrait, wandering to the right."""
    folder = tmp_path_factory.mktemp("prepared")
    (folder / "clips").mkdir()
    portrait = read_image(asset("portrait.jpg"))[:SIDE, 128 : 128 + SIDE]
    found = find_face(portrait)[:, :2]
    frames = [np.roll(portrait, 4 * step, axis=1) for step in range(3)]
    moved = [found + np.array([4 * step, 0]) for step in range(3)]
    landmarks = np.stack(moved) / (SIDE / 2) - 1
    jpegs = [encode_frame(frame) for frame in frames]
    write_clip(clip_path(folder, "walk"), jpegs, landmarks.astype("f4"))
    write_manifest(folder, [make_row("walk", "someone", split="train", frames=3)])
    return folder


@pytest.fixture
def lite(tmp_path):
    """The shipped model, without its pose editor and graphs."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in (CONFIG_NAME, WEIGHTS_NAME):
        shutil.copy(resolve_model("lite") / name, folder / name)
    return folder


def test_the_pose_editor_lies_beside_the_weights_and_knows_how_far_heads_follow(prepared, lite):
    edit = ["edit", asset("portrait.jpg"), "--yaw", "10", "--model", lite, "-o", lite / "out.png"]
    result = CliRunner().invoke(app, [str(part) for part in edit])
    assert result.exit_code == 2
    assert "train one with `fnevr train-editor`" in result.output

    result = call(prepared, lite, "--steps", 2, "--stride", 2, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "drawn heads follow their keypoints by" in result.output
    editor = LightweightPoseEditor.from_pretrained(lite)
    assert editor.response.isfinite().all()
    assert not torch.equal(editor.response, torch.ones(3))
    retarget_map = RetargetMap.from_folder(lite, 25, 45)
    assert retarget_map is not None
    assert np.abs(retarget_map.lids).max() > 0
    result = CliRunner().invoke(app, [str(part) for part in edit])
    assert result.exit_code == 0, result.output


def test_graphs_of_the_editor_before_are_named(prepared, lite):
    shutil.copytree(resolve_model("lite") / "graphs", lite / "graphs")
    result = call(prepared, lite, "--steps", 1, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "`fnevr export` makes new ones" in result.output


def test_what_is_wrong_is_said_with_exit_code_2(prepared, lite, tmp_path, tiny_configs):
    def message(*arguments):
        result = call(*arguments, "--steps", 1, "--device", "cpu")
        assert result.exit_code == 2, result.output
        return result.output

    assert "'lite' is no folder of a model" in message(prepared, "lite")
    assert "is no prepared folder" in message(tmp_path, lite)
    FaceVid2Vid(tiny_configs["face-vid2vid"]).save_pretrained(tmp_path / "v2v")
    assert "it has no pose editor" in message(prepared, tmp_path / "v2v")
    assert not (lite / EDITOR_NAME).exists()


def test_a_model_that_draws_no_faces_gets_none(prepared, tmp_path, tiny_fnevr_config):
    FNeVR(tiny_fnevr_config.model_copy(update={"image_size": SIDE})).save_pretrained(tmp_path)
    result = call(prepared, tmp_path, "--steps", 1, "--device", "cpu")
    assert result.exit_code == 2
    assert "no face was found in what the model drew: is it trained?" in result.output
    assert not (tmp_path / EDITOR_NAME).exists()
