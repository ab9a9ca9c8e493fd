"""PyTorch as an engine: a folded model, layer by layer or compiled."""

from __future__ import annotations

import shutil

import torch
from torch import Tensor

from fnevr.errors import FnevrError
from fnevr.geometry.keypoints import Keypoints
from fnevr.models.portrait import PortraitModel
from fnevr.runtime.engine import Precision
from fnevr.runtime.folding import fold
from fnevr.runtime.precision import run_networks_in

HALF = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def torch_engine(
    model: PortraitModel, device: str, precision: Precision, *, compiled: bool
) -> PortraitModel:
    """Fold a model, move it to its device and, if wanted, compile it.

    On CUDA a compiled model runs as CUDA graphs: a frame is one launch, not hundreds.

    Args:
        model: is left as it is.
        device: "cpu", "cuda" or "mps".
        precision: of the networks; keypoints and flows are float32 in any case.
        compiled: by `torch.compile`, at the first frame.

    Raises:
        FnevrError: if the precision is none of PyTorch's, or nothing can be compiled here.
    """
    if precision == "int8":
        raise FnevrError(
            "int8 needs `engine='onnx'` or `engine='openvino'`; the torch engines have float32, "
            "bfloat16 and float16",
            argument="precision",
        )
    folded = fold(model).to(device)
    if precision in HALF:
        run_networks_in(folded, HALF[precision])
    if not compiled:
        return folded
    if torch.device(device).type == "cpu" and not (shutil.which("g++") or shutil.which("clang++")):
        raise FnevrError(
            "`engine='compile'` needs a C++ compiler on a CPU and there is none: install g++ or "
            "clang++, or use `engine='onnx'` or `engine='openvino'`",
            argument="engine",
        )
    return _compiled(folded, is_cuda=torch.device(device).type == "cuda")


def _compiled(model: PortraitModel, *, is_cuda: bool) -> PortraitModel:
    """Replace what is called for every frame by its compiled form."""
    mode = "reduce-overhead" if is_cuda else None
    keypoints = torch.compile(model.keypoints, mode=mode, dynamic=False)
    driving_keypoints = torch.compile(model.driving_keypoints, mode=mode, dynamic=False)
    draw = torch.compile(model.draw, mode=mode, dynamic=False)

    def own(keypoints: Keypoints) -> Keypoints:
        # The memory of a CUDA graph's output is written again by its next run.
        return Keypoints(keypoints.positions.clone(), keypoints.jacobians.clone())

    def find(image_01: Tensor) -> Keypoints:
        return own(keypoints(image_01)) if is_cuda else keypoints(image_01)

    def find_driving(image_01: Tensor, source: Keypoints) -> Keypoints:
        if not model.uses_source_keypoints:
            return find(image_01)
        return driving_keypoints(image_01, source)

    def draw_own(
        source_01: Tensor, source: Keypoints, driving: Keypoints, features: Tensor
    ) -> Tensor:
        image = draw(source_01, source, driving, features)
        return image.clone() if is_cuda else image

    # Instance attributes, so that the class still says what the model is.
    vars(model).update(keypoints=find, driving_keypoints=find_driving, draw=draw_own)
    return model
