from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torch.nn import functional as F

from fnevr.errors import CheckpointError
from fnevr.models.perceptual import VGG19, load_features
from fnevr.models.perceptual.vgg import FILE_NAME

PLAN = (
    64,
    64,
    "pool",
    128,
    128,
    "pool",
    *[256] * 4,
    "pool",
    *[512] * 4,
    "pool",
    *[512] * 4,
    "pool",
)
"""Configuration E of the paper, Table 1."""


def state_dict(width):
    """A state dict in torchvision's layout, at another width: `features`, then the classifier."""
    weights, index, in_width = {}, 0, 3
    for step in PLAN:
        if step == "pool":
            index += 1
            continue
        out_width = step * width // 64
        weights[f"features.{index}.weight"] = torch.randn(out_width, in_width, 3, 3) / in_width
        weights[f"features.{index}.bias"] = torch.randn(out_width)
        index, in_width = index + 2, out_width
    weights["classifier.0.weight"] = torch.zeros(1, 1)
    return weights


def activations(weights, image):
    """relu1_1 to relu5_1, layer by layer as torchvision numbers them."""
    x = image - torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    x = x / torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    index, tapped = 0, []
    for step in PLAN:
        if step == "pool":
            x = F.max_pool2d(x, 2)
            index += 1
            continue
        x = F.conv2d(
            x, weights[f"features.{index}.weight"], weights[f"features.{index}.bias"], padding=1
        ).relu()
        if index in (0, 5, 10, 19, 28):
            tapped.append(x)
        index += 2
    return tapped


def save(weights, path, **options):
    torch.save(weights, path, **options)
    return hashlib.sha256(path.read_bytes()).hexdigest()[:8]


@pytest.mark.parametrize("zip_file", [True, False])
def test_reads_torchvisions_layout(tmp_path, zip_file):
    weights, path = state_dict(width=4), tmp_path / "vgg.pth"
    digits = save(weights, path, _use_new_zipfile_serialization=zip_file)
    network = VGG19.load(path, sha256=digits)
    image = torch.rand(2, 3, 33, 48)
    features = network(image)
    assert [tuple(x.shape[1:]) for x in features] == [
        (4, 33, 48), (8, 16, 24), (16, 8, 12), (32, 4, 6), (32, 2, 3)
    ]  # fmt: skip
    torch.testing.assert_close(features, activations(weights, image))
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_the_full_width_is_vgg19():
    with torch.device("meta"):
        network = VGG19()
    assert sum(parameter.numel() for parameter in network.parameters()) == 12_944_960


def test_another_file_is_refused_by_its_hash(tmp_path):
    path = tmp_path / "vgg.pth"
    digits = save(state_dict(width=2), path)
    with pytest.raises(CheckpointError, match=f"begins with {digits}, wanted dcbb9e9d") as caught:
        VGG19.load(path)
    assert "efficientnet-lite0" in str(caught.value)


def test_lists_what_is_missing_and_misshaped(tmp_path):
    weights, path = state_dict(width=2), tmp_path / "vgg.pth"
    del weights["features.5.bias"]
    weights["features.28.weight"] = torch.zeros(3, 3)
    digits = save(weights, path)
    with pytest.raises(CheckpointError, match="2 tensors do not match") as caught:
        VGG19.load(path, sha256=digits)
    assert "missing: features.5.bias" in str(caught.value)
    assert "mis-shaped: features.28.weight is (3, 3)" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not a pickle", b"PK\x03\x04 cut off"])
def test_a_damaged_file_says_so(tmp_path, content):
    path = tmp_path / "vgg.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a torch checkpoint, or damaged"):
        VGG19.load(path, sha256="")


def test_a_file_without_a_state_dict_says_so(tmp_path):
    path = tmp_path / "vgg.pth"
    digits = save([1, 2], path)
    with pytest.raises(CheckpointError, match="holds a list, wanted a dict"):
        VGG19.load(path, sha256=digits)


@pytest.fixture
def empty_hub(tmp_path, monkeypatch):
    """A torch.hub cache with nothing in it, and no network."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def refuse(url, path, hash_prefix, progress):
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    return tmp_path / "checkpoints" / FILE_NAME


def test_without_weights_the_message_says_what_to_do_offline(empty_hub):
    with pytest.raises(CheckpointError, match="downloading was not asked for") as caught:
        load_features("vgg19")
    assert f"copy it to '{empty_hub}' or pass its path" in str(caught.value)


def test_a_failed_download_says_what_to_do(empty_hub):
    with pytest.raises(CheckpointError, match="no route to host") as caught:
        load_features("vgg19", download=True)
    assert "copy it to" in str(caught.value)


@pytest.mark.usefixtures("empty_hub")
def test_a_download_goes_to_the_cache_and_is_checked(monkeypatch):
    asked = []

    def write(url, path, hash_prefix, progress):
        asked.append((url, hash_prefix))
        torch.save(state_dict(width=2), path)

    monkeypatch.setattr(torch.hub, "download_url_to_file", write)
    with pytest.raises(CheckpointError, match="wanted dcbb9e9d"):
        load_features("vgg19", download=True)
    assert asked == [("https://download.pytorch.org/models/vgg19-dcbb9e9d.pth", "dcbb9e9d")]
    assert Path(torch.hub.get_dir(), "checkpoints", FILE_NAME).is_file()


def test_an_unknown_name_says_so():
    with pytest.raises(ValueError, match="vgg19, efficientnet-lite0, got 'vgg16'"):
        load_features("vgg16")
