"""Released models: one row each. Importing this module does not import torch."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from fnevr.errors import CheckpointError

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"
ASSETS = Path(str(files("fnevr"))) / "assets"


MODELS_VARIABLE = "FNEVR_MODELS"
CONVERT = (
    "no weights ship for it: convert the authors' checkpoint with `fnevr convert CHECKPOINT "
    "FOLDER` and use `--model FOLDER`; converted to '{folder}' it goes by its name"
)


@dataclass(frozen=True)
class Preset:
    """One released model.

    Attributes:
        name: what `--model` takes.
        summary: one line for people.
        sha256: of the weights file in the package; None where the package has no weights.
        how_to_get: what to do when there are no weights.
    """

    name: str
    summary: str
    sha256: str | None
    how_to_get: str = ""

    @property
    def folder(self) -> Path:
        """Where the configuration and the weights lie: in the package, or among the user's."""
        return (user_models() if self.sha256 is None else ASSETS / "models") / self.name


PRESETS = (
    Preset(
        name="lite",
        summary="small and quick on a CPU; the default",
        sha256="d106a3d3cb1097ffa85c3bee73edd03e8b534ce52acdc5204186f133609ad095",
        how_to_get="its weights are not in this installation; install fnevr again",
    ),
    Preset("base", "the paper's network, exactly; brings no weights", None, CONVERT),
    Preset("fomm", "First Order Motion Model (baseline); brings no weights", None, CONVERT),
    Preset("face-vid2vid", "Face vid2vid (baseline); brings no weights", None, CONVERT),
    Preset("face-vid2vid-s", "Face vid2vid-S (baseline); brings no weights", None, CONVERT),
    Preset("dagan", "DaGAN (baseline); brings no weights", None, CONVERT),
    Preset("dagan-spade", "DaGAN, SPADE decoder (baseline); brings no weights", None, CONVERT),
)
DEFAULT = PRESETS[0].name


def resolve_model(name_or_folder: str | Path) -> Path:
    """Return the folder with the configuration and the weights of a model.

    Args:
        name_or_folder: a preset's name, or a folder that holds config.json and model.safetensors.
            A preset's name wins; write `./lite` for a folder of that name.

    Raises:
        CheckpointError: if there is no such preset or folder, or files are missing or damaged.
    """
    for preset in PRESETS:
        if str(name_or_folder) == preset.name:
            return _preset_folder(preset)
    folder = Path(name_or_folder)
    if folder.is_file():
        raise CheckpointError(
            f"'{folder}' is a file; a model is a folder with {CONFIG_NAME} and {WEIGHTS_NAME}. "
            "Make one of another project's checkpoint with `fnevr convert CHECKPOINT FOLDER`"
        )
    if not folder.is_dir():
        names = ", ".join(preset.name for preset in PRESETS)
        raise CheckpointError(
            f"there is no model '{name_or_folder}': it is neither a preset ({names}) nor a folder"
        )
    missing = [name for name in (CONFIG_NAME, WEIGHTS_NAME) if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(
            f"the folder '{folder}' is no model: it lacks {' and '.join(missing)}"
        )
    return folder


def user_models() -> Path:
    """Return the folder of converted models that go by their names: $FNEVR_MODELS, or its place."""
    named = os.environ.get(MODELS_VARIABLE)
    return Path(named) if named else Path.home() / ".local" / "share" / "fnevr" / "models"


def asset(name: str) -> Path:
    """Return a file that ships with the package.

    Raises:
        CheckpointError: if this installation lacks it.
    """
    path = ASSETS / name
    if not path.is_file():
        raise CheckpointError(f"'{name}' is not in this installation; install fnevr again")
    return path


def is_installed(preset: Preset) -> bool:
    """Return whether the weights of a preset are in this installation."""
    return (preset.folder / WEIGHTS_NAME).is_file()


def file_sha256(path: Path) -> str:
    """Return the hexadecimal sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _preset_folder(preset: Preset) -> Path:
    if not is_installed(preset) or not (preset.folder / CONFIG_NAME).is_file():
        how = preset.how_to_get.format(folder=preset.folder)
        raise CheckpointError(f"the model '{preset.name}' cannot be used: {how}")
    if preset.sha256 is not None and file_sha256(preset.folder / WEIGHTS_NAME) != preset.sha256:
        raise CheckpointError(
            f"the weights of '{preset.name}' in '{preset.folder}' are damaged (wrong sha256); "
            "install fnevr again"
        )
    return preset.folder
