"""The one table of models that go by a name. Importing this module does not import torch."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path

from fnevr.config.folder import CONFIG_NAME, WEIGHTS_NAME, parse_config
from fnevr.config.models import (
    AnyConfig,
    LiteConfig,
    base_config,
    bilayer_config,
    dagan_config,
    dagan_spade_config,
    face_vid2vid_config,
    face_vid2vid_s_config,
    fomm_config,
    pirender_config,
)
from fnevr.errors import CheckpointError
from fnevr.media.files import file_sha256, home

ASSETS = Path(str(files("fnevr"))) / "assets"


MODELS_VARIABLE = "FNEVR_MODELS"
CONVERT = (
    "no weights ship for it: convert the authors' checkpoint with `fnevr convert CHECKPOINT "
    "FOLDER` and use that folder; converted to '{folder}' it goes by its name"
)


@dataclass(frozen=True)
class Preset:
    """One row of the table: a model that goes by a name.

    Attributes:
        name: what stands for the model wherever one is asked for.
        summary: one line for people.
        config: makes its configuration; a folder of weights brings its own, which wins.
        sha256: of the weights file in the package; None where the package has no weights.
        how_to_get: what to do when there are no weights.
        released_config: makes the configuration of the authors' released weights, where their code
            differs from the paper; None where it does not.
        published_as: its name in the tables of FNeVR's paper, if it is there.
    """

    name: str
    summary: str
    config: Callable[[], AnyConfig]
    sha256: str | None = None
    how_to_get: str = CONVERT
    released_config: Callable[[], AnyConfig] | None = None
    published_as: str | None = None

    @property
    def folder(self) -> Path:
        """Where the configuration and the weights lie: in the package, or among the user's."""
        return (user_models() if self.sha256 is None else ASSETS / "models") / self.name


PRESETS = (
    Preset(
        name="lite",
        summary="small and quick on a CPU; the default",
        config=partial(LiteConfig, detail_gain=4.0, detail_shift=4.8, inner_face_width=48),
        sha256="952a61ba99002e98051c48cc961facbb8db4aa96470cb251752fe91d249a40d1",
        how_to_get="its weights are not in this installation; install fnevr again",
    ),
    Preset(
        name="base",
        summary="the paper's network, exactly; brings no weights",
        config=base_config,
        released_config=partial(base_config, "inclusive"),
        published_as="FNeVR",
    ),
    Preset(
        name="fomm",
        summary="First Order Motion Model (baseline); brings no weights",
        config=fomm_config,
        published_as="FOMM",
    ),
    Preset(
        name="face-vid2vid",
        summary="Face vid2vid (baseline); brings no weights",
        config=face_vid2vid_config,
        published_as="Face vid2vid",
    ),
    Preset(
        name="face-vid2vid-s",
        summary="Face vid2vid-S (baseline); brings no weights",
        config=face_vid2vid_s_config,
        published_as="Face vid2vid-S",
    ),
    Preset(
        name="dagan",
        summary="DaGAN (baseline); brings no weights",
        config=dagan_config,
        published_as="DaGAN",
    ),
    Preset(
        name="dagan-spade",
        summary="DaGAN, SPADE decoder (baseline); brings no weights",
        config=dagan_spade_config,
    ),
    Preset(
        name="pirender",
        summary="PIRender (baseline), by 3DMM coefficients; brings no weights",
        config=pirender_config,
        published_as="PIRender",
    ),
    Preset(
        name="bilayer",
        summary="Bilayer (baseline), by face landmarks; brings no weights",
        config=bilayer_config,
        published_as="Bilayer",
    ),
)
DEFAULT = PRESETS[0].name


def find_preset(name: str) -> Preset | None:
    """Return the row of the table, or None if no model goes by this name."""
    return next((preset for preset in PRESETS if preset.name == name), None)


def preset_of(config: AnyConfig) -> Preset | None:
    """Return the preset whose network a configuration is, whatever its widths.

    Where two share an architecture, their decoders tell them apart.
    """

    def kind(one: AnyConfig) -> tuple[str, object]:
        decoder = getattr(one, "decoder", None)
        return one.architecture, decoder if isinstance(decoder, str) else None

    return next((preset for preset in PRESETS if kind(preset.config()) == kind(config)), None)


def resolve_model(name_or_folder: str | Path) -> Path:
    """Return the folder with the configuration and the weights of a model.

    Args:
        name_or_folder: a preset's name, or a folder that holds config.json and model.safetensors.
            A preset's name wins; write `./lite` for a folder of that name.

    Raises:
        CheckpointError: if there is no such preset or folder, or files are missing or damaged.
    """
    preset = find_preset(str(name_or_folder))
    if preset is not None:
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


def new_config(name_or_file: str) -> AnyConfig:
    """Return the configuration of a model that starts anew.

    Args:
        name_or_file: a preset's name, or a file like config.json.

    Raises:
        CheckpointError: if there is no such model, or the file holds no configuration.
    """
    preset = find_preset(name_or_file)
    if preset is not None:
        return preset.config()
    path = Path(name_or_file)
    if not path.is_file():
        names = ", ".join(preset.name for preset in PRESETS)
        raise CheckpointError(
            f"there is no model '{name_or_file}' to start anew: it is neither one of "
            f"{names} nor a config.json"
        )
    return parse_config(path)


def user_models() -> Path:
    """Return the folder of the user's converted models: $FNEVR_MODELS, or the default place."""
    variable = os.environ.get(MODELS_VARIABLE)
    return Path(variable) if variable else home() / ".local" / "share" / "fnevr" / "models"


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
    """Return whether the weights of a preset are here: in the package, or among the user's."""
    return (preset.folder / WEIGHTS_NAME).is_file()


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
