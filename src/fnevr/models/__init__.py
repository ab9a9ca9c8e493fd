"""The networks. Public names load when first used, so that this alone does not import torch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fnevr.models.architectures import ARCHITECTURES, load_model
    from fnevr.models.baselines.bilayer import Bilayer
    from fnevr.models.baselines.dagan import DaGAN
    from fnevr.models.baselines.face_vid2vid import FaceVid2Vid
    from fnevr.models.baselines.fomm import FOMM
    from fnevr.models.baselines.pirender import PIRender
    from fnevr.models.encoded_source import EncodedSource
    from fnevr.models.fnevr import FNeVR
    from fnevr.models.lite import FNeVRLite
    from fnevr.models.portrait import Generated, KeypointModel, PortraitModel

_HOME_OF_NAME = {
    "ARCHITECTURES": "fnevr.models.architectures",
    "Bilayer": "fnevr.models.baselines.bilayer",
    "DaGAN": "fnevr.models.baselines.dagan",
    "EncodedSource": "fnevr.models.encoded_source",
    "FNeVR": "fnevr.models.fnevr",
    "FNeVRLite": "fnevr.models.lite",
    "FOMM": "fnevr.models.baselines.fomm",
    "FaceVid2Vid": "fnevr.models.baselines.face_vid2vid",
    "Generated": "fnevr.models.portrait",
    "KeypointModel": "fnevr.models.portrait",
    "PIRender": "fnevr.models.baselines.pirender",
    "PortraitModel": "fnevr.models.portrait",
    "load_model": "fnevr.models.architectures",
}
__all__ = [
    "ARCHITECTURES",
    "FOMM",
    "Bilayer",
    "DaGAN",
    "EncodedSource",
    "FNeVR",
    "FNeVRLite",
    "FaceVid2Vid",
    "Generated",
    "KeypointModel",
    "PIRender",
    "PortraitModel",
    "load_model",
]


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for (PEP 562)."""
    if name not in _HOME_OF_NAME:
        raise AttributeError(f"module 'fnevr.models' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF_NAME[name]), name)
    globals()[name] = value
    return value
