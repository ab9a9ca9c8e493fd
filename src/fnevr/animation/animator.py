"""The Animator: files or arrays of any size in, frames of the animated portrait out.

Frames come out one by one, and nothing holds a whole video.

Shapes: H and W of the source picture, h1 and w1 of driving pictures, h and w of the output.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fnevr.animation.animate import Animation, Options, Sound, Written
from fnevr.animation.driver import DriverFile, Drivers
from fnevr.animation.edit import Edit, EditReport, PoseEditor, Sweep, write_edit
from fnevr.animation.frames import READING, render, watched
from fnevr.animation.head_turn import HeadTurn
from fnevr.animation.keypoint_track import (
    KeypointTrack,
    check_track_name,
    is_track,
    record_track,
    save_track,
)
from fnevr.animation.output import Output, for_many, write_frames
from fnevr.animation.reference_frame import BestFrame
from fnevr.animation.regions import Regions
from fnevr.animation.report import Report
from fnevr.animation.sliders import FaceSliders
from fnevr.animation.source import MAX_DETAIL, Framing, for_video, prepare
from fnevr.animation.transfers import TransferChoice
from fnevr.config.engines import EngineChoice, PrecisionChoice
from fnevr.config.folder import EDITOR_NAME
from fnevr.config.presets import DEFAULT, resolve_model
from fnevr.errors import CheckpointError, FnevrError, MediaError
from fnevr.faces.find import FaceChoice
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
from fnevr.media.writer import check_video_target, written_size
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
        face: FaceChoice = None,
        driver_face: int | Sequence[int] | None = None,
        detail: int = MAX_DETAIL,
        still_background: bool = True,
        best_frame: BestFrame | None = None,
        yaw_deg: float = 0.0,
        pitch_deg: float = 0.0,
        roll_deg: float = 0.0,
        sound: Sound = "driver",
        size: int | None = None,
        start_s: Fraction | float | int = 0,
        end_s: Fraction | float | int | None = None,
        crf: int | None = None,
        progress: Progress | None = None,
    ) -> Report:
        """Animate a picture or a video with a video or a keypoint track, into a video file.

        Args:
            source: a picture with faces; or a video or a folder of pictures, of which each frame's
                own faces are animated, until it or the driver ends. That needs retargeting.
            driving: a video, a folder of pictures, or a keypoint track (.safetensors).
            output: the video; it appears when it is complete. Of a driver that is one picture, it
                may be a picture (.png, .jpg, .webp).
            transfer: "retarget" gives the source the expression and the turns of the driver's
                face, whatever the two look like; "relative" moves its keypoints as the driver's
                move from a reference frame; "absolute" puts them where the driver's are. "auto"
                retargets where the model can.
            smooth: take trembling out of what is retargeted.
            regions: how much of head, expression, eyes and lips is retargeted; None is all, but for
                the head of a source video.
            sliders: an expression on top of what is retargeted; None adds none.
            crop: look for the faces; False takes whole pictures, stretched to a square.
            paste_back: frames of the source picture's size; False gives the square around the face.
            face: which of the source's faces: a number, several, or "all". The largest is 0; None
                means the largest.
            driver_face: which of the driver's faces, in the same way. One drives all faces of the
                source; several, which need retargeting, drive one each, in their order.
            detail: the square around the face keeps the source picture's own resolution up to this
                side, in pixels; a smaller one is quicker. Models without a composite do not use it.
            still_background: move the person alone; False moves the background with it, as all
                models without a composite do, and pictures that are not cropped.
            best_frame: the reference frame of relative motion, in which the driver looks most like
                the source: "auto", which reads all of the driver first, "first", or its number.
            yaw_deg: turns the head further, by the pose editor; positive: to the viewer's right.
            pitch_deg: positive: up.
            roll_deg: positive: clockwise as seen.
            sound: whose sound goes along: the "driver"'s, or the "source"'s if that is a video.
            size: longer side of the result at most, in pixels; None takes the source's, up to what
                players open.
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
        options = Options(
            transfer,
            smooth,
            regions,
            sliders,
            Framing(crop, paste_back, face, detail, still_background),
            driver_face,
            best_frame,
            HeadTurn(yaw_deg, pitch_deg, roll_deg),
            sound,
            size,
            Span.of_seconds(start_s, end_s),
            crf,
        )
        written = self._animation(options).write(source, driving, output, progress)
        paths = {"source": str(source), "driving": str(driving), "output": str(output)}
        return self._report(paths, start, written, options.turn.warnings())

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
        scene = prepare(self.engine, first, Framing(False, False))
        with self.drivers.motion(DriverFile(clip, None), False) as driver:
            engine = for_many(self.engine, scene.drawn_side)
            _, frames = render(engine, scene, driver, None, progress)
            size = scene.width, scene.height
            count = write_frames(
                output,
                size,
                driver.frame_rate,
                frames,
                audio_from=driver.audio_from,
                end=driver.end,
            )
        paths = {"source": str(clip), "driving": str(clip), "output": str(output)}
        written = Written(count, *size, "absolute", None, driver.warnings)
        return self._report(paths, start, written)

    def frames(  # noqa: PLR0913 - as `animate`
        self,
        source_rgb: Picture | Iterable[Picture],
        driving_rgb_frames: Iterable[UInt8[np.ndarray, "h1 w1 3"]],
        *,
        transfer: TransferChoice = "auto",
        smooth: bool = True,
        regions: Regions | None = None,
        sliders: FaceSliders | None = None,
        crop: bool = True,
        paste_back: bool = True,
        face: FaceChoice = None,
        driver_face: int | Sequence[int] | None = None,
        detail: int = MAX_DETAIL,
        still_background: bool = True,
        best_frame: BestFrame | None = None,
        yaw_deg: float = 0.0,
        pitch_deg: float = 0.0,
        roll_deg: float = 0.0,
    ) -> Iterator[Output]:
        """Animate arrays lazily: read a batch of driving frames, yield its results, and so on.

        The source is a picture, or the frames of a video, one for each driving frame. The options
        are those of `animate`; relative motion is measured from the first frame where
        nothing else is said. Only ``best_frame="auto"`` reads all driving frames before the first
        result; it keeps nothing but their keypoints.

        Raises:
            FaceError: if there is no usable face.
            ValueError: if an array is not a uint8 RGB picture.
        """
        options = Options(
            transfer,
            smooth,
            regions,
            sliders,
            Framing(crop, paste_back, face, detail, still_background),
            driver_face,
            best_frame,
            HeadTurn(yaw_deg, pitch_deg, roll_deg),
        )
        return self._animation(options).frames(source_rgb, driving_rgb_frames)

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
        if self.engine.config.driven_by != "keypoints":
            raise FnevrError(
                f"'{self.name}' is driven by {self.engine.config.driven_by}, and a track holds "
                "keypoints: drive it with the video itself"
            )
        if self.engine.config.uses_source_keypoints:
            raise FnevrError(
                f"the keypoints of '{self.name}' depend on the source: its motion cannot be "
                "recorded without one"
            )
        with self.drivers.recording(driving, crop, smooth, span) as recording:
            read = watched(
                recording.frames,
                READING,
                recording.num_frames,
                progress,
                lambda batch: len(batch[0]),
            )
            track = record_track(read, lambda: recording.frame_rate, model_name or self.name)
        save_track(output, track)
        return replace(track, warnings=tuple(recording.warnings))

    def _animation(self, options: Options) -> Animation:
        turn = None if options.turn.is_none else self.turn
        return Animation(self.drivers, options, turn)

    def _report(
        self, paths: dict[str, str], start: float, written: Written, warnings: Sequence[str] = ()
    ) -> Report:
        seconds = time.perf_counter() - start
        width, height = written_size(paths["output"], written.width, written.height)
        return Report(
            **paths,
            model=self.name,
            device=self.engine.device,
            engine=self.engine.name,
            precision=self.engine.precision,
            frames=written.frames,
            width=width,
            height=height,
            seconds=round(seconds, 3),
            frames_per_second=round(written.frames / seconds, 3),
            transfer=written.transfer,
            reference_frame=written.reference_frame,
            warnings=[*written.warnings, *warnings],
            versions=versions(),
        )
