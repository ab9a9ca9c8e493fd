"""Load a model on an engine."""

from __future__ import annotations

from pathlib import Path

from fnevr.config.folder import read_config
from fnevr.errors import FnevrError
from fnevr.models import ARCHITECTURES, load_model
from fnevr.runtime.engine import Engine, EngineChoice, EngineName, Precision
from fnevr.runtime.graph_engine import GraphEngine
from fnevr.runtime.sessions import choose_engine, open_graphs
from fnevr.runtime.torch_engine import torch_engine


def load_engine(
    folder: Path,
    device: str = "cpu",
    engine: EngineChoice = "auto",
    precision: Precision = "float32",
    name: str | None = None,
) -> tuple[Engine, EngineName, str]:
    """Load a model folder.

    Args:
        folder: holds `config.json` and `model.safetensors`, and graphs for engines that run those.
        device: "cpu", "cuda" or "mps".
        engine: what runs the networks; "auto" chooses.
        precision: of the networks.
        name: what messages call the model.

    Returns:
        The engine, which one it is, and the device that its tensors are on.

    Raises:
        CheckpointError: if files are missing or damaged.
        FnevrError: if the engine is not installed, or cannot do what is asked for.
    """
    chosen = choose_engine(folder, device, precision) if engine == "auto" else engine
    if chosen in ("torch", "compile"):
        model = load_model(folder)
        loaded = torch_engine(model, device, precision, compiled=chosen == "compile")
        return loaded, chosen, device
    if chosen == "openvino" and device != "cpu":
        raise FnevrError(f"OpenVINO runs on the CPU, not on {device}; use `engine='torch'`")
    if chosen == "tensorrt" and device != "cuda":
        raise FnevrError("`engine='tensorrt'` needs `device='cuda'`")
    if precision not in ("float32", "int8"):
        raise FnevrError(
            f"{precision} needs `engine='torch'` or `engine='compile'`; graphs have float32 and "
            "int8",
            argument="precision",
        )
    config = read_config(folder)
    if ARCHITECTURES[config.architecture].uses_source_keypoints:
        raise FnevrError(f"'{config.architecture}' has no graphs: use `engine='torch'`")
    runs = open_graphs(folder, chosen, device, precision, name or str(folder))
    return GraphEngine(config, runs), chosen, "cpu"
