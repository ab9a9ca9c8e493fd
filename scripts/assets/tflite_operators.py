"""TensorFlow Lite's operators in plain ONNX operators, a rule for each.

Used by convert_face_models.py, whose ``Converter`` is the ``c`` of every function here. A rule gets
the operator, the tensors it reads and the one it makes. Tensors with four axes are NCHW in ONNX.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tflite
from mediapipe_operators import MEDIAPIPE_OPERATORS

TO_NCHW, TO_NHWC = [0, 3, 1, 2], [0, 2, 3, 1]
ACTIVATIONS = {tflite.ActivationFunctionType.NONE: None, tflite.ActivationFunctionType.RELU: "Relu"}

Rule = Callable[[Any, Any, list[int], int], None]


def options_of(operator: object, kind: type) -> object:
    """Read an operator's options table as the given class."""
    table = operator.BuiltinOptions()
    options = kind()
    options.Init(table.Bytes, table.Pos)
    return options


def _dequantize(c: Any, operator: Any, inputs: list[int], target: int) -> None:
    c.constant_of[target] = c.array(inputs[0])


def _convolution(depthwise: bool) -> Rule:
    kind = tflite.DepthwiseConv2DOptions if depthwise else tflite.Conv2DOptions

    def rule(c: Any, operator: Any, inputs: list[int], target: int) -> None:
        options = options_of(operator, kind)
        kernel = c.array(inputs[1])
        kernel_hw = (kernel.shape[1], kernel.shape[2])
        name = c.emit(
            "Conv",
            c.value(inputs[0]),
            c.kernel(kernel.transpose([3, 0, 1, 2] if depthwise else TO_NCHW)),
            c.value(inputs[2]),
            kernel_shape=list(kernel_hw),
            strides=[options.StrideH(), options.StrideW()],
            pads=c.pads(options, inputs[0], target, kernel_hw),
            group=c.shape(inputs[0])[3] if depthwise else 1,
        )
        c.value_of[target] = c.activated(name, options.FusedActivationFunction())

    return rule


def _transposed_convolution(c: Any, operator: Any, inputs: list[int], target: int) -> None:
    options = options_of(operator, tflite.TransposeConvOptions)
    kernel = c.array(inputs[1])
    strides = [options.StrideH(), options.StrideW()]
    if strides != list(kernel.shape[1:3]):
        raise ValueError("only transposed convolutions that do not overlap are needed so far")
    name = c.emit(
        "ConvTranspose",
        c.value(inputs[2]),
        c.kernel(kernel.transpose(3, 0, 1, 2)),
        c.value(inputs[3]),
        kernel_shape=strides,
        strides=strides,
    )
    c.value_of[target] = c.activated(name, options.FusedActivationFunction())


def _max_pool(c: Any, operator: Any, inputs: list[int], target: int) -> None:
    options = options_of(operator, tflite.Pool2DOptions)
    kernel = (options.FilterHeight(), options.FilterWidth())
    c.value_of[target] = c.emit(
        "MaxPool",
        c.value(inputs[0]),
        kernel_shape=list(kernel),
        strides=[options.StrideH(), options.StrideW()],
        pads=c.pads(options, inputs[0], target, kernel),
    )


def _pad(c: Any, operator: Any, inputs: list[int], target: int) -> None:
    amounts = c.array(inputs[1])[TO_NCHW].T.reshape(-1).astype(np.int64)
    c.value_of[target] = c.emit("Pad", c.value(inputs[0]), c.constant(amounts))


def _prelu(c: Any, operator: Any, inputs: list[int], target: int) -> None:
    slope = c.constant(c.array(inputs[1]).transpose(2, 0, 1))
    c.value_of[target] = c.emit("PRelu", c.value(inputs[0]), slope)


def _relu(c: Any, operator: Any, inputs: list[int], target: int) -> None:
    c.value_of[target] = c.emit("Relu", c.value(inputs[0]))


def _operand(c: Any, tensor: int) -> str:
    """Give a tensor for arithmetic with an image: a constant per channel gets two more axes."""
    array = c.array(tensor)
    if array is not None and array.ndim == 1 and array.size > 1:
        return c.constant(array.reshape(-1, 1, 1))
    return c.value(tensor)


def _binary(op_type: str, kind: type) -> Rule:
    def rule(c: Any, operator: Any, inputs: list[int], target: int) -> None:
        name = c.emit(op_type, *(_operand(c, tensor) for tensor in inputs))
        activation = options_of(operator, kind).FusedActivationFunction()
        c.value_of[target] = c.activated(name, activation)

    return rule


def _concatenation(c: Any, operator: Any, inputs: list[int], target: int) -> None:
    axis = options_of(operator, tflite.ConcatenationOptions).Axis()
    if len(c.shape(target)) == 4:
        raise ValueError("concatenation of image tensors is not needed so far")
    c.value_of[target] = c.emit("Concat", *(c.value(t) for t in inputs), axis=axis)


def _reshape(c: Any, operator: Any, inputs: list[int], target: int) -> None:
    name = c.value(inputs[0])
    if len(c.shape(inputs[0])) == 4:
        name = c.emit("Transpose", name, perm=TO_NHWC)
    shape = c.shape(target)
    name = c.emit("Reshape", name, c.constant(np.array(shape, np.int64)))
    c.value_of[target] = c.emit("Transpose", name, perm=TO_NCHW) if len(shape) == 4 else name


def _resize_bilinear(c: Any, operator: Any, inputs: list[int], target: int) -> None:
    options = options_of(operator, tflite.ResizeBilinearOptions)
    mode = "half_pixel" if options.HalfPixelCenters() else "asymmetric"
    mode = "align_corners" if options.AlignCorners() else mode
    sizes = np.array([c.shape(target)[axis] for axis in TO_NCHW], np.int64)
    c.value_of[target] = c.emit(
        "Resize",
        *(c.value(inputs[0]), "", "", c.constant(sizes)),
        mode="linear",
        coordinate_transformation_mode=mode,
    )


def _resize_nearest(c: Any, operator: Any, inputs: list[int], target: int) -> None:
    size_in, size_out = (np.array(c.shape(tensor)[1:3]) for tensor in (inputs[0], target))
    if (size_out % size_in).any():
        raise ValueError("only pixels repeated a whole number of times are needed so far")
    sizes = np.array([c.shape(target)[axis] for axis in TO_NCHW], np.int64)
    c.value_of[target] = c.emit(
        "Resize",
        *(c.value(inputs[0]), "", "", c.constant(sizes)),
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


def _softmax(c: Any, operator: Any, inputs: list[int], target: int) -> None:
    if options_of(operator, tflite.SoftmaxOptions).Beta() != 1:
        raise ValueError("only softmax without a temperature is needed so far")
    axis = 1 if len(c.shape(target)) == 4 else -1
    c.value_of[target] = c.emit("Softmax", c.value(inputs[0]), axis=axis)


def _sum(c: Any, operator: Any, inputs: list[int], target: int) -> None:
    if len(c.shape(inputs[0])) != 4 or not options_of(operator, tflite.ReducerOptions).KeepDims():
        raise ValueError("only sums of image tensors that keep their axes are needed so far")
    axes = np.array([TO_NHWC[axis] for axis in c.array(inputs[1]).reshape(-1)], np.int64)
    c.value_of[target] = c.emit("ReduceSum", c.value(inputs[0]), c.constant(axes), keepdims=1)


def _transpose(c: Any, operator: Any, inputs: list[int], target: int) -> None:
    order = c.array(inputs[1])
    if len(order) != 4:
        raise ValueError("only transposed image tensors are needed so far")
    perm = [TO_NHWC[order[axis]] for axis in TO_NCHW]
    c.value_of[target] = c.emit("Transpose", c.value(inputs[0]), perm=perm)


def _strided_slice(c: Any, operator: Any, inputs: list[int], target: int) -> None:
    if c.shape(inputs[0]) != c.shape(target):
        raise ValueError("only slices that keep everything are needed so far")
    c.value_of[target] = c.value(inputs[0])


OPERATORS: dict[str, Rule] = {
    "ADD": _binary("Add", tflite.AddOptions),
    "CONCATENATION": _concatenation,
    "CONV_2D": _convolution(depthwise=False),
    "DEPTHWISE_CONV_2D": _convolution(depthwise=True),
    "DEQUANTIZE": _dequantize,
    "MAX_POOL_2D": _max_pool,
    "MUL": _binary("Mul", tflite.MulOptions),
    "PAD": _pad,
    "PRELU": _prelu,
    "RELU": _relu,
    "RESHAPE": _reshape,
    "RESIZE_BILINEAR": _resize_bilinear,
    "RESIZE_NEAREST_NEIGHBOR": _resize_nearest,
    "SOFTMAX": _softmax,
    "STRIDED_SLICE": _strided_slice,
    "SUM": _sum,
    "TRANSPOSE": _transpose,
    "TRANSPOSE_CONV": _transposed_convolution,
    **MEDIAPIPE_OPERATORS,
}
