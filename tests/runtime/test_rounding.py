"""Rounding before values are moved: the same numbers, rounded earlier."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from fnevr.runtime.rounding import round_before_moving

onnx = pytest.importorskip("onnx")


def made(*, is_shared):
    """Interleave three maps, one of them twice, then round and convolve."""
    helper = onnx.helper
    nodes = [
        helper.make_node("Relu", ["a"], ["ra"], name="relu"),
        helper.make_node("Concat", ["ra", "b", "c", "ra"], ["cat"], name="cat", axis=1),
        helper.make_node("Reshape", ["cat", "shape"], ["cells"], name="split"),
        helper.make_node("Transpose", ["cells"], ["turned"], name="turn", perm=[0, 3, 4, 1, 5, 2]),
        helper.make_node("Reshape", ["turned", "flat"], ["image"], name="join"),
        helper.make_node("QuantizeLinear", ["image", "scale", "zero"], ["q"], name="q"),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"], name="d"),
        helper.make_node("Conv", ["d", "w"], ["y"], name="conv"),
    ]
    if is_shared:
        nodes.append(helper.make_node("Neg", ["cells"], ["other"], name="other"))
    outputs = [("y", [1, 4, 6, 8])] + [("other", [1, 2, 2, 2, 3, 4])] * is_shared
    value = helper.make_tensor_value_info
    constants = {
        "shape": np.array([1, 2, 2, 2, 3, 4]),
        "flat": np.array([1, 2, 6, 8]),
        "scale": np.float32(0.02),
        "zero": np.uint8(3),
        "w": np.random.default_rng(0).normal(size=(4, 2, 1, 1)).astype(np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "interleaved",
        [value(name, onnx.TensorProto.FLOAT, [1, 2, 3, 4]) for name in "abc"],
        [value(name, onnx.TensorProto.FLOAT, shape) for name, shape in outputs],
        [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def outputs(model):
    rng = np.random.default_rng(1)
    feed = {name: rng.normal(size=(1, 2, 3, 4)).astype(np.float32) for name in "abc"}
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return session.run(None, feed)


def test_rounding_moves_before_the_concatenation():
    model = made(is_shared=False)
    expected = outputs(model)
    assert round_before_moving(model) == 1
    onnx.checker.check_model(model, full_check=True)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds[1:8] == ["QuantizeLinear", "DequantizeLinear"] * 3 + ["Concat"]
    np.testing.assert_array_equal(outputs(model)[0], expected[0])


def test_what_is_also_used_unrounded_stays():
    model = made(is_shared=True)
    before = model.SerializeToString()
    assert round_before_moving(model) == 0
    assert model.SerializeToString() == before
