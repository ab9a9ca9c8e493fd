"""Load the bundled face models, each only when it is first used."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import resources

import numpy as np

from fnevr.openvino_graph import OpenVINOGraph, is_loaded


class FaceModel:
    """One bundled ONNX file, run on the CPU: by ONNX Runtime, or by OpenVINO.

    Args:
        name: the file's name under ``fnevr/assets/faces``, without ``.onnx``.
        num_threads: threads that one call may use.
        is_for_videos: it runs once in every frame of a driver or a camera. Where OpenVINO is loaded
            already, it runs there, in half the time, and its numbers differ in the last digits.
            False where results are stored or scored: they must always be the same.
    """

    def __init__(self, name: str, num_threads: int = 2, *, is_for_videos: bool = False) -> None:
        self.name = name
        self.num_threads = num_threads
        self.is_for_videos = is_for_videos

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        """Run the model on one float32 image (H, W, 3); give its outputs in file order."""
        # Loaded at the first use, so that a constructor costs nothing.
        by_openvino = self.is_for_videos and is_loaded()
        return _loaded(self.name, self.num_threads, by_openvino)(image[None])


@cache
def _loaded(
    name: str, num_threads: int, by_openvino: bool
) -> Callable[[np.ndarray], list[np.ndarray]]:
    """Load a model once, for all who use it."""
    path = resources.files("fnevr").joinpath("assets", "faces", f"{name}.onnx")
    content = path.read_bytes()
    if by_openvino:
        graph = OpenVINOGraph(content, num_threads)
        return lambda image: graph([image])

    import onnxruntime  # noqa: PLC0415  (half a second: only when a model runs)

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Waiting threads would otherwise keep a core busy between two frames of a video.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda image: session.run(None, {"image": image})
