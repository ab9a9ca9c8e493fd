"""Pose editing: one portrait, its head turned by angles.

Shapes: H and W of the picture, h and w of the output.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from jaxtyping import Float, UInt8
from pydantic import BaseModel, ConfigDict

from fnevr.animation.head_turn import AXES, Axis, HeadTurn
from fnevr.animation.regions import Regions
from fnevr.animation.retargeting import Retargeting, can_retarget
from fnevr.animation.sliders import FaceSliders, added
from fnevr.animation.source import Framing, Source, draw, prepare
from fnevr.config.stages import PathText
from fnevr.errors import FnevrError
from fnevr.face3d.performance import Performance
from fnevr.media.arrays import to_pictures
from fnevr.media.files import PathLike
from fnevr.media.image import Picture, write_image
from fnevr.media.writer import VideoWriter, written_size
from fnevr.progress import Progress
from fnevr.runtime.engine import Engine, Turn

SWEEP_RATE, SWEEP_SECONDS = Fraction(25), 4
TURNING = "turning the head"


@dataclass(frozen=True)
class Sweep:
    """A turn that goes from one angle to another and back, for a video that can be looped.

    Attributes:
        axis: which angle changes.
        start: in degrees.
        stop: in degrees.
    """

    axis: Axis
    start: float
    stop: float

    @classmethod
    def parse(cls, text: str) -> Sweep:
        """Read AXIS=FROM:TO, such as yaw=-30:30.

        Raises:
            FnevrError: if the text is not of that form.
        """
        name, _, angles = text.partition("=")
        try:
            start, stop = (float(angle) for angle in angles.split(":"))
        except ValueError:
            name = ""
        for axis in AXES:
            if axis == name:
                return cls(axis, start, stop)
        raise FnevrError(
            f"'{text}' is no sweep: wanted yaw, pitch or roll as in yaw=-30:30", argument="sweep"
        )

    def turns(self, base: HeadTurn) -> list[HeadTurn]:
        """Return the turn of each frame; the other two angles are those of `base`.

        Raises:
            FnevrError: if `base` has an angle about the same axis.
        """
        if getattr(base, self.axis):
            raise FnevrError(
                f"a {self.axis} and a sweep of the {self.axis} exclude each other",
                argument=f"{self.axis}_deg",
            )
        count = int(SWEEP_RATE * SWEEP_SECONDS)
        swing = (0.5 - 0.5 * math.cos(2 * math.pi * index / count) for index in range(count))
        angles = (self.start + (self.stop - self.start) * share for share in swing)
        return [HeadTurn(**{**vars(base), self.axis: angle}) for angle in angles]


class PoseEditor:
    """One picture ready to be turned: all that does not depend on the angles is done once.

    Args:
        engine: draws the picture.
        turn: turns its keypoints: the engine's pose editor.
        picture: shows a face.
        framing: how the picture is cropped and put back.

    Raises:
        FaceError: if there is no usable face.
    """

    def __init__(
        self,
        engine: Engine,
        turn: Turn,
        picture: Picture,
        framing: Framing | None = None,
    ) -> None:
        self.engine, self.turn = engine, turn
        self.scene = prepare(engine, picture, framing or Framing())
        if len(self.scene.sources) > 1:
            raise FnevrError("one head can be turned at a time: choose one face", argument="face")
        self.source: Source = self.scene.sources[0]

    def __call__(
        self, yaw_deg: float = 0.0, pitch_deg: float = 0.0, roll_deg: float = 0.0
    ) -> UInt8[np.ndarray, "h w 3"]:
        """Show the head turned by these angles from how the picture has it.

        Args:
            yaw_deg: positive: to the viewer's right.
            pitch_deg: positive: up.
            roll_deg: positive: clockwise as seen.

        Raises:
            FnevrError: if an angle is not a number within 80 degrees.
        """
        return self.turned(HeadTurn(yaw_deg, pitch_deg, roll_deg))

    def turned(
        self, turn: HeadTurn, sliders: FaceSliders | None = None
    ) -> UInt8[np.ndarray, "h w 3"]:
        """Show the head turned, with another expression.

        Args:
            turn: by which angles; none needs no pose editor.
            sliders: the expression; None leaves it as it is.

        Raises:
            FnevrError: if the model can do neither.
        """
        if sliders is None or sliders.is_none:
            pictures = self._turned(turn)
        else:
            pictures = self._performing(sliders.performance(self.retarget), turn)
        return self.scene.finish(pictures)

    def performing(
        self,
        performance: Performance,
        regions: Regions,
        changes: dict[str, Float[np.ndarray, "1 _"]],
    ) -> UInt8[np.ndarray, "h w 3"]:
        """Show the face doing what a driver's face does.

        Args:
            performance: one frame.
            regions: how much of it goes over.
            changes: an expression on top, as `FaceSliders.changes` gives it for this face.

        Raises:
            FnevrError: if the model cannot retarget.
        """
        wanted = added(regions.of(performance, self.retarget.own), changes)
        return self.scene.finish(self._performing(wanted))

    def _turned(self, turn: HeadTurn) -> list[Picture]:
        if turn.is_none:
            return draw(self.engine, self.source, self.source.keypoints)
        if self.source.has_layers and can_retarget(self.engine):
            return self._performing(self.retarget.own, turn)
        return draw(self.engine, self.source, turn.apply(self.turn, self.source.keypoints))

    def _performing(self, performance: Performance, turn: HeadTurn | None = None) -> list[Picture]:
        drawn = self.retarget.draw(self.engine, self.source.encoded, performance, turn)
        return list(to_pictures(drawn))

    @cached_property
    def retarget(self) -> Retargeting:
        """What moves the face of this picture.

        Raises:
            FnevrError: if the model cannot retarget.
        """
        if not can_retarget(self.engine):
            raise FnevrError(
                "this model cannot change expressions: use the model 'lite', or leave the sliders "
                "out"
            )
        return Retargeting.of_source(self.engine, self.source)


class EditReport(BaseModel):
    """What was done to a picture."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    image: PathText
    """The picture."""

    output: PathText
    """The picture or video that was written."""

    model: PathText
    """Name of the model."""

    frames: int
    """1 for a picture."""

    width: int
    """Of the output, in pixels."""

    height: int
    """Of the output, in pixels."""

    seconds: float
    """From reading the picture to the finished file."""

    expression: dict[str, float]
    """The sliders that are not 0."""

    warnings: list[str]
    """Which angles are beyond what was measured."""


@dataclass(frozen=True)
class Edit:
    """What is done to a portrait.

    Attributes:
        turn: of the head.
        sliders: changes of the expression.
        sweep: makes a video of it, in which one angle goes there and back.

    Raises:
        FnevrError: if the turn has an angle about the axis of the sweep.
    """

    turn: HeadTurn
    sliders: FaceSliders
    sweep: Sweep | None = None

    def __post_init__(self) -> None:
        if self.sweep is not None:
            self.sweep.turns(self.turn)

    @property
    def turns(self) -> list[HeadTurn]:
        """The turn of each frame."""
        return [self.turn] if self.sweep is None else self.sweep.turns(self.turn)


def write_edit(
    editor: PoseEditor,
    image: PathLike,
    output: PathLike,
    edit: Edit,
    model_name: str,
    start_s: float,
    progress: Progress | None = None,
    *,
    told: Sequence[str] = (),
) -> EditReport:
    """Write the edited picture, or a video of a sweep; see `Animator.edit`.

    Args:
        editor: of the picture.
        image: the picture's file.
        output: the file to write.
        edit: what is done.
        model_name: for the report.
        start_s: when it began.
        progress: is called after every frame of a sweep.
        told: warnings so far, for the report.
    """
    turns, sliders = edit.turns, edit.sliders
    width, height = editor.scene.width, editor.scene.height
    if edit.sweep is None:
        write_image(output, editor.turned(edit.turn, sliders))
    else:
        with VideoWriter(output, width, height, SWEEP_RATE) as writer:
            for index, rgb in enumerate(_frames(editor, edit, progress)):
                writer.write(rgb, index / SWEEP_RATE)
    width, height = written_size(output, width, height)
    warnings = {text: None for turn in _ends(edit) for text in turn.warnings()}
    return EditReport(
        image=str(image),
        output=str(output),
        model=model_name,
        frames=len(turns),
        width=width,
        height=height,
        seconds=round(time.perf_counter() - start_s, 3),
        expression={name: value for name, value in asdict(sliders).items() if value},
        warnings=[*told, *warnings],
    )


def _frames(
    editor: PoseEditor, edit: Edit, progress: Progress | None
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    turns = edit.turns
    for index, turn in enumerate(turns):
        if progress is not None:
            progress(TURNING, index, len(turns))
        yield editor.turned(turn, edit.sliders)
    if progress is not None:
        progress(TURNING, len(turns), len(turns))


def _ends(edit: Edit) -> list[HeadTurn]:
    """Return the turns with the largest angles."""
    turns = edit.turns
    return turns if edit.sweep is None else [turns[0], turns[len(turns) // 2]]
