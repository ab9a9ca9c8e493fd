"""All models by the name of their architecture, and weights folders of any of them."""

from __future__ import annotations

from pathlib import Path

import torch

from fnevr.config.folder import read_config
from fnevr.config.presets import resolve_model
from fnevr.models.baselines.bilayer import Bilayer
from fnevr.models.baselines.dagan import DaGAN
from fnevr.models.baselines.face_vid2vid import FaceVid2Vid
from fnevr.models.baselines.fomm import FOMM
from fnevr.models.baselines.pirender import PIRender
from fnevr.models.fnevr import FNeVR
from fnevr.models.lite import FNeVRLite
from fnevr.models.portrait import PortraitModel

ARCHITECTURES: dict[str, type[PortraitModel]] = {
    model.architecture: model
    for model in (FNeVR, FNeVRLite, FOMM, FaceVid2Vid, DaGAN, PIRender, Bilayer)
}


def load_model(folder: str | Path, device: torch.device | str = "cpu") -> PortraitModel:
    """Load the model in a weights folder, of the class that its config names.

    Args:
        folder: holds `config.json` and `model.safetensors`; or the name of a preset whose weights
            are here.
        device: where the model goes.

    Raises:
        CheckpointError: if files are missing or damaged, or do not match each other.
    """
    place = resolve_model(folder)
    model = ARCHITECTURES[read_config(place).architecture]
    return model.from_pretrained(place, device=device)
