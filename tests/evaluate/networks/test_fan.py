from __future__ import annotations

import hashlib
import sys

import face_alignment
import numpy as np
import pytest
import torch
from face_alignment.detection.sfd.net_s3fd import s3fd
from face_alignment.models import FAN

from fnevr.errors import CheckpointError, FnevrError
from fnevr.evaluate.networks.available import NetworkFiles, Networks, load_networks
from fnevr.evaluate.networks.fan import FAN_NAME, S3FD_NAME, FacePoints
from fnevr.evaluate.scorer import ClipScorer, to_tensor

BACKGROUND, FACE = (5.0, -5.0), (-5.0, 5.0)


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A cache of random landmarks, and of a detector that sees one face in any picture."""
    folder = tmp_path_factory.mktemp("torch") / "hub"
    (folder / "checkpoints").mkdir(parents=True)
    torch.manual_seed(0)
    torch.save(FAN(4).state_dict(), folder / "checkpoints" / FAN_NAME)
    write_detector(folder, FACE)
    return folder


def write_detector(folder, coarsest):
    """Write an S3FD that says the same of every place: background, but on its coarsest level."""
    network = s3fd()
    with torch.no_grad():
        for name, layer in network.named_modules():
            if name.endswith(("_conf", "_loc")):
                layer.weight.zero_()
                layer.bias.zero_()
            if name.endswith("_conf"):
                layer.bias[:-1], layer.bias[-1] = BACKGROUND
        network.conv7_2_mbox_conf.bias.copy_(torch.tensor(coarsest))
    torch.save(network.state_dict(), folder / "checkpoints" / S3FD_NAME)


def load(monkeypatch, hub):
    monkeypatch.setenv("TORCH_HOME", str(hub.parent))
    files = [hub / "checkpoints" / name for name in (FAN_NAME, S3FD_NAME)]
    return FacePoints({path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files})


def test_finds_what_the_library_finds_without_flipping(hub, walk, monkeypatch):
    points = load(monkeypatch, hub)
    library = face_alignment.FaceAlignment(
        face_alignment.LandmarksType.TWO_D, device="cpu", flip_input=False, compile=False
    )
    found = points.find(walk[0])
    assert found.shape == (68, 2)
    np.testing.assert_array_equal(found, library.get_landmarks(walk[0])[0])
    assert np.ptp(found, axis=0).min() > 50

    # AKD of an identical clip is 0, of another one it is not; every second frame is looked at.
    networks = Networks(points=points)
    scorer = ClipScorer(walk[0], walk[0], walk[:2], networks, is_target=True, every=2)
    same = scorer.score(lambda numbers: to_tensor(walk[numbers])).values["akd"]
    assert same[0] == 0
    assert np.isnan(same[1])
    other = scorer.score(lambda numbers: 1 - to_tensor(walk[numbers])).values["akd"]
    assert other[0] == pytest.approx(np.abs(points.find(255 - walk[0]) - found).mean())
    assert other[0] > 1


def test_no_face_has_no_points(hub, walk, monkeypatch, tmp_path):
    blind = tmp_path / "hub"
    (blind / "checkpoints").mkdir(parents=True)
    (blind / "checkpoints" / FAN_NAME).symlink_to(hub / "checkpoints" / FAN_NAME)
    write_detector(blind, BACKGROUND)
    assert load(monkeypatch, blind).find(walk[0]) is None


def test_missing_and_foreign_files_say_what_to_do(hub, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(CheckpointError, match=r"(?s)no such file.*2DFAN4.*fetch https"):
        FacePoints()
    monkeypatch.setenv("TORCH_HOME", str(hub.parent))
    with pytest.raises(CheckpointError, match="wanted 11f355bf"):
        FacePoints()
    assert "wanted 11f355bf" in load_networks(NetworkFiles()).missing["akd"]


def test_without_the_library_its_name_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "face_alignment", None)
    with pytest.raises(FnevrError, match="pip install face-alignment"):
        FacePoints()
