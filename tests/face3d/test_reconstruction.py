from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
import trimesh
from support.flame_files import random_arrays, write
from typer.testing import CliRunner

from fnevr.cli import app
from fnevr.config.presets import asset
from fnevr.errors import FnevrError
from fnevr.face3d.camera import signed_points
from fnevr.face3d.mesh_feature import mesh_feature
from fnevr.face3d.reconstruction import reconstruct, reconstruct_file
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
    assert np.abs(fit.parameters.shape).max() < 4


def test_its_mesh_feature_is_where_the_face_is(portrait):
    height, width = portrait.shape[:2]
    fit = reconstruct(portrait)
    points = torch.from_numpy(signed_points(fit.vertices_px, width, height))
    volume = mesh_feature(points, (8, 64, 64))
    _, y, x = np.unravel_index(int(volume.argmax()), volume.shape[1:])
    left, top = fit.vertices_px[0, :, :2].min(axis=0) / 8
    right, bottom = fit.vertices_px[0, :, :2].max(axis=0) / 8
    assert left < x < right
    assert top < y < bottom


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
    with pytest.raises(FnevrError, match="cannot be one file"):
        reconstruct_file(
            tmp_path / "me.png",
            tmp_path / "mesh.obj",
            depth=tmp_path / "d.png",
            normals=tmp_path / "d.png",
        )


def test_without_pytorch(tmp_path):
    """A picture becomes a mesh, and DECA's encoder says what it needs."""
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from fnevr.errors import FnevrError\n"
        "from fnevr.face3d.reconstruction import reconstruct_file\n"
        "picture, mesh, overlay, flame = sys.argv[1:]\n"
        "print(reconstruct_file(picture, mesh, overlay=overlay).error_px < 1)\n"
        "try: reconstruct_file(picture, mesh, deca=flame, flame=flame)\n"
        "except FnevrError as error: print(error)\n"
    )
    flame = write(tmp_path / "flame.pkl", random_arrays(0))
    files = [asset("portrait.jpg"), tmp_path / "mesh.ply", tmp_path / "overlay.png", flame]
    done = subprocess.run(
        [sys.executable, "-c", code, *files], check=False, capture_output=True, text=True
    )
    assert done.stdout.startswith("True\nDECA's encoder needs PyTorch, which is not installed: pip")
    assert all(file.stat().st_size for file in files)
