"""DECA's encoder: the layout of its checkpoint, its conventions, and files that are none."""

import json

import numpy as np
import pytest
import torch
from support import flame_files
from typer.testing import CliRunner

from fnevr.cli import app
from fnevr.config.presets import asset
from fnevr.errors import CheckpointError
from fnevr.face3d.deca import DecaEncoder, face_region
from fnevr.face3d.head_model import HeadModel
from fnevr.faces.find import find_face
from fnevr.media.image import read_image


@pytest.fixture(scope="module")
def encoder():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return DecaEncoder().eval()


@pytest.fixture(scope="module")
def checkpoint(encoder, tmp_path_factory):
    path = tmp_path_factory.mktemp("deca") / "deca_model.tar"
    torch.save({"E_flame": encoder.state_dict(), "E_detail": {}, "epoch": 3}, path)
    return path


@pytest.fixture(scope="module")
def flame(tmp_path_factory):
    path = tmp_path_factory.mktemp("flame") / "generic_model.pkl"
    return flame_files.write(path, flame_files.random_arrays(0))


def test_names_and_sizes_are_those_of_the_checkpoint(encoder):
    state = encoder.state_dict()
    assert sum(p.numel() for p in encoder.encoder.parameters()) == 23_508_032  # without its last
    blocks = {tuple(name.split(".")[1:3]) for name in state if ".layer" in name}
    assert len(blocks) == 3 + 4 + 6 + 3
    for name, shape in {
        "encoder.conv1.weight": (64, 3, 7, 7),
        "encoder.bn1.running_var": (64,),
        "encoder.layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "encoder.layer2.0.conv2.weight": (128, 128, 3, 3),
        "encoder.layer3.5.bn3.num_batches_tracked": (),
        "encoder.layer4.2.conv3.weight": (2048, 512, 1, 1),
        "layers.0.weight": (1024, 2048),
        "layers.2.bias": (236,),
    }.items():
        assert state[name].shape == shape, name
    assert not any(name.startswith("encoder.fc") for name in state)


def test_strides_come_with_the_3x3_convolutions(encoder):
    sizes = {}
    for name, module in encoder.encoder.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(
                lambda _, __, output, name=name: sizes.update({name: output.shape[-1]})
            )
    with torch.no_grad():
        assert encoder(torch.rand(1, 3, 224, 224)).shape == (1, 236)
    assert (sizes["conv1"], sizes["layer1.0.conv1"]) == (112, 56)
    assert (sizes["layer2.0.conv1"], sizes["layer2.0.conv2"]) == (56, 28)
    assert sizes["layer4.2.conv3"] == 7


def test_numbers_become_a_head_in_the_picture(flame, monkeypatch):
    encoder, model = DecaEncoder.__new__(DecaEncoder), HeadModel.from_file(flame)
    torch.nn.Module.__init__(encoder)
    numbers = torch.randn(1, 236, generator=torch.Generator().manual_seed(1)) * 0.3
    numbers[:, 206:209] = torch.tensor([[8.0, 0.01, 0.02]])
    seen = []

    def forward(_, picture):
        seen.append(picture)
        return numbers

    monkeypatch.setattr(DecaEncoder, "forward", forward)
    portrait = read_image(asset("portrait.jpg"))
    landmarks = find_face(portrait)
    fit = encoder.fit(portrait, landmarks, model)

    assert seen[0].shape == (1, 3, 224, 224)
    assert 0.2 < seen[0].mean() < 0.8
    np.testing.assert_array_equal(fit.parameters.shape, numbers[:, :100])
    np.testing.assert_array_equal(fit.parameters.expression, numbers[:, 150:200])
    np.testing.assert_array_equal(fit.parameters.pose[:, 0], numbers[:, 200:203])
    np.testing.assert_array_equal(fit.parameters.pose[:, 2], numbers[:, 203:206])
    assert not fit.parameters.pose[:, [1, 3, 4]].any()
    region = face_region(landmarks)
    vertices = model(fit.parameters).vertices[0]
    in_view = (vertices[:, :2] + [0.01, 0.02]) * 8 * [1.0, -1.0]
    expected = [region.centre_x, region.centre_y] + in_view * region.size / 2
    np.testing.assert_allclose(fit.vertices_px[0, :, :2], expected, rtol=1e-5)
    assert fit.errors_px.shape == (1, 0)


def test_the_region_is_about_the_face():
    portrait = read_image(asset("portrait.jpg"))
    landmarks = find_face(portrait)
    region = face_region(landmarks)
    face = landmarks[:, :2].max(axis=0) - landmarks[:, :2].min(axis=0)
    assert 1.0 < region.size / face.max() < 1.5
    assert np.abs([region.centre_x, region.centre_y] - landmarks[:, :2].mean(axis=0)).max() < 20


def test_the_command(checkpoint, flame, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ["reconstruct3d", str(asset("portrait.jpg")), "--json", "-"]
    result = CliRunner().invoke(app, [*command, "--deca", str(checkpoint), "--flame", str(flame)])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (len(report["shape"]), report["error_px"]) == (100, None)
    assert (tmp_path / "mesh.obj").is_file()
    result = CliRunner().invoke(app, [*command, "--deca", str(checkpoint), "-o", "other.obj"])
    assert result.exit_code == 2
    assert "--deca FILE and --flame FILE belong together" in result.output
    assert not (tmp_path / "other.obj").exists()


def test_files_that_are_not_decas(encoder, tmp_path):
    path = tmp_path / "other.tar"
    torch.save({"generator": encoder.state_dict()}, path)
    with pytest.raises(CheckpointError, match="has no part 'E_flame'"):
        DecaEncoder.from_file(path)
    state = encoder.state_dict()
    state["layers.2.bias"] = torch.zeros(3)
    torch.save({"E_flame": state}, path)
    with pytest.raises(CheckpointError, match=r"layers\.2\.bias is \(3,\), wanted \(236,\)"):
        DecaEncoder.from_file(path)
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        DecaEncoder.from_file(tmp_path / "none.tar")


def test_the_open_model_is_too_small_for_it(encoder):
    portrait = read_image(asset("portrait.jpg"))
    with pytest.raises(CheckpointError, match="use FLAME's own file"):
        encoder.fit(portrait, find_face(portrait), HeadModel.packaged())
