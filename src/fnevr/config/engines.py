"""The names of engines, precisions and devices, for the library and the command line."""

from __future__ import annotations

from typing import Literal, get_args

EngineName = Literal["torch", "compile", "onnx", "openvino", "tensorrt"]
EngineChoice = Literal["auto", EngineName]
Precision = Literal["float32", "bfloat16", "float16", "int8"]
PrecisionChoice = Literal["auto", Precision]
GraphPrecision = Literal["float32", "int8"]
DeviceName = Literal["cpu", "cuda", "mps"]

ENGINES: tuple[EngineName, ...] = get_args(EngineName)
TORCH_ENGINES: tuple[EngineName, ...] = ("torch", "compile")
GRAPH_ENGINES: tuple[EngineName, ...] = ("onnx", "openvino", "tensorrt")
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
GRAPH_PRECISIONS: tuple[GraphPrecision, ...] = get_args(GraphPrecision)
DEVICES: tuple[DeviceName, ...] = get_args(DeviceName)
