"""Model folders: a configuration beside weights. Importing this module does not import torch."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from fnevr.config.models import MODEL_CONFIG, AnyConfig
from fnevr.errors import CheckpointError

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"
EDITOR_NAME = "pose_editor.safetensors"  # of models that can turn heads
RETARGET_NAME = "retarget.safetensors"  # of models whose faces can be retargeted
GRAPHS_NAME = "graphs"  # the folder of exported graphs
MADE_OF_WEIGHTS = (GRAPHS_NAME, EDITOR_NAME, RETARGET_NAME)
"""What goes with the weights that it was made of."""


def read_config(folder: Path, architecture: str | None = None) -> AnyConfig:
    """Read and validate `config.json`.

    Args:
        folder: the weights folder.
        architecture: what the config must be for; None takes any model.

    Raises:
        CheckpointError: if there is none, it is not valid, or it is for another architecture.
    """
    config = parse_config(folder / CONFIG_NAME)
    if architecture not in (None, config.architecture):
        raise CheckpointError(
            f"{folder}: holds a model of architecture {config.architecture!r}, wanted "
            f"{architecture!r}. fnevr.models.load_model loads either."
        )
    return config


def parse_config(path: Path) -> AnyConfig:
    """Read and validate a model's configuration.

    Raises:
        CheckpointError: if there is none, or it is not valid.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"{path}: cannot read the config ({error}). A model folder holds {CONFIG_NAME} and "
            f"{WEIGHTS_NAME}; 'fnevr convert' makes one from the authors' checkpoint."
        ) from error
    try:
        return MODEL_CONFIG.validate_json(text)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'file'}: {problem['msg']}"
            for problem in error.errors()
        )
        raise CheckpointError(f"{path}: not a valid model config: {problems}") from error
