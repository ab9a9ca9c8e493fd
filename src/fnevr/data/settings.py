"""What `fnevr prepare` is asked for, and what it counts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    ValidationError,
    model_validator,
)

from fnevr.config.stages import AS_TEXT, FrozenConfig, Many
from fnevr.errors import FnevrError, counted

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

    min_frames: Many = 12
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


def make_settings(**values: object) -> PrepareSettings:
    """Make settings, with an error that a user can act on.

    Raises:
        FnevrError: if a value makes no sense.
    """
    try:
        return PrepareSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        what = first["msg"].removeprefix("Value error, ")
        raise FnevrError(f"{where}: {what}" if where else what, argument=where or None) from error


class PrepareReport(BaseModel):
    """What a preparation did."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    output: Annotated[Path, AS_TEXT]
    """The prepared folder."""

    videos: int
    """How many there are."""

    done_before: int = 0
    """How many of them were finished by an earlier run."""

    clips: dict[str, int] = Field(default_factory=dict)
    """Clips in the manifest, by split."""

    seconds: float = 0.0
    """Length of all clips together."""

    identities: int = 0
    """How many people they show."""

    rejected: dict[str, int] = Field(default_factory=dict)
    """Why footage was left out, and how often."""

    unreadable: dict[str, str] = Field(default_factory=dict)
    """Videos and lists that could not be used, and why."""

    damaged: dict[str, str] = Field(default_factory=dict)
    """Videos that were used up to where they are damaged."""

    missing: list[str] = Field(default_factory=list)
    """Videos that the lists name and the folder does not have."""

    def lines(self) -> list[str]:
        """Tell it to people."""
        texts = [f"Warning: skipped {name}: {why}" for name, why in self.unreadable.items()]
        texts += [f"Warning: used as far as it goes: {why}" for why in self.damaged.values()]
        if self.missing:
            texts.append(
                f"Warning: {counted(len(self.missing), 'video')} of the lists cannot be found: "
                f"{', '.join(self.missing[:5])}{' ...' if len(self.missing) > 5 else ''}"
            )
        if self.rejected:
            reasons = (f"{count} x {reason}" for reason, count in self.rejected.items())
            texts.append(f"left out: {', '.join(reasons)}")
        train, val = self.clips.get("train", 0), self.clips.get("val", 0)
        texts.append(
            f"{self.output}: {counted(train + val, 'clip')} ({train} train, {val} val) of "
            f"{counted(self.identities, 'person', 'people')}, {self.seconds / 60:.1f} minutes, "
            f"from {counted(self.videos, 'video')}"
        )
        return texts
