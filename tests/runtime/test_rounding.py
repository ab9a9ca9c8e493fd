"""Rounding before values are moved: the same numbers, rounded earlier."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from fnevr.runtime.rounding import round_before_moving, round_once

onnx = pytest.importorskip("onnx")

SHAPE = [1, 2, 3, 4]


def model_of(nodes, inputs, outputs, constants):
    """A model whose inputs have one shape."""
    value, tensor = onnx.helper.make_tensor_value_info, onnx.numpy_helper.from_array
    graph = onnx.helper.make_graph(
        nodes,
        "made",
        [value(name, onnx.TensorProto.FLOAT, SHAPE) for name in inputs],
        [value(name, onnx.TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [tensor(np.asarray(values), name) for name, values in constants.items()],
    )
    opsets = [onnx.helper.make_opsetid("", 20)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)


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
    results = {"y": [1, 4, 6, 8]} | ({"other": [1, 2, 2, 2, 3, 4]} if is_shared else {})
    constants = {
        "shape": np.array([1, 2, 2, 2, 3, 4]),
        "flat": np.array([1, 2, 6, 8]),
        "scale": np.float32(0.02),
        "zero": np.uint8(3),
        "w": np.random.default_rng(0).normal(size=(4, 2, 1, 1)).astype(np.float32),
    }
    return model_of(nodes, "abc", results, constants)


def outputs(model):
    rng = np.random.default_rng(1)
    feed = {name: rng.normal(size=SHAPE).astype(np.float32) for name in "abc"}
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


def convolved_twice(*, is_shared):
    """A convolution, rounded, activated, rounded again, and the next one."""
    helper = onnx.helper
    nodes = [
        helper.make_node("Constant", [], ["unused"], value_float=1.0),
        helper.make_node("Conv", ["a", "w"], ["x"]),
        helper.make_node("QuantizeLinear", ["x", "scale", "middle"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "scale", "middle"], ["xd"]),
        helper.make_node("Relu", ["xd"], ["r"]),
        helper.make_node("QuantizeLinear", ["r", "half", "zero"], ["rq"]),
        helper.make_node("DequantizeLinear", ["rq", "half", "zero"], ["rd"]),
        helper.make_node("Conv", ["rd", "w"], ["y"]),
    ]
    if is_shared:
        nodes.append(helper.make_node("Neg", ["r"], ["other"]))
    results = {"y": SHAPE} | ({"other": SHAPE} if is_shared else {})
    constants = {
        "scale": np.float32(0.02),
        "half": np.float32(0.01),
        "middle": np.uint8(128),
        "zero": np.uint8(0),
        "w": np.random.default_rng(0).normal(size=(2, 2, 1, 1)).astype(np.float32),
    }
    return model_of(nodes, "a", results, constants)


def test_what_is_activated_and_rounded_again_is_rounded_once():
    model = convolved_twice(is_shared=False)
    image = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)

    def result():
        return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"a": image})[0]

    rough = result()
    assert round_once(model) == 1
    onnx.checker.check_model(model, full_check=True)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds == ["Constant", "Conv", "Relu", "QuantizeLinear", "DequantizeLinear", "Conv"]
    weight = onnx.numpy_helper.to_array(model.graph.initializer[-1])[..., 0, 0]

    def convolved(values):
        return np.einsum("oc,bchw->bohw", weight, values)

    activated = np.maximum(convolved(image), 0)
    exact = convolved(activated)
    once = convolved((activated / 0.01).round().clip(0, 255) * 0.01)
    np.testing.assert_allclose(result(), once, atol=0.02)  # a step of the rounding, at half a step
    assert np.abs(result() - exact).mean() < np.abs(rough - exact).mean()


def test_what_is_activated_and_also_used_elsewhere_stays():
    model = convolved_twice(is_shared=True)
    before = model.SerializeToString()
    assert round_once(model) == 0
    assert model.SerializeToString() == before
