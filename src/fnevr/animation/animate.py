"""One animation: what can be asked of it, and the way from a source and a driver to its frames.

Shapes: h1 and w1 of driving pictures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8

from fnevr.animation.driver import ALL, READ_AHEAD, Driver, DriverFile, Drivers, timed
from fnevr.animation.frames import Adjust, Frames, render, render_performance
from fnevr.animation.head_turn import HeadTurn
from fnevr.animation.output import Output, check_output, for_many, still_warnings, write_frames
from fnevr.animation.reanimate import reanimate
from fnevr.animation.reference_frame import BestFrame
from fnevr.animation.regions import Regions
from fnevr.animation.retargeting import can_retarget
from fnevr.animation.sliders import FaceSliders
from fnevr.animation.source import Framing, Scene, for_video, prepare
from fnevr.animation.source_video import source_frames
from fnevr.animation.transfers import (
    RetargetingOptions,
    Transfer,
    TransferChoice,
    choose_transfer,
    retargeting_options,
)
from fnevr.errors import FnevrError
from fnevr.face3d.performance import Performance
from fnevr.faces.find import face_numbers
from fnevr.media.files import PathLike, check_apart
from fnevr.media.image import Picture, check_rgb, read_image, reduction_warning
from fnevr.media.pixels import PLAYED_PIXELS
from fnevr.media.reader import VideoInfo
from fnevr.media.resize import fitting, resize
from fnevr.media.trim import Span
from fnevr.media.video import is_video, open_video
from fnevr.media.writer import check_quality
from fnevr.progress import Progress
from fnevr.runtime.ahead import Ahead
from fnevr.runtime.engine import Turn

Sound = Literal["driver", "source"]
"""Whose sound goes along."""


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
    sound: Sound = "driver"
    size: int | None = None
    span: Span = ALL
    crf: int | None = None


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
        check_output(output)
        check_apart({"source": source, "driving": driving}, {"output": output})
        check_quality(output, self.options.crf)
        file = DriverFile.of_path(driving)
        if is_video(source):
            return self._write_video(Path(source), file, Path(output), progress)
        if self.options.sound == "source":
            raise FnevrError(
                f"'{source}' is a picture, which has no sound: leave `sound='source'` out",
                argument="sound",
            )
        transfer = self._transfer(performs=file.performs)
        faces = self._driver_faces(transfer, has_pictures=file.has_pictures)
        read = read_image(source)
        picture, told = for_video(read, self.options.size)
        told = reduction_warning(source, read) + told
        del read  # a hundred megabytes, where the video is smaller
        rendered = self._rendered(picture, file, faces, transfer, progress)
        with rendered as (scene, driver, index, frames):
            size = scene.width, scene.height
            count = write_frames(
                output,
                size,
                driver.frame_rate,
                frames,
                audio_from=driver.audio_from,
                audio_start=driver.audio_start,
                crf=self.options.crf,
                end=driver.end,
            )
        told += [*driver.warnings, *still_warnings(output, count, transfer)]
        return Written(count, *size, transfer, index, told)

    def frames(
        self, source: Picture | Iterable[Picture], driving: Iterable[UInt8[np.ndarray, "h1 w1 3"]]
    ) -> Iterator[Output]:
        """Animate arrays lazily; see `Animator.frames`."""
        engine, options, turn = self.drivers.engine, self.options, self.options.turn
        if not isinstance(source, np.ndarray):
            faces, on_top = self._of_video()
            performer = self.drivers.performance_of_arrays(driving, options.smooth, faces)
            read = source_frames(timed(source), engine.config, options.framing)
            return _pictures(lambda: reanimate(engine, read, performer, None, None, turn, **on_top))
        check_rgb(source)
        transfer = self._transfer()
        faces = self._driver_faces(transfer)
        on_top = retargeting_options(transfer, options.regions, options.sliders)
        scene = prepare(engine, source, options.framing)
        if transfer == "retarget":
            performer = self.drivers.performance_of_arrays(driving, options.smooth, faces)
            performer.check_faces(len(scene.sources))
            return _pictures(
                lambda: render_performance(engine, scene, performer, None, turn, **on_top)
            )
        driver = self.drivers.motion_of_arrays(driving, options.framing.crop, *faces)
        first: BestFrame = "first" if options.best_frame is None else options.best_frame
        reference = first if transfer == "relative" else None
        return _pictures(lambda: render(engine, scene, driver, reference, None, self._adjust)[1])

    @contextmanager
    def _rendered(
        self,
        picture: Picture,
        file: DriverFile,
        faces: tuple[int, ...],
        transfer: Transfer,
        progress: Progress | None,
    ) -> Iterator[tuple[Scene, Driver[Any], int | None, Frames]]:
        """Open the driver, and then prepare the picture, while the driver is read already.

        Yields:
            The picture, the driver, the number of the reference frame if there is one, and the
            frames.
        """
        engine, options, turn = self.drivers.engine, self.options, self.options.turn
        on_top = retargeting_options(transfer, options.regions, options.sliders)
        if transfer == "retarget":
            with self.drivers.performance(file, options.smooth, faces, options.span) as performer:
                scene = prepare(engine, picture, options.framing)
                engine = for_many(engine, scene.drawn_side)
                yield (
                    scene,
                    performer,
                    None,
                    render_performance(engine, scene, performer, progress, turn, **on_top),
                )
            return
        with self.drivers.motion(file, options.framing.crop, faces[0], options.span) as driver:
            scene = prepare(engine, picture, options.framing)
            engine = for_many(engine, scene.drawn_side)
            wanted: BestFrame = "auto" if options.best_frame is None else options.best_frame
            choice = wanted if transfer == "relative" else None
            yield scene, driver, *render(engine, scene, driver, choice, progress, self._adjust)

    def _write_video(
        self, source: Path, file: DriverFile, output: Path, progress: Progress | None
    ) -> Written:
        options = self.options
        faces, on_top = self._of_video(has_pictures=file.has_pictures)
        with (
            self.drivers.performance(file, options.smooth, faces, options.span) as driver,
            open_video(source) as reader,
        ):
            info = reader.info
            size = fitting(info.width, info.height, options.size, PLAYED_PIXELS)
            frames_in = (replace(frame, rgb=resize(frame.rgb, *size)) for frame in reader)
            read = source_frames(frames_in, self.drivers.engine.config, options.framing)
            with closing(Ahead(read, READ_AHEAD)) as ahead:
                count = _shorter(info, driver)
                engine = for_many(self.drivers.engine, min(size))
                frames = reanimate(engine, ahead, driver, count, progress, options.turn, **on_top)
                from_driver = options.sound == "driver"
                own = source if info.has_audio else None
                written = write_frames(
                    output,
                    size,
                    info.frame_rate,
                    frames,
                    audio_from=driver.audio_from if from_driver else own,
                    audio_start=driver.audio_start if from_driver else Fraction(0),
                    crf=options.crf,
                    end=lambda: reader.end,
                )
            if reader.damage:
                driver.warnings.append(reader.damage)
        return Written(written, *size, "retarget", None, driver.warnings)

    def _of_video(self, *, has_pictures: bool = True) -> tuple[tuple[int, ...], RetargetingOptions]:
        """Return which of the driver's faces drive a source video, and how much of them goes over.

        Raises:
            FnevrError: if something is asked for that a source video cannot have.
        """
        engine, options = self.drivers.engine, self.options
        if not can_retarget(engine):
            raise FnevrError(
                f"the model '{self.drivers.name}' cannot retarget, which a source video needs: use "
                "the model 'lite', or a picture as the source"
            )
        transfer = self._transfer()
        if transfer != "retarget":
            raise FnevrError(
                f"a source video cannot be animated with `transfer='{transfer}'`: leave it out, "
                "and the reference frame too",
                argument="transfer",
            )
        framing = options.framing
        for name in ("crop", "paste_back", "still_background"):
            if not getattr(framing, name):
                raise FnevrError(
                    f"`{name}=False` has no meaning with a source video: leave it out",
                    argument=name,
                )
        on_top = retargeting_options(transfer, options.regions, options.sliders)
        on_top["regions"] = on_top["regions"].of_video
        return self._driver_faces(transfer, has_pictures=has_pictures), on_top

    def _transfer(self, *, performs: bool = True) -> Transfer:
        drivers, options = self.drivers, self.options
        return choose_transfer(
            drivers.engine, drivers.name, options.transfer, options.best_frame, performs=performs
        )

    def _driver_faces(self, transfer: Transfer, *, has_pictures: bool = True) -> tuple[int, ...]:
        """Return which of the driver's faces drive.

        Raises:
            FnevrError: if the driver or the transfer has but one.
        """
        choice = self.options.driver_face
        faces = face_numbers(choice, "driver_face")
        if choice is not None and not has_pictures:
            raise FnevrError(
                "a keypoint track or a file of coefficients holds one face: leave `driver_face` "
                "out, or drive with a video",
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


def _shorter(source: VideoInfo, driver: Driver[Performance]) -> int | None:
    """Return how many frames of a source there are until it or the driver ends, if known."""
    counts = [source.num_frames] if source.num_frames is not None else []
    if driver.num_frames is not None:
        counts.append(math.ceil(driver.num_frames * source.frame_rate / driver.frame_rate))
    return min(counts, default=None)


def _pictures(frames: Callable[[], Frames]) -> Iterator[Output]:
    """Start at the first picture that is asked for."""
    for rgb, _ in frames():
        yield rgb
