"""FNeVR: neural volume rendering for face animation. Public names load when first used."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from fnevr.extras import need_torch

if TYPE_CHECKING:
    from fnevr.animation.animator import Animator
    from fnevr.animation.edit import PoseEditor
    from fnevr.animation.report import Report
    from fnevr.errors import CheckpointError, FaceError, FnevrError, MediaError
    from fnevr.geometry.keypoints import Keypoints
    from fnevr.models.fnevr import FNeVR

__version__ = "0.1.0"

# ONNX Runtime (1.32) reports its use to its makers, with a lasting number that it keeps in the home
# folder, unless this is set before it is imported. Nothing leaves the machine.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_HOME_OF_NAME = {
    "Animator": "fnevr.animation.animator",
    "PoseEditor": "fnevr.animation.edit",
    "Report": "fnevr.animation.report",
    "CheckpointError": "fnevr.errors",
    "FaceError": "fnevr.errors",
    "FnevrError": "fnevr.errors",
    "MediaError": "fnevr.errors",
    "Keypoints": "fnevr.geometry.keypoints",
    "FNeVR": "fnevr.models.fnevr",
}
__all__ = [
    "Animator",
    "CheckpointError",
    "FNeVR",
    "FaceError",
    "FnevrError",
    "Keypoints",
    "MediaError",
    "PoseEditor",
    "Report",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in _HOME_OF_NAME:
        raise AttributeError(f"module 'fnevr' has no attribute {name!r}")
    if name == "FNeVR":
        need_torch("fnevr.FNeVR")
    value = getattr(importlib.import_module(_HOME_OF_NAME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
