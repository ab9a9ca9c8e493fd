"""Load the bundled face models, each only when it is first used."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnxruntime


class FaceModel:
    """One bundled ONNX file, run by ONNX Runtime on the CPU.

    Args:
        name: the file's name under ``fnevr/assets/faces``, without ``.onnx``.
        num_threads: threads that one call may use.
    """

    def __init__(self, name: str, num_threads: int = 2) -> None:
        self.name = name
        self.num_threads = num_threads

    @property
    def session(self) -> onnxruntime.InferenceSession:
        """The loaded model; made on first use, so that a constructor costs nothing."""
        return _session(self.name, self.num_threads)

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        """Run the model on one float32 image (H, W, 3); give its outputs in file order."""
        return self.session.run(None, {"image": image[None]})


@cache
def _session(name: str, num_threads: int) -> onnxruntime.InferenceSession:
    """Load a model once, for all who use it."""
    import onnxruntime  # noqa: PLC0415  (half a second: only when a model runs)

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Waiting threads would otherwise keep a core busy between two frames of a video.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    content = resources.files("fnevr").joinpath("assets", "faces", f"{name}.onnx")
    return onnxruntime.InferenceSession(
        content.read_bytes(), options, providers=["CPUExecutionProvider"]
    )
