from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import trimesh
from typer.testing import CliRunner

from fnevr.cli import app
from fnevr.config.presets import asset
from fnevr.errors import FaceError, FnevrError
from fnevr.face3d.camera import signed_points
from fnevr.face3d.mesh_feature import mesh_feature
from fnevr.face3d.reconstruction import reconstruct, reconstruct_file, reconstruct_video
from fnevr.media.image import read_image, write_image

NOSE = 1


@pytest.fixture(scope="module")
def portrait():
    return read_image(asset("portrait.jpg"))


def test_the_bundled_portrait(portrait):
    fit = reconstruct(portrait)
    assert fit.errors_px.mean() < 1.0
    nose = fit.vertices_px[0, NOSE]
    assert nose[:2].tolist() == pytest.approx([224, 131], abs=6)
    assert nose[2] < -10  # in front of the face's mean
    assert fit.parameters.shape.abs().max() < 4


def test_its_mesh_feature_is_where_the_face_is(portrait):
    height, width = portrait.shape[:2]
    fit = reconstruct(portrait)
    volume = mesh_feature(signed_points(fit.vertices_px, width, height), (8, 64, 64))
    _, y, x = np.unravel_index(int(volume.argmax()), volume.shape[1:])
    left, top = fit.vertices_px[0, :, :2].amin(dim=0) / 8
    right, bottom = fit.vertices_px[0, :, :2].amax(dim=0) / 8
    assert left < x < right
    assert top < y < bottom


def test_a_video_in_which_the_face_moves(portrait):
    crop = portrait[20:240, 90:350]
    frames = [np.roll(crop, shift, axis=1) for shift in (0, 4, 8)]
    frames.insert(0, np.zeros_like(crop))
    track = reconstruct_video(frames)
    assert track.frames.tolist() == [1, 2, 3]
    moved = track.fit.vertices_px[:, NOSE, 0].diff()
    torch.testing.assert_close(moved, torch.full((2,), 4.0), rtol=0, atol=0.6)


def test_a_video_without_a_face_says_so():
    with pytest.raises(FaceError, match="no face found in the video"):
        reconstruct_video([np.zeros((64, 64, 3), np.uint8)] * 2)


def test_the_command_writes_mesh_pictures_and_report(portrait, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_image("me.png", portrait)
    pictures = ["--overlay", "o.png", "--depth", "d.png", "--normals", "n.png"]
    result = CliRunner().invoke(
        app, ["reconstruct3d", "me.png", "-o", "me.glb", *pictures, "--json", "-"]
    )
    assert result.exit_code == 0, result.output
    assert "me.glb: yaw" in result.stderr
    report = json.loads(result.stdout)
    assert abs(report["roll_deg"]) < 10
    assert len(report["shape"]) == 60
    mesh = trimesh.load_mesh("me.glb", process=False)
    assert len(mesh.vertices) == 478
    drawn, depth = read_image("o.png"), read_image("d.png")
    covered = depth[..., 0] > 0
    assert (drawn[~covered] == portrait[~covered]).all()
    assert (drawn[covered] != portrait[covered]).any(axis=-1).mean() > 0.9
    assert (read_image("n.png").any(axis=-1) == covered).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["me.png", "-o", "me.stl"], "a mesh ends in .obj, .ply, .glb (--output)"),
        (["other.png"], "no such file: 'other.png'"),
        (["me.png", "--overlay", "o.tiff"], "(--overlay)"),
    ],
)
def test_bad_input_says_so_and_writes_nothing(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    write_image("me.png", np.zeros((64, 64, 3), np.uint8))
    result = CliRunner().invoke(app, ["reconstruct3d", *arguments])
    assert result.exit_code == 2
    assert message in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["me.png"]


def test_two_outputs_of_one_name_say_so(tmp_path):
    write_image(tmp_path / "me.png", np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(FnevrError, match="two of the files are the same"):
        reconstruct_file(
            tmp_path / "me.png",
            tmp_path / "mesh.obj",
            depth=tmp_path / "d.png",
            normals=tmp_path / "d.png",
        )
