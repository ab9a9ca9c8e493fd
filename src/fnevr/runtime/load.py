"""Load a model on an engine: a graph engine without PyTorch, or PyTorch."""

from __future__ import annotations

import shutil
from pathlib import Path

from fnevr.config.engines import (
    DEVICES,
    GRAPH_PRECISIONS,
    TORCH_ENGINES,
    EngineChoice,
    EngineName,
    Precision,
    PrecisionChoice,
)
from fnevr.config.folder import EDITOR_NAME, read_config
from fnevr.config.stages import KeypointConfig, PortraitConfig
from fnevr.errors import FnevrError
from fnevr.extras import has_torch, need_torch
from fnevr.models.retarget_map import RetargetMap
from fnevr.runtime.engine import Engine
from fnevr.runtime.graph_engine import GraphEngine
from fnevr.runtime.sessions import choose, open_graphs


def load_engine(
    folder: Path,
    device: str | None = None,
    engine: EngineChoice = "auto",
    precision: PrecisionChoice = "auto",
    name: str | None = None,
) -> Engine:
    """Load a model folder.

    Args:
        folder: holds `config.json` and `model.safetensors`, and graphs for engines that run those.
        device: "cpu", "cuda" or "mps"; None takes CUDA if there is some, otherwise the CPU.
        engine: what runs the networks; "auto" takes the quickest that is here.
        precision: of the networks; "auto" takes int8 where its pictures are measured to be within
            `sessions.AUTO_PSNR_DB` of float32.
        name: what messages call the model.

    Raises:
        CheckpointError: if files are missing or damaged.
        FnevrError: if the device or the engine is not there, or cannot do what is asked for.
    """
    device = check_device(device)
    engine_name, exact = choose(folder, device, engine, precision)
    if engine_name in TORCH_ENGINES:
        return _torch_engine(folder, device, engine_name, exact)
    if engine_name == "openvino" and device != "cpu":
        raise FnevrError(f"OpenVINO runs on the CPU, not on {device}; use `engine='torch'`")
    if engine_name == "tensorrt" and device != "cuda":
        raise FnevrError("`engine='tensorrt'` needs `device='cuda'`")
    if exact not in GRAPH_PRECISIONS:
        raise FnevrError(
            f"{exact} needs `engine='torch'` or `engine='compile'`; graphs have "
            f"{' and '.join(GRAPH_PRECISIONS)}",
            argument="precision",
        )
    config = read_config(folder)
    if config.why_no_graphs or not isinstance(config, KeypointConfig):
        raise FnevrError(
            f"'{config.architecture}' has no graphs ({config.why_no_graphs}): use `engine='torch'`"
        )
    runs = open_graphs(folder, engine_name, device, exact, name or str(folder))
    return GraphEngine(config, runs, engine_name, exact, device, _retarget_map(folder, config))


def check_device(device: str | None) -> str:
    """Return the device if it can be used; None chooses one.

    Raises:
        FnevrError: if it is not one of cpu, cuda and mps, or not available here.
    """
    if device is None:
        return "cuda" if _has_cuda() else "cpu"
    kind, _, index = device.partition(":")
    if kind not in DEVICES or (index and not index.isdecimal()):
        raise FnevrError(f"the device must be cpu, cuda or mps, got '{device}'", argument="device")
    if kind == "cpu":
        return device
    need_torch(f"`device='{device}'`")
    import torch  # noqa: PLC0415 (optional, slow)

    has_cuda = int(index or 0) < torch.cuda.device_count()
    if not (has_cuda if kind == "cuda" else torch.backends.mps.is_available()):
        raise FnevrError(f"there is no {device} on this machine; use `device='cpu'`")
    return device


def _has_cuda() -> bool:
    """Return whether PyTorch can use CUDA; it is not imported where there is no NVIDIA driver."""
    if not has_torch() or shutil.which("nvidia-smi") is None:
        return False
    import torch  # noqa: PLC0415 (optional, slow)

    return torch.cuda.is_available()


def _torch_engine(folder: Path, device: str, engine: EngineName, precision: Precision) -> Engine:
    need_torch(f"`engine='{engine}'`")
    from fnevr.models.architectures import load_model  # noqa: PLC0415 (optional, slow)
    from fnevr.models.pose_editor import LightweightPoseEditor  # noqa: PLC0415
    from fnevr.runtime.folding import fold  # noqa: PLC0415
    from fnevr.runtime.torch_engine import TorchEngine  # noqa: PLC0415

    has_editor = (folder / EDITOR_NAME).is_file()
    model = load_model(folder)
    return TorchEngine(
        fold(model),
        device,
        precision,
        compiled=engine == "compile",
        editor=LightweightPoseEditor.from_pretrained(folder) if has_editor else None,
        retarget_map=_retarget_map(folder, model.config),
    )


def _retarget_map(folder: Path, config: PortraitConfig) -> RetargetMap | None:
    if not isinstance(config, KeypointConfig):
        return None
    return RetargetMap.from_folder(folder, config.num_face_keypoints, config.num_keypoints)
