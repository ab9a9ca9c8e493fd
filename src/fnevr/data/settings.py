"""What `fnevr prepare` is asked for, and what it counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from fnevr.config import FrozenConfig

SIZE = 256
"""Height and width of prepared frames, in pixels."""


class PrepareSettings(FrozenConfig):
    """How videos become clips. A prepared folder remembers its own; they cannot change later."""

    licence: str = ""
    """Stored with every clip."""

    identity: str | None = None
    """Regular expression searched in a video's path relative to the folder; its first group is the
    identity. None: the first folder of that path, or the file's name without its ending."""

    val_share: float = Field(default=0.1, ge=0, le=1)
    """Share of the identities that is kept for validation."""

    min_seconds: PositiveFloat = 1.0
    """Shorter clips are left out."""

    max_seconds: PositiveFloat = 10.0
    """Longer shots become several clips, of equal length."""

    min_frames: PositiveInt = 12
    """Clips with fewer frames are left out."""

    min_face_px: PositiveFloat = 90.0
    """Smaller faces are left out: longer side of the face mesh in the video; a crop is 1.7 times as
    wide."""

    min_sharpness: float = Field(default=2.0, ge=0)
    """Less sharp clips are left out: mean absolute Laplacian of the face in the crop, in gray
    levels."""

    min_brightness: float = Field(default=35.0, ge=0)
    """Darker clips are left out: mean gray level of the face, of 255."""

    @model_validator(mode="after")
    def _check_seconds(self) -> PrepareSettings:
        if self.min_seconds > self.max_seconds:
            raise ValueError(
                f"min_seconds, {self.min_seconds:g}, is more than max_seconds, {self.max_seconds:g}"
            )
        return self


@dataclass
class PrepareReport:
    """What a preparation did.

    Attributes:
        output: the prepared folder.
        videos: how many there are.
        done_before: how many of them were finished by an earlier run.
        clips: clips in the manifest, by split.
        seconds: length of all clips together.
        identities: how many people they show.
        rejected: why footage was left out, and how often.
        unreadable: videos that could not be used, and why.
        missing: videos that the lists name and the folder does not have.
    """

    output: Path
    videos: int
    done_before: int = 0
    clips: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    identities: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
