"""What a run did, for people and for programs (`--json`)."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from pydantic import BaseModel, ConfigDict

import fnevr

REPORTED_PACKAGES = ("torch", "numpy", "av", "onnxruntime", "openvino")


class Report(BaseModel):
    """What was made, from what, and how fast."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    output: str
    """The file that was written."""

    source: str
    """The picture that was animated."""

    driving: str
    """The video or keypoint track that moved it."""

    model: str
    """Preset or folder of the weights."""

    device: str
    """What the network ran on."""

    engine: str
    """What ran the network: torch, compile, onnx, openvino or tensorrt."""

    precision: str
    """Of the network's numbers."""

    frames: int
    """Frames written."""

    width: int
    """Of the output, in pixels."""

    height: int
    """Of the output, in pixels."""

    seconds: float
    """From reading the source to the finished file; loading the model not included."""

    frames_per_second: float
    """Frames written per second of that time."""

    reference_frame: int | None
    """The driver's frame from which relative motion was measured; None for absolute motion."""

    warnings: list[str] = []
    """What was not as it should be, but did not prevent the result."""

    versions: dict[str, str]
    """Of fnevr, Python and the packages that decide the numbers."""


def versions() -> dict[str, str]:
    """Return the versions of fnevr, Python and the packages that decide the numbers."""
    found = {"fnevr": fnevr.__version__, "python": platform.python_version()}
    for package in REPORTED_PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
