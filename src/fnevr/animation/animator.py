"""The Animator: files or arrays of any size in, frames of the animated portrait out.

Frames come out one by one, and nothing holds a whole video.

Shapes: H and W of the source picture, h1 and w1 of driving pictures, h and w of the output.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fnevr.animation.driver import Drivers
from fnevr.animation.edit import Edit, EditReport, HeadTurn, PoseEditor, Sweep, write_edit
from fnevr.animation.frames import (
    READING,
    Adjust,
    Frames,
    render,
    render_performance,
    watched,
)
from fnevr.animation.keypoint_track import (
    KeypointTrack,
    check_track_name,
    is_track,
    load_track,
    record_track,
    save_track,
)
from fnevr.animation.output import Output, check_output, still_warnings, write_frames
from fnevr.animation.reference_frame import BestFrame
from fnevr.animation.report import Report
from fnevr.animation.retargeting import Regions
from fnevr.animation.sliders import FaceSliders
from fnevr.animation.source import MAX_DETAIL, Framing, Source, for_video, prepare
from fnevr.animation.transfers import (
    Transfer,
    TransferChoice,
    choose_transfer,
    retargeting_options,
)
from fnevr.config.engines import EngineChoice, PrecisionChoice
from fnevr.config.folder import EDITOR_NAME
from fnevr.config.presets import DEFAULT, resolve_model
from fnevr.errors import CheckpointError, FnevrError, MediaError
from fnevr.media.files import PathLike, check_apart, check_target
from fnevr.media.image import (
    Picture,
    check_image_target,
    check_rgb,
    read_image,
    reduction_warning,
)
from fnevr.media.trim import Span
from fnevr.media.video import open_video
from fnevr.media.writer import check_quality, check_video_target, written_size
from fnevr.progress import Progress
from fnevr.runtime.engine import Engine, Turn
from fnevr.runtime.load import load_engine
from fnevr.versions import versions

# On two CPU cores, batches of 2, 4 and 8 of `lite` took longer per frame than single frames.
BATCH_SIZE_CPU, BATCH_SIZE_GPU = 1, 8


class Animator:
    """Move a portrait as a driver moves.

    Args:
        engine: runs the networks. `from_pretrained` loads one; for a model in PyTorch,
            `runtime.torch_engine.TorchEngine` makes one.
        name: what reports call the model.
        batch_size: driving frames per step; None chooses by the device.
    """

    def __init__(self, engine: Engine, name: str = "custom", batch_size: int | None = None) -> None:
        if batch_size is None:
            batch_size = BATCH_SIZE_CPU if engine.device == "cpu" else BATCH_SIZE_GPU
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.engine, self.name, self.batch_size = engine, name, batch_size
        self.drivers = Drivers(engine, name, batch_size)

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | Path = DEFAULT,
        device: str | None = None,
        batch_size: int | None = None,
        *,
        engine: EngineChoice = "auto",
        precision: PrecisionChoice = "auto",
    ) -> Animator:
        """Load a preset, or a folder with config.json and model.safetensors.

        Args:
            name_or_folder: see `fnevr models` for the presets.
            device: "cpu", "cuda" or "mps"; None takes CUDA if there is some, otherwise the CPU.
            batch_size: driving frames per step; None chooses by the device.
            engine: what runs the networks: "torch", "compile" (PyTorch, compiled), "onnx",
                "openvino" or "tensorrt"; "auto" takes the quickest that is here.
            precision: "float32"; "bfloat16" or "float16" (torch and compile), or "int8" (onnx and
                openvino), which is quicker and a little different; "auto" takes int8 where the
                difference is measured and small.

        Raises:
            CheckpointError: if there is no such model, or its files are damaged.
            FnevrError: if the device or the engine is not available.
        """
        folder, name = resolve_model(name_or_folder), str(name_or_folder)
        return cls(load_engine(folder, device, engine, precision, name), name, batch_size)

    @property
    def turn(self) -> Turn:
        """The engine's pose editor, which turns heads.

        Raises:
            CheckpointError: if the model has none.
        """
        if self.engine.turn is None:
            raise CheckpointError(
                f"the model '{self.name}' has no pose editor ({EDITOR_NAME})\n"
                "train one with `fnevr train-editor`, or use the model 'lite'"
            )
        return self.engine.turn

    def animate(  # noqa: PLR0913 - the public face; all but the files are optional
        self,
        source: PathLike,
        driving: PathLike,
        output: PathLike,
        *,
        transfer: TransferChoice = "auto",
        smooth: bool = True,
        regions: Regions | None = None,
        sliders: FaceSliders | None = None,
        crop: bool = True,
        paste_back: bool = True,
        face: int | None = None,
        detail: int = MAX_DETAIL,
        still_background: bool = True,
        best_frame: BestFrame | None = None,
        yaw_deg: float = 0.0,
        pitch_deg: float = 0.0,
        roll_deg: float = 0.0,
        size: int | None = None,
        start_s: Fraction | float | int = 0,
        end_s: Fraction | float | int | None = None,
        crf: int | None = None,
        progress: Progress | None = None,
    ) -> Report:
        """Animate a picture file with a video file or a keypoint track, into a video file.

        Args:
            source: a picture with a face.
            driving: a video, a folder of pictures, or a keypoint track (.safetensors).
            output: the video; it appears when it is complete. Of a driver that is one picture, it
                may be a picture (.png, .jpg, .webp).
            transfer: "retarget" gives the source the expression and the turns of the driver's
                face, whatever the two look like; "relative" moves its keypoints as the driver's
                move from a reference frame; "absolute" puts them where the driver's are. "auto"
                retargets where the model can.
            smooth: take trembling out of what is retargeted.
            regions: how much of head, expression, eyes and lips is retargeted; None is all.
            sliders: an expression on top of what is retargeted; None adds none.
            crop: look for the faces; False takes whole pictures, stretched to a square.
            paste_back: frames of the source picture's size; False gives the square around the face.
            face: which of the source's faces, the largest being 0; None means the largest.
            detail: the square around the face keeps the source picture's own resolution up to this
                side, in pixels; a smaller one is quicker. Models without a composite do not use it.
            still_background: move the person alone; False moves the background with it, as all
                models without a composite do, and pictures that are not cropped.
            best_frame: the reference frame of relative motion, in which the driver looks most like
                the source: "auto", which reads all of the driver first, "first", or its number.
            yaw_deg: turns the head further, by the pose editor; positive: to the viewer's right.
            pitch_deg: positive: up.
            roll_deg: positive: clockwise as seen.
            size: longer side of the result at most, in pixels; None takes the source picture's, up
                to what players open.
            start_s: where the driver begins, in seconds after its first frame.
            end_s: before which it ends; None is its own end.
            crf: quality of the video, 0 (lossless) to 51; None is 18, which looks lossless.
            progress: is called after every step.

        Returns:
            What was done, and how fast.

        Raises:
            FnevrError: if an input cannot be used or the output cannot be written.
        """
        start = time.perf_counter()
        check_output(output)
        check_apart({"source": source, "driving": driving}, {"output": output})
        check_quality(output, crf)
        span = Span.of_seconds(start_s, end_s)
        turn = HeadTurn(yaw_deg, pitch_deg, roll_deg)
        adjust = self._adjustment(turn)
        performs = not is_track(driving) or load_track(driving).performance is not None
        chosen = choose_transfer(self.engine, self.name, transfer, best_frame, performs=performs)
        on_top = retargeting_options(chosen, regions, sliders)
        read = read_image(source)
        picture, told = for_video(read, size)
        told = reduction_warning(source, read) + told
        framing = Framing(crop, paste_back, face, detail, still_background)
        index: int | None = None
        if chosen == "retarget":
            with self.drivers.performance(driving, smooth, span) as performer:
                prepared = prepare(self.engine, picture, framing)
                frames = render_performance(
                    self.engine, prepared, performer, progress, adjust, **on_top
                )
                num_frames = write_frames(output, prepared, performer, frames, crf)
            warnings = performer.warnings
        else:
            with self.drivers.keypoints(driving, crop, span) as driver:
                prepared = prepare(self.engine, picture, framing)
                choice = "auto" if best_frame is None and chosen == "relative" else best_frame
                index, frames = render(self.engine, prepared, driver, choice, progress, adjust)
                num_frames = write_frames(output, prepared, driver, frames, crf)
            warnings = driver.warnings
        paths = {"source": str(source), "driving": str(driving), "output": str(output)}
        warnings = [*told, *warnings, *still_warnings(output, num_frames, chosen), *turn.warnings()]
        return self._report(paths, start, num_frames, prepared, chosen, index, warnings)

    def reconstruct(
        self, clip: PathLike, output: PathLike, *, progress: Progress | None = None
    ) -> Report:
        """Rebuild a clip from its first frame and its motion: the paper's same-identity protocol.

        Absolute motion, no crop, no paste-back.

        Args:
            clip: a video, already framed as the model expects.
            output: the video; it appears when it is complete.
            progress: is called after every step.

        Raises:
            FnevrError: if the clip cannot be used or the output cannot be written.
        """
        start = time.perf_counter()
        check_video_target(output)
        check_apart({"clip": clip}, {"output": output})
        if is_track(clip):
            raise MediaError(f"'{clip}' is a keypoint track; reconstruct needs a video")
        with open_video(clip) as reader:
            first = next(iter(reader)).rgb
        prepared = prepare(self.engine, first, Framing(False, False))
        with self.drivers.keypoints(clip, False) as driver:
            _, frames = render(self.engine, prepared, driver, None, progress)
            num_frames = write_frames(output, prepared, driver, frames)
        paths = {"source": str(clip), "driving": str(clip), "output": str(output)}
        return self._report(paths, start, num_frames, prepared, "absolute", None, driver.warnings)

    def frames(  # noqa: PLR0913 - as `animate`
        self,
        source_rgb: Picture,
        driving_rgb_frames: Iterable[UInt8[np.ndarray, "h1 w1 3"]],
        *,
        transfer: TransferChoice = "auto",
        smooth: bool = True,
        regions: Regions | None = None,
        sliders: FaceSliders | None = None,
        crop: bool = True,
        paste_back: bool = True,
        face: int | None = None,
        detail: int = MAX_DETAIL,
        still_background: bool = True,
        best_frame: BestFrame | None = None,
        yaw_deg: float = 0.0,
        pitch_deg: float = 0.0,
        roll_deg: float = 0.0,
    ) -> Iterator[Output]:
        """Animate arrays lazily: read a batch of driving frames, yield its results, and so on.

        The options are those of `animate`; relative motion is measured from the first frame where
        nothing else is said. Only ``best_frame="auto"`` reads all driving frames before the first
        result; it keeps nothing but their keypoints.

        Raises:
            FaceError: if there is no usable face.
            ValueError: if an array is not a uint8 RGB picture.
        """
        check_rgb(source_rgb)
        chosen = choose_transfer(self.engine, self.name, transfer, best_frame)
        on_top = retargeting_options(chosen, regions, sliders)
        source = prepare(
            self.engine, source_rgb, Framing(crop, paste_back, face, detail, still_background)
        )
        adjust = self._adjustment(HeadTurn(yaw_deg, pitch_deg, roll_deg))
        if chosen == "retarget":
            performer = self.drivers.performance_of_arrays(driving_rgb_frames, smooth)
            return _pictures(
                lambda: render_performance(self.engine, source, performer, None, adjust, **on_top)
            )
        driver = self.drivers.keypoints_of_arrays(driving_rgb_frames, crop)
        choice = "first" if best_frame is None else best_frame
        reference = choice if chosen == "relative" else None
        return _pictures(lambda: render(self.engine, source, driver, reference, None, adjust)[1])

    def pose_editor(self, picture: Picture, framing: Framing | None = None) -> PoseEditor:
        """Make a picture ready to be turned, so that each angle then costs one frame.

        Args:
            picture: shows a face.
            framing: how it is cropped and put back; None finds the face and pastes it back.

        Raises:
            CheckpointError: if the model has no pose editor.
            FaceError: if there is no usable face.
            ValueError: if the array is not a uint8 RGB picture.
        """
        check_rgb(picture)
        return PoseEditor(self.engine, self.turn, picture, framing)

    def edit_pose(  # noqa: PLR0913 - the public face; all but the picture are optional
        self,
        source: PathLike | Picture,
        yaw_deg: float = 0.0,
        pitch_deg: float = 0.0,
        roll_deg: float = 0.0,
        *,
        sliders: FaceSliders | None = None,
        crop: bool = True,
        paste_back: bool = True,
        face: int | None = None,
        detail: int = MAX_DETAIL,
        still_background: bool = True,
    ) -> Output:
        """Turn the head of a picture, a file or an array, or change its expression.

        Angles and sliders are those of `edit`, the other options those of `animate`.

        Raises:
            FnevrError: if the picture cannot be used, or an angle is not within 80 degrees.
        """
        turn = HeadTurn(yaw_deg, pitch_deg, roll_deg)
        picture = source if isinstance(source, np.ndarray) else read_image(source)
        return self.pose_editor(
            picture, Framing(crop, paste_back, face, detail, still_background)
        ).turned(turn, sliders)

    def edit(  # noqa: PLR0913 - the public face; all but the files are optional
        self,
        image: PathLike,
        output: PathLike,
        *,
        yaw_deg: float = 0.0,
        pitch_deg: float = 0.0,
        roll_deg: float = 0.0,
        sweep: Sweep | None = None,
        sliders: FaceSliders | None = None,
        crop: bool = True,
        paste_back: bool = True,
        face: int | None = None,
        detail: int = MAX_DETAIL,
        still_background: bool = True,
        size: int | None = None,
        progress: Progress | None = None,
    ) -> EditReport:
        """Turn the head of a picture file, into a picture file, or a video of a sweep.

        Args:
            image: a picture with a face.
            output: a picture, or with a sweep a video; it appears when it is complete.
            yaw_deg: degrees from how the head is; positive: to the viewer's right.
            pitch_deg: positive: up.
            roll_deg: positive: clockwise as seen.
            sweep: a turn from one angle to another and back, about one axis.
            sliders: the expression, by changes from the picture's own; None leaves it.
            crop: look for the face; False takes the whole picture, stretched to a square.
            paste_back: the picture's size; False gives the square around the face.
            face: which face, the largest being 0; None means the largest.
            detail: as in `animate`.
            still_background: as in `animate`.
            size: longer side of the result at most, in pixels; None takes the picture's, for a
                sweep up to what players open.
            progress: is called after every frame of a sweep.

        Raises:
            FnevrError: if the picture or an angle cannot be used, or the output not be written.
        """
        start_s = time.perf_counter()
        (check_image_target if sweep is None else check_video_target)(output)
        check_apart({"image": image}, {"output": output})
        turn = HeadTurn(yaw_deg, pitch_deg, roll_deg)
        change = Edit(turn, FaceSliders() if sliders is None else sliders, sweep)
        read = read_image(image)
        picture, told = for_video(read, size) if sweep or size is not None else (read, list[str]())
        framing = Framing(crop, paste_back, face, detail, still_background)
        editor = self.pose_editor(picture, framing)
        told = reduction_warning(image, read) + told
        return write_edit(editor, image, output, change, self.name, start_s, progress, told=told)

    def record(
        self,
        driving: PathLike,
        output: PathLike,
        *,
        crop: bool = True,
        smooth: bool = True,
        model_name: str = "",
        start_s: Fraction | float | int = 0,
        end_s: Fraction | float | int | None = None,
        progress: Progress | None = None,
    ) -> KeypointTrack:
        """Write the motion of a video as a keypoint track, in which no person is seen.

        Args:
            driving: a video or a folder of pictures. A varying frame rate becomes its average.
            output: ends in .safetensors.
            crop: look for the face; False takes whole pictures, and records their keypoints alone.
            smooth: as in `animate`.
            model_name: the model's name to store in the track; this animator's own if empty.
            start_s: as in `animate`.
            end_s: as in `animate`.
            progress: is called after every step.

        Raises:
            FnevrError: if the video cannot be used or the track cannot be written.
        """
        span = Span.of_seconds(start_s, end_s)
        check_track_name(output)
        check_target(output)
        check_apart({"driving": driving}, {"output": output})
        if self.engine.config.uses_source_keypoints:
            raise FnevrError(
                f"the keypoints of '{self.name}' depend on the source: its motion cannot be "
                "recorded without one"
            )
        with self.drivers.recording(driving, crop, smooth, span) as (driver, frames):
            read = watched(
                frames, READING, driver.num_frames, progress, lambda batch: len(batch[0])
            )
            track = record_track(read, lambda: driver.frame_rate, model_name or self.name)
        save_track(output, track)
        return replace(track, warnings=tuple(driver.warnings))

    def _adjustment(self, turn: HeadTurn) -> Adjust | None:
        """Return what turns the driving keypoints further; None where nothing does."""
        return None if turn.is_none else partial(turn.apply, self.turn)

    def _report(
        self,
        paths: dict[str, str],
        start: float,
        num_frames: int,
        source: Source,
        transfer: Transfer,
        reference_frame: int | None,
        warnings: list[str],
    ) -> Report:
        seconds = time.perf_counter() - start
        width, height = written_size(paths["output"], source.width, source.height)
        return Report(
            **paths,
            model=self.name,
            device=self.engine.device,
            engine=self.engine.name,
            precision=self.engine.precision,
            frames=num_frames,
            width=width,
            height=height,
            seconds=round(seconds, 3),
            frames_per_second=round(num_frames / seconds, 3),
            transfer=transfer,
            reference_frame=reference_frame,
            warnings=warnings,
            versions=versions(),
        )


def _pictures(frames: Callable[[], Frames]) -> Iterator[Output]:
    """Start at the first picture that is asked for."""
    for rgb, _ in frames():
        yield rgb
