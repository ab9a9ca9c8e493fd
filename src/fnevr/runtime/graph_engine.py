"""Exported graphs as an engine, run by ONNX Runtime (also with TensorRT) or OpenVINO.

Shapes: B driving frames, K keypoints, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fnevr.config import PortraitConfig
from fnevr.errors import FnevrError
from fnevr.geometry.keypoints import Keypoints
from fnevr.runtime.graphs import INPUTS, GraphName, draw_inputs

Run = Callable[[list[np.ndarray]], list[np.ndarray]]
"""Takes a graph's inputs in order, gives its outputs in order."""


class GraphEngine:
    """Runs the graphs of one model; tensors go in and out on the CPU.

    Args:
        config: of the model.
        runs: one for each graph.
    """

    uses_source_keypoints: ClassVar[bool] = False

    def __init__(self, config: PortraitConfig, runs: Mapping[GraphName, Run]) -> None:
        self.config, self.runs = config, runs

    def keypoints(self, image_01: Float[Tensor, "B 3 H W"]) -> Keypoints:
        """Detect the keypoints of each image.

        Raises:
            ValueError: if the images do not have the model's size.
        """
        positions, jacobians = self._run("keypoints", self._checked(image_01))
        return Keypoints(positions, jacobians)

    def driving_keypoints(
        self, driving_01: Float[Tensor, "B 3 H W"], source: Keypoints
    ) -> Keypoints:
        """Detect the keypoints of each driving image; see `keypoints`."""
        del source
        return self.keypoints(driving_01)

    def read_source(self, source_01: Float[Tensor, "1 3 H W"]) -> tuple[Keypoints, Tensor]:
        """Return the keypoints and the features of a source.

        Raises:
            ValueError: if it does not have the model's size.
        """
        (features,) = self._run("encode", self._checked(source_01))
        return self.keypoints(source_01), features

    def draw(
        self,
        source_01: Float[Tensor, "1 3 H W"],
        source_keypoints: Keypoints,
        driving_keypoints: Keypoints,
        source_features: Tensor,
    ) -> Float[Tensor, "B 3 H W"]:
        """Draw the source as the driving keypoints have it."""
        checked_01 = self._checked(source_01)
        inputs = draw_inputs(checked_01, source_features, source_keypoints, driving_keypoints)
        (image,) = self._run("draw", *inputs)
        return image

    def _run(self, name: GraphName, *inputs: Tensor) -> list[Tensor]:
        arrays = [tensor.detach().float().cpu().contiguous().numpy() for tensor in inputs]
        return [torch.from_numpy(array) for array in self.runs[name](arrays)]

    def _checked(self, image_01: Tensor) -> Tensor:
        size = self.config.image_size
        if tuple(image_01.shape[1:]) != (3, size, size):
            raise ValueError(
                f"the exported graphs take images of 3 x {size} x {size}, got "
                f"{tuple(image_01.shape[1:])}"
            )
        return image_01


def onnx_run(graph: bytes, name: GraphName, device: str, *, tensorrt: bool = False) -> Run:
    """Load a graph into ONNX Runtime.

    Args:
        graph: content of the file.
        name: which graph it is.
        device: "cpu" or "cuda".
        tensorrt: compile it by TensorRT, which takes minutes the first time.

    Raises:
        FnevrError: if this build of ONNX Runtime lacks what is asked for.
    """
    import onnxruntime  # noqa: PLC0415 (slow)

    wanted = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}.get(device)
    provider = "TensorrtExecutionProvider" if tensorrt else wanted
    if provider not in onnxruntime.get_available_providers():
        engine = "tensorrt" if tensorrt else "onnx"
        raise FnevrError(
            f"--engine {engine} --device {device}: this ONNX Runtime has no {provider}; "
            "pip install onnxruntime-gpu (with CUDA, and TensorRT for that engine), or use "
            "--engine torch"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that wait would keep the cores from what runs beside: decoding, encoding.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(graph, options, providers=[provider])

    def run(arrays: list[np.ndarray]) -> list[np.ndarray]:
        return session.run(None, dict(zip(INPUTS[name], arrays, strict=True)))

    return run


def openvino_run(graph: bytes, name: GraphName) -> Run:
    """Load a graph into OpenVINO; it is compiled for each number of frames when that first comes.

    Raises:
        FnevrError: if OpenVINO is not installed.
    """
    try:
        import openvino  # noqa: PLC0415 (optional)
    except ImportError as error:
        raise FnevrError(
            "--engine openvino: OpenVINO is not here; pip install 'fnevr[openvino]'"
        ) from error

    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
        # Otherwise processors with bfloat16 units take it unasked.
        "INFERENCE_PRECISION_HINT": "f32",
    }
    requests: dict[tuple[tuple[int, ...], ...], Any] = {}

    def run(arrays: list[np.ndarray]) -> list[np.ndarray]:
        shapes = tuple(array.shape for array in arrays)
        if shapes not in requests:
            network = core.read_model(graph)
            # Static shapes are quicker.
            network.reshape(dict(enumerate(list(shape) for shape in shapes)))
            requests[shapes] = core.compile_model(network, "CPU", settings).create_infer_request()
        outputs = requests[shapes].infer(arrays, share_inputs=True)
        return [np.array(output) for output in outputs.values()]

    return run
