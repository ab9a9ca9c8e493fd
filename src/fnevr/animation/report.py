"""What a run did, for people and for programs."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from fnevr.config.stages import PathText


class Report(BaseModel):
    """What was made, from what, and how fast."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    output: PathText
    """The file that was written."""

    source: PathText
    """The picture or video that was animated."""

    driving: PathText
    """The video or keypoint track that moved it."""

    model: PathText
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

    transfer: str
    """How motion went from the driver to the source: retarget, relative or absolute."""

    reference_frame: int | None
    """The driver's frame from which relative motion was measured; None for other motion."""

    warnings: list[PathText] = []
    """What was not as it should be, but did not prevent the result."""

    versions: dict[str, str]
    """Of fnevr, Python and the packages that decide the numbers."""
