"""One animation: what can be asked of it, and the way from a source and a driver to its frames.

Shapes: h1 and w1 of driving pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fnevr.animation.driver import DriverFile, Drivers
from fnevr.animation.edit import HeadTurn
from fnevr.animation.frames import Adjust, Frames, render, render_performance
from fnevr.animation.output import Output, check_inputs, write_frames
from fnevr.animation.reference_frame import BestFrame
from fnevr.animation.retargeting import Regions
from fnevr.animation.sliders import FaceSliders
from fnevr.animation.source import Framing, prepare
from fnevr.animation.transfers import (
    Transfer,
    TransferChoice,
    choose_transfer,
    retargeting_options,
)
from fnevr.errors import FnevrError
from fnevr.faces.find import face_numbers
from fnevr.media.files import PathLike
from fnevr.media.image import Picture, check_rgb, read_image
from fnevr.media.writer import check_video_target
from fnevr.progress import Progress
from fnevr.runtime.engine import Turn


@dataclass(frozen=True)
class Options:
    """What can be asked of an animation; `Animator.animate` says what each means."""

    transfer: TransferChoice = "auto"
    smooth: bool = True
    regions: Regions | None = None
    sliders: FaceSliders | None = None
    framing: Framing = field(default_factory=Framing)
    driver_face: int | Sequence[int] | None = None
    best_frame: BestFrame | None = None
    turn: HeadTurn = field(default_factory=HeadTurn)


@dataclass(frozen=True)
class Written:
    """What a report says of a finished video.

    Attributes:
        frames: how many.
        width: in pixels.
        height: in pixels.
        transfer: how motion went over.
        reference_frame: of relative motion, as found.
        warnings: of the driver.
    """

    frames: int
    width: int
    height: int
    transfer: Transfer
    reference_frame: int | None
    warnings: list[str]


@dataclass(frozen=True)
class Animation:
    """Animates sources as the options say.

    Attributes:
        drivers: opens what drives the model.
        options: what is asked for.
        turn: the model's pose editor; None for models without one.
    """

    drivers: Drivers
    options: Options
    turn: Turn | None

    def write(
        self,
        source: PathLike,
        driving: PathLike,
        output: PathLike,
        progress: Progress | None = None,
    ) -> Written:
        """Animate files, into a video file; see `Animator.animate`."""
        check_video_target(output)
        check_inputs(output, source, driving)
        file = DriverFile.of_path(driving)
        transfer = self._transfer(performs=file.performs)
        faces = self._driver_faces(transfer, is_track=file.track is not None)
        picture = read_image(source)
        write = self._write_performance if transfer == "retarget" else self._write_keypoints
        return write(picture, file, faces, Path(output), transfer, progress)

    def frames(
        self, source: Picture, driving: Iterable[UInt8[np.ndarray, "h1 w1 3"]]
    ) -> Iterator[Output]:
        """Animate arrays lazily; see `Animator.frames`."""
        check_rgb(source)
        engine, options = self.drivers.engine, self.options
        transfer = self._transfer()
        faces = self._driver_faces(transfer)
        on_top = retargeting_options(transfer, options.regions, options.sliders)
        scene = prepare(engine, source, options.framing)
        if transfer == "retarget":
            performer = self.drivers.performance_of_arrays(driving, options.smooth, faces)
            performer.check_faces(len(scene.sources))
            return _pictures(
                lambda: render_performance(engine, scene, performer, None, self._adjust, **on_top)
            )
        driver = self.drivers.keypoints_of_arrays(driving, options.framing.crop, *faces)
        first: BestFrame = "first" if options.best_frame is None else options.best_frame
        reference = first if transfer == "relative" else None
        return _pictures(lambda: render(engine, scene, driver, reference, None, self._adjust)[1])

    def _write_performance(
        self,
        picture: Picture,
        file: DriverFile,
        faces: tuple[int, ...],
        output: Path,
        transfer: Transfer,
        progress: Progress | None,
    ) -> Written:
        engine, options = self.drivers.engine, self.options
        on_top = retargeting_options(transfer, options.regions, options.sliders)
        with self.drivers.performance(file, options.smooth, faces) as driver:
            scene = prepare(engine, picture, options.framing)
            frames = render_performance(engine, scene, driver, progress, self._adjust, **on_top)
            size = scene.width, scene.height
            count = write_frames(output, size, driver.frame_rate, driver.audio_from, frames)
        return Written(count, *size, transfer, None, driver.warnings)

    def _write_keypoints(
        self,
        picture: Picture,
        file: DriverFile,
        faces: tuple[int, ...],
        output: Path,
        transfer: Transfer,
        progress: Progress | None,
    ) -> Written:
        engine, options = self.drivers.engine, self.options
        retargeting_options(transfer, options.regions, options.sliders)
        with self.drivers.keypoints(file, options.framing.crop, *faces) as driver:
            scene = prepare(engine, picture, options.framing)
            wanted: BestFrame = "auto" if options.best_frame is None else options.best_frame
            choice = wanted if transfer == "relative" else None
            index, frames = render(engine, scene, driver, choice, progress, self._adjust)
            size = scene.width, scene.height
            count = write_frames(output, size, driver.frame_rate, driver.audio_from, frames)
        return Written(count, *size, transfer, index, driver.warnings)

    def _transfer(self, *, performs: bool = True) -> Transfer:
        drivers, options = self.drivers, self.options
        return choose_transfer(
            drivers.engine, drivers.name, options.transfer, options.best_frame, performs=performs
        )

    def _driver_faces(self, transfer: Transfer, *, is_track: bool = False) -> tuple[int, ...]:
        """Return which of the driver's faces drive.

        Raises:
            FnevrError: if the driver or the transfer has but one.
        """
        choice = self.options.driver_face
        faces = face_numbers(choice, "driver_face")
        if choice is not None and is_track:
            raise FnevrError(
                "a keypoint track holds one face: leave `driver_face` out, or drive with a video",
                argument="driver_face",
            )
        if len(faces) > 1 and transfer != "retarget":
            raise FnevrError(
                f"several faces of the driver have no meaning with `transfer='{transfer}'`: choose "
                "one, or use `transfer='retarget'`",
                argument="driver_face",
            )
        if choice is not None and transfer != "retarget" and not self.options.framing.crop:
            raise FnevrError(
                "a face of the driver has no meaning with `crop=False`, which takes whole pictures",
                argument="driver_face",
            )
        return faces

    @property
    def _adjust(self) -> Adjust | None:
        """What turns the driving keypoints further; None where nothing does."""
        if self.options.turn.is_none:
            return None
        assert self.turn is not None, "the animator refuses turns without a pose editor"
        return partial(self.options.turn.apply, self.turn)


def _pictures(frames: Callable[[], Frames]) -> Iterator[Output]:
    """Start at the first picture that is asked for."""
    for rgb, _ in frames():
        yield rgb
