"""What a server is told: its limits, the model, where it listens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fnevr.config.engines import DeviceName, EngineChoice, PrecisionChoice
from fnevr.config.presets import DEFAULT
from fnevr.errors import FnevrError

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Limits(BaseModel):
    """What one person may ask for; more is answered with 413, 422 or 429."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    max_upload_mb: float = Field(default=200, gt=0)
    """Largest file, in millions of bytes."""

    max_megapixels: float = Field(default=25, gt=0)
    """Largest picture, and largest frame of a video, in millions of pixels."""

    max_seconds: float = Field(default=120, gt=0)
    """Longest driver."""

    max_frames: int = Field(default=3600, gt=0)
    """Frames of the longest driver."""

    containers: tuple[str, ...] = ("mp4", "mov", "webm", "matroska", "avi", "gif", "webp")
    """Formats of driving videos, as FFmpeg and Pillow call them."""

    max_files: int = Field(default=50, gt=0)
    """Pictures and drivers that are kept at a time."""

    max_jobs: int = Field(default=5, gt=0)
    """Jobs that wait or run at a time."""

    job_minutes: float = Field(default=30, gt=0)
    """After which a job is ended."""

    keep_minutes: float = Field(default=60, gt=0)
    """For which files are kept after they were last used."""

    live_idle_seconds: float = Field(default=30, gt=0)
    """After which a live session that sends no frame is ended."""

    @classmethod
    def changed(cls, settings: Sequence[str]) -> Limits:
        """Return the limits changed by NAME=VALUE.

        Raises:
            FnevrError: if there is no such limit, or it cannot have that value.
        """
        values: dict[str, Any] = {}
        for setting in settings:
            name, equals, text = setting.partition("=")
            if not equals or name not in cls.model_fields:
                raise FnevrError(
                    f"'{setting}' is no setting: wanted NAME=VALUE with one of "
                    f"{', '.join(cls.model_fields)}",
                    argument="settings",
                )
            values[name] = tuple(text.split(",")) if name == "containers" else text
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            raise FnevrError(
                f"the setting {first['loc'][0]}={first['input']} cannot be used: {first['msg']}",
                argument="settings",
            ) from error


class ServerSettings(BaseModel):
    """All that a server is made from."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    model: str = DEFAULT
    """A preset or a model folder."""

    device: DeviceName | None = None
    """None takes CUDA if there is some, otherwise the CPU."""

    engine: EngineChoice = "auto"
    """What runs the networks."""

    precision: PrecisionChoice = "auto"
    """Of the networks' numbers."""

    host: str = LOOPBACK[0]
    """The address that is listened on."""

    token: str | None = None
    """What everybody has to know; None: nothing, for a server that only this machine reaches."""

    virtual_camera: bool = False
    """Show what is drawn live as a camera of this machine."""

    limits: Limits = Limits()
    """What one person may ask for."""
