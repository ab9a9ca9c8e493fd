from __future__ import annotations

import hashlib

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torchmetrics.functional import pairwise_cosine_similarity

from fnevr.errors import CheckpointError
from fnevr.evaluate.metrics.csim import cosine_similarity
from fnevr.evaluate.networks.arcface import (
    CHIP_SIDE,
    MESH_POINTS,
    TEMPLATE,
    ArcFaceEmbedder,
    arcface_region,
)
from fnevr.faces.find import find_face
from fnevr.faces.region import cut_out


def test_agrees_with_torchmetrics():
    x, y = torch.randn(5, 16), torch.randn(5, 16)
    wanted = pairwise_cosine_similarity(x, y).diagonal().tolist()
    ours = [cosine_similarity(a.numpy(), b.numpy()) for a, b in zip(x, y, strict=True)]
    assert ours == pytest.approx(wanted, abs=1e-6)
    assert cosine_similarity(x[0].numpy(), 3 * x[0].numpy()) == pytest.approx(1)


def write_network(path):
    """A network of ArcFace's input: the mean of each channel over the left half, then the right."""
    nodes = [
        helper.make_node("Slice", ["face", f"start{i}", f"stop{i}", "axis"], [f"half{i}"])
        for i in range(2)
    ]
    nodes += [
        helper.make_node("ReduceMean", [f"half{i}", "plane"], [f"mean{i}"], keepdims=0)
        for i in range(2)
    ]
    nodes.append(helper.make_node("Concat", ["mean0", "mean1"], ["embedding"], axis=1))
    numbers = {
        **{"start0": [0], "stop0": [56], "start1": [56], "stop1": [112]},
        **{"axis": [3], "plane": [2, 3]},
    }
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("face", TensorProto.FLOAT, [None, 3, 112, 112])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [None, 6])],
        [helper.make_tensor(k, TensorProto.INT64, [len(v)], v) for k, v in numbers.items()],
    )
    opsets = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_arcface_sees_the_aligned_face_in_its_range(walk, tmp_path):
    sha256 = write_network(tmp_path / "face.onnx")
    embedder = ArcFaceEmbedder(tmp_path / "face.onnx", sha256=sha256)
    landmarks = find_face(walk[0])
    chip = cut_out(walk[0], arcface_region(landmarks), CHIP_SIDE, border="edge").astype(float)
    halves = chip[:, :56], chip[:, 56:]
    wanted = [(half.mean(axis=(0, 1)) - 127.5) / 127.5 for half in halves]
    np.testing.assert_allclose(
        embedder.embed(walk[0], landmarks), np.concatenate(wanted), atol=1e-5
    )


def test_region_puts_the_points_on_the_template(walk):
    landmarks = find_face(walk[0])
    region = arcface_region(landmarks)
    points = np.array([landmarks[list(mesh), :2].mean(axis=0) for mesh in MESH_POINTS])
    centred = (points - [region.centre_x, region.centre_y]) @ region.axes.T
    found = centred * CHIP_SIDE / region.size + CHIP_SIDE / 2
    # Real faces are not the template; the eyes and mouth land within a few pixels.
    assert np.abs(found - TEMPLATE).max() < 8


def test_missing_and_foreign_files_say_what_to_do(tmp_path):
    with pytest.raises(CheckpointError, match=r"(?s)no such file.*buffalo_l.*`arcface=FILE`"):
        ArcFaceEmbedder(tmp_path / "nowhere.onnx")
    write_network(tmp_path / "face.onnx")
    with pytest.raises(CheckpointError, match="wanted 4c06341c"):
        ArcFaceEmbedder(tmp_path / "face.onnx")
