from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.transform import resize
from support import formula

from fnevr.errors import CheckpointError
from fnevr.evaluate.metrics.aed import absolute_distance, squared_distance
from fnevr.evaluate.networks.available import NetworkFiles, load_networks
from fnevr.evaluate.networks.openface import OpenFace


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Formula weights in OpenFacePytorch's layout: without the counts of batches, as of its day."""
    path = tmp_path_factory.mktemp("openface") / "openface.pth"
    torch.save(
        formula.checkpoint("openface")["openface"], path, _use_new_zipfile_serialization=False
    )
    return path


@pytest.fixture(scope="module")
def network(weights):
    return OpenFace.load(weights)


def picture(index):
    """A test picture of whole levels, as a frame on disk is."""
    return (formula.image(index) * 255).round() / 255


def test_equals_the_reference_implementation(network):
    wanted = np.load(formula.FOLDER / "openface.npz")["embeddings"]
    found = network(torch.cat([picture(0), picture(1)])).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert np.ptp(wanted) > 0.3
    assert np.linalg.norm(found, axis=1) == pytest.approx([1, 1], abs=1e-5)


def test_has_the_published_size(network):
    """OpenFace's documentation says 3733968 parameters of nn4.small2."""
    assert sum(parameter.numel() for parameter in network.parameters()) == 3_733_968


def test_pictures_are_made_small_as_by_skimage(network):
    """Pictures of 256 and their copies of 96, by skimage, have one embedding."""
    whole = picture(2)
    small = resize(whole[0].permute(1, 2, 0).numpy(), (96, 96), order=1, anti_aliasing=False)
    small = torch.from_numpy(small).permute(2, 0, 1)[None].float()
    torch.testing.assert_close(network(whole), network(small), atol=1e-5, rtol=0)


def test_distances_are_those_of_the_scripts(network):
    image, target = torch.cat([picture(0), picture(1)]), torch.cat([picture(1), picture(1)])
    difference = (network(image) - network(target)).numpy().astype(float)
    squared, absolute = squared_distance(network), absolute_distance(network)
    assert squared(image, target)[0].item() == pytest.approx(np.sum(np.abs(difference[0]) ** 2))
    assert absolute(image, target)[0].item() == pytest.approx(np.mean(np.abs(difference[0])))
    assert squared(image, target)[1].item() == absolute(image, target)[1].item() == 0


def test_networks_name_the_file_that_was_found(weights, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    found = load_networks(NetworkFiles(openface=weights))
    assert {"aed", "aed-l1"} <= set(found.pictures)
    assert len(found.hashes["aed"]) == 64
    assert any(found.hashes["aed"] in name for name in found.names)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "openface.pth").write_bytes(weights.read_bytes())
    assert "aed" in load_networks(NetworkFiles()).pictures


def test_missing_and_foreign_files_say_what_to_do(tmp_path, weights):
    with pytest.raises(CheckpointError, match=r"(?s)gone\.pth.*OpenFacePytorch.*`openface=FILE`"):
        OpenFace.load(tmp_path / "gone.pth")
    (tmp_path / "text.pth").write_text("no network")
    with pytest.raises(CheckpointError, match="not a torch checkpoint, or damaged"):
        OpenFace.load(tmp_path / "text.pth")
    state = torch.load(weights, weights_only=True)
    del state["layer19.seq_list.2.1_conv.weight"]
    torch.save(state, tmp_path / "part.pth")
    with pytest.raises(CheckpointError, match=r"layer19\.seq_list\.2\.1_conv\.weight"):
        OpenFace.load(tmp_path / "part.pth")
