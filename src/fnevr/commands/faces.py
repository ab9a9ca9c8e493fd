"""Commands on faces: animate, record, reconstruct, edit, reconstruct3d.

They parse, call one function, print. What every call of a command needs comes by position; all else
is an option.

Nothing slow is imported before a command.
"""

from __future__ import annotations

import gc
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fnevr.commands.options import (
    MAX_COUNT,
    WHOLE_FILES,
    DeviceOption,
    Engine,
    Json,
    Model,
    NoClobber,
    PrecisionOption,
    answering_for_errors,
    face_choice,
    face_numbers,
    say,
    tell_warnings,
    write_json,
)
from fnevr.commands.paths import Files, Reads, Writes
from fnevr.errors import FnevrError, counted

if TYPE_CHECKING:
    from fnevr.animation.animator import Animator
    from fnevr.animation.report import Report
    from fnevr.config.engines import EngineChoice, PrecisionChoice

Yaw = Annotated[
    float, typer.Option("--yaw", help="Degrees; positive: the head turns to the viewer's right.")
]
Pitch = Annotated[float, typer.Option("--pitch", help="Degrees; positive: up.")]
Roll = Annotated[float, typer.Option("--roll", help="Degrees; positive: clockwise as seen.")]
Crop = Annotated[
    bool, typer.Option("--crop/--no-crop", help="Look for faces, or take whole pictures.")
]
PasteBack = Annotated[
    bool,
    typer.Option(
        "--paste-back/--no-paste-back",
        help="The size of the source picture, or the square around the face alone.",
    ),
]
Faces = Annotated[
    str | None,
    typer.Option(
        "--face",
        metavar="N[,N...]|all",
        help="Which faces of the source; 0 is the largest, and the default.",
    ),
]
Face = Annotated[
    int | None,
    typer.Option(
        "--face",
        min=0,
        max=MAX_COUNT,
        help="Which face of the picture; 0 is the largest, and the default.",
    ),
]
Detail = Annotated[
    int,
    typer.Option(
        "--detail",
        min=256,
        max=MAX_COUNT,
        help="The face keeps the portrait's resolution up to this many pixels; fewer are quicker.",
    ),
]
StillBackground = Annotated[
    bool,
    typer.Option(
        "--still-background/--no-still-background",
        help="Only the person moves, or the picture around the head moves along.",
    ),
]
Size = Annotated[
    int | None,
    typer.Option(
        "--size",
        min=16,
        max=MAX_COUNT,
        help="Longer side of the result, in pixels. Default: the picture's.",
    ),
]
Start = Annotated[
    str | None,
    typer.Option("--start", metavar="TIME", help="Where the driver begins: seconds, or h:m:s."),
]
End = Annotated[
    str | None,
    typer.Option("--end", metavar="TIME", help="Where the driver ends."),
]
Crf = Annotated[
    int | None,
    typer.Option(
        "--crf",
        min=0,
        max=51,
        help="Quality of the video, 0 (lossless) to 51. Default: 18.",
    ),
]
Smooth = Annotated[
    bool,
    typer.Option(
        "--smooth/--no-smooth", help="Take trembling out of what is read of the driver's face."
    ),
]
Factor = Annotated[
    float, typer.Option(help="How much of the driver's goes over: 1 is all, 0 leaves the source's.")
]
Slider = Annotated[float, typer.Option(help="Change of the expression; -1 to 1.")]
Sliders = Annotated[
    Path | None,
    typer.Option("--sliders", help="A JSON file with sliders, as `edit --save-sliders` writes it."),
]
SoundName = Literal["driver", "source"]
TransferName = Literal["auto", "retarget", "relative", "absolute"]
Output = Annotated[
    Path, typer.Option("--output", "-o", help="The video to write: .mp4, .mov, .mkv or .gif.")
]


def animate(
    *,
    source: Annotated[
        Path | None,
        typer.Option(
            "--source",
            "-s",
            help="A picture with a face, or a video whose faces are animated frame by frame. "
            "Default: the bundled portrait.",
        ),
    ] = None,
    driving: Annotated[
        Path | None,
        typer.Option(
            "--driving",
            "-d",
            help="A video, a folder of pictures, a keypoint track (.safetensors), or for PIRender "
            "3DMM coefficients (.txt, .npy). Default: the bundled motion.",
        ),
    ] = None,
    output: Output = Path("result.mp4"),
    model: Model = "lite",
    device: DeviceOption = None,
    engine: Engine = "auto",
    precision: PrecisionOption = "auto",
    transfer: Annotated[
        TransferName,
        typer.Option(
            "--transfer",
            help="retarget: the source takes on the driver's expression and turns of the head; "
            "relative: its keypoints move as the driver's do from a reference frame; absolute: "
            "they lie where the driver's are. auto retargets where the model can.",
        ),
    ] = "auto",
    smooth: Smooth = True,
    head: Annotated[
        float | None,
        typer.Option(
            help="The same of the head's turns and place. Default: 1; 0 for a source video, whose "
            "head keeps its own motion.",
        ),
    ] = None,
    expression: Factor = 1.0,
    eyes: Factor = 1.0,
    lips: Factor = 1.0,
    gaze: Annotated[
        float | None,
        typer.Option(
            "--gaze",
            help="The same of where the eyes look. Default: 1; 0 for a source video.",
        ),
    ] = None,
    sliders: Sliders = None,
    crop: Crop = True,
    paste_back: PasteBack = True,
    face: Faces = None,
    driver_face: Annotated[
        str | None,
        typer.Option(
            "--driver-face",
            metavar="N[,N...]",
            help="Which face of the driver drives, 0 being the largest; several drive one face of "
            "the source each.",
        ),
    ] = None,
    detail: Detail = 1024,
    still_background: StillBackground = True,
    best_frame: Annotated[
        str | None,
        typer.Option(
            "--best-frame",
            metavar="auto|first|N",
            help="The driver's frame from which relative motion is measured. Default: auto, the "
            "one that looks most like the source.",
        ),
    ] = None,
    yaw: Yaw = 0.0,
    pitch: Pitch = 0.0,
    roll: Roll = 0.0,
    sound: Annotated[
        SoundName, typer.Option("--sound", help="Whose sound goes along; a picture has none.")
    ] = "driver",
    size: Size = None,
    start: Start = None,
    end: End = None,
    crf: Crf = None,
    json_file: Json = None,
    no_clobber: NoClobber = False,
) -> None:
    """Move a portrait as a driving video does; with no options, the bundled ones."""
    files: Files = {
        "--source": Reads(source, "a source"),
        "--driving": Reads(driving, "a driver"),
        "--output": Writes(output, "a video or a picture"),
        "--model": Reads(model, "a model"),
        "--sliders": Reads(sliders),
        "--json": Writes(json_file),
    }
    with answering_for_errors(files, no_clobber=no_clobber):
        reference = None if best_frame is None else _best_frame(best_frame)
        faces = None if face is None else face_choice(face, "--face")
        drivers = None if driver_face is None else face_numbers(driver_face, "--driver-face")
        if face is not None and not crop:
            raise FnevrError("--face has no meaning with --no-crop: leave one of them out")

        from fnevr.animation.regions import Regions
        from fnevr.animation.sliders import FaceSliders
        from fnevr.config.presets import asset
        from fnevr.progress import progress_bar

        regions = Regions(head, expression, eyes, lips, gaze)
        source = source or asset("portrait.jpg")
        driving = driving or asset("motion.safetensors")
        animator = _load(model, device, engine, precision)
        with progress_bar() as progress:
            report = animator.animate(
                source,
                driving,
                output,
                transfer=transfer,
                smooth=smooth,
                regions=None if regions == Regions() else regions,
                sliders=None if sliders is None else FaceSliders.load(sliders),
                crop=crop,
                paste_back=paste_back,
                face=faces,
                driver_face=drivers,
                detail=detail,
                still_background=still_background,
                best_frame=reference,
                yaw_deg=yaw,
                pitch_deg=pitch,
                roll_deg=roll,
                sound=sound,
                size=size,
                start_s=_time(start, "start_s") or 0,
                end_s=_time(end, "end_s"),
                crf=crf,
                progress=progress,
            )
        _tell(report, json_file)


def record(
    driver: Annotated[
        Path,
        typer.Argument(metavar="DRIVER", help="A video with a face, or a folder of pictures."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The keypoint track to write: .safetensors.")
    ] = Path("motion.safetensors"),
    model: Model = "lite",
    device: DeviceOption = None,
    engine: Engine = "auto",
    precision: PrecisionOption = "auto",
    crop: Crop = True,
    smooth: Smooth = True,
    start: Start = None,
    end: End = None,
    no_clobber: NoClobber = False,
) -> None:
    """Write the motion of a driving video to a file for `animate --driving`.

    Nobody is seen in that file, a keypoint track. What the face does in it drives every model that
    retargets; its keypoints drive the model that recorded it.
    """
    files: Files = {
        "DRIVER": Reads(driver, "a driver"),
        "--output": Writes(output, "a keypoint track"),
        "--model": Reads(model, "a model"),
    }
    with answering_for_errors(files, no_clobber=no_clobber):
        from fnevr.progress import progress_bar

        animator = _load(model, device, engine, precision)
        with progress_bar() as progress:
            track = animator.record(
                driver,
                output,
                crop=crop,
                smooth=smooth,
                start_s=_time(start, "start_s") or 0,
                end_s=_time(end, "end_s"),
                progress=progress,
            )
        tell_warnings(track.warnings)
        say(
            f"{output}: {counted(len(track), 'frame')} at {float(track.frame_rate):g} per second, "
            f"{track.keypoints.num_keypoints} keypoints of {track.model}",
            err=True,
        )


def reconstruct(
    clip: Annotated[
        Path, typer.Argument(metavar="CLIP", help="A video, framed as the model expects.")
    ],
    output: Output = Path("result.mp4"),
    model: Model = "lite",
    device: DeviceOption = None,
    engine: Engine = "auto",
    precision: PrecisionOption = "auto",
    json_file: Json = None,
    no_clobber: NoClobber = False,
) -> None:
    """Rebuild a clip from its first frame and its motion, as the paper's protocol does.

    Absolute motion, no crop, no paste-back.
    """
    files: Files = {
        "CLIP": Reads(clip, "a driver"),
        "--output": Writes(output, "a video"),
        "--model": Reads(model, "a model"),
        "--json": Writes(json_file),
    }
    with answering_for_errors(files, no_clobber=no_clobber):
        from fnevr.progress import progress_bar

        animator = _load(model, device, engine, precision)
        with progress_bar() as progress:
            report = animator.reconstruct(clip, output, progress=progress)
        _tell(report, json_file)


def edit(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A picture with a face.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="A picture, or with --sweep a video. Default: edited.png or sweep.mp4.",
        ),
    ] = None,
    yaw: Yaw = 0.0,
    pitch: Pitch = 0.0,
    roll: Roll = 0.0,
    smile: Slider = 0.0,
    pout: Slider = 0.0,
    mouth_open: Slider = 0.0,
    brow_left: Slider = 0.0,
    brow_right: Slider = 0.0,
    blink_left: Slider = 0.0,
    blink_right: Slider = 0.0,
    gaze_x: Slider = 0.0,
    gaze_y: Slider = 0.0,
    sliders: Sliders = None,
    save_sliders: Annotated[
        Path | None, typer.Option("--save-sliders", help="Write the sliders to a JSON file.")
    ] = None,
    sweep: Annotated[
        str | None,
        typer.Option(
            "--sweep",
            metavar="AXIS=FROM:TO",
            help="A video that turns from one angle to another and back: yaw=-30:30.",
        ),
    ] = None,
    model: Model = "lite",
    device: DeviceOption = None,
    engine: Engine = "auto",
    precision: PrecisionOption = "auto",
    crop: Crop = True,
    paste_back: PasteBack = True,
    face: Face = None,
    detail: Detail = 1024,
    still_background: StillBackground = True,
    size: Size = None,
    json_file: Json = None,
    no_clobber: NoClobber = False,
) -> None:
    """Turn the head of a portrait by angles, and change its expression.

    Sliders go from -1 to 1 (--blink-left and --blink-right from -0.1) and are changes from how the
    picture shows the face; left and right are the picture's.
    """
    output = output or Path("edited.png" if sweep is None else "sweep.mp4")
    files: Files = {
        "IMAGE": Reads(image, "an image"),
        "--output": Writes(output, "a picture" if sweep is None else "a video"),
        "--model": Reads(model, "a model"),
        "--sliders": Reads(sliders),
        "--save-sliders": Writes(save_sliders),
        "--json": Writes(json_file),
    }
    with answering_for_errors(files, no_clobber=no_clobber):
        if face is not None and not crop:
            raise FnevrError("--face has no meaning with --no-crop: leave one of them out")

        from fnevr.animation.edit import Sweep
        from fnevr.animation.sliders import FaceSliders
        from fnevr.progress import progress_bar

        swing = None if sweep is None else Sweep.parse(sweep)
        face_sliders = FaceSliders(
            smile, pout, mouth_open, brow_left, brow_right, blink_left, blink_right, gaze_x, gaze_y
        )
        if sliders is not None:
            face_sliders = FaceSliders.load(sliders) + face_sliders
        if save_sliders is not None:
            face_sliders.save(save_sliders)
        animator = _load(model, device, engine, precision)
        with progress_bar() as progress:
            report = animator.edit(
                image,
                output,
                yaw_deg=yaw,
                pitch_deg=pitch,
                roll_deg=roll,
                sweep=swing,
                sliders=face_sliders,
                crop=crop,
                paste_back=paste_back,
                face=face,
                detail=detail,
                still_background=still_background,
                size=size,
                progress=progress,
            )
        tell_warnings(report.warnings)
        if json_file is not None:
            write_json(json_file, report.model_dump_json(indent=2))
        say(f"{report.output}: {report.width} x {report.height}", err=True)


def reconstruct3d(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A picture with a face.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The mesh to write: .obj, .ply or .glb.")
    ] = Path("mesh.obj"),
    overlay: Annotated[
        Path | None, typer.Option("--overlay", help="Also draw the mesh over the picture.")
    ] = None,
    depth: Annotated[Path | None, typer.Option("--depth", help="Also draw the depth.")] = None,
    normals: Annotated[
        Path | None, typer.Option("--normals", help="Also draw the surface's directions.")
    ] = None,
    face: Face = None,
    deca: Annotated[
        Path | None,
        typer.Option("--deca", help="DECA's checkpoint: its encoder instead of fitting."),
    ] = None,
    flame: Annotated[
        Path | None, typer.Option("--flame", help="FLAME's model file, which --deca needs.")
    ] = None,
    json_file: Json = None,
    no_clobber: NoClobber = False,
) -> None:
    """Fit the head model to a face: mesh, shape, expression, pose, camera."""
    files: Files = {
        "IMAGE": Reads(image, "an image"),
        "--output": Writes(output, "a mesh"),
        "--overlay": Writes(overlay, "a picture"),
        "--depth": Writes(depth, "a picture"),
        "--normals": Writes(normals, "a picture"),
        "--deca": Reads(deca),
        "--flame": Reads(flame),
        "--json": Writes(json_file),
    }
    with answering_for_errors(files, WHOLE_FILES, no_clobber=no_clobber):
        from fnevr.face3d.reconstruction import reconstruct_file

        report = reconstruct_file(
            image,
            output,
            overlay=overlay,
            depth=depth,
            normals=normals,
            face=face,
            deca=deca,
            flame=flame,
        )
        if json_file is not None:
            write_json(json_file, report.model_dump_json(indent=2))
        error = report.error_px
        accuracy = "" if error is None else f"; landmarks met within {error:.1f} pixels"
        say(
            f"{report.output}: yaw {report.yaw_deg:.0f}, pitch {report.pitch_deg:.0f}, roll "
            f"{report.roll_deg:.0f} degrees{accuracy}",
            err=True,
        )


def _time(text: str | None, argument: str) -> Fraction | None:
    if text is None:
        return None
    from fnevr.media.trim import parse_seconds

    return parse_seconds(text, argument)


def _best_frame(text: str) -> Literal["auto", "first"] | int:
    if text == "auto":
        return "auto"
    if text == "first":
        return "first"
    if text.isdecimal():
        return int(text)
    raise FnevrError(f"--best-frame must be auto, first or a frame's number from 0, got '{text}'")


def _tell(report: Report, json_file: str | None) -> None:
    """Write the report, and one line about the result for people."""
    tell_warnings(report.warnings)
    if json_file is not None:
        write_json(json_file, report.model_dump_json(indent=2))
    say(
        f"{report.output}: {counted(report.frames, 'frame')} of {report.width} x {report.height} "
        f"in {report.seconds:.1f} s ({report.frames_per_second:.1f} frames per second)",
        err=True,
    )


def _load(
    model: str,
    device: str | None,
    engine: EngineChoice,
    precision: PrecisionChoice,
) -> Animator:
    """Load the model; its graphs, if it has some, in a thread that goes on beside the rest."""
    gc.disable()  # nothing that imports make is garbage: a sixth of their time
    from fnevr.runtime.sessions import start_loading

    start_loading(model, device, engine, precision)

    from fnevr.animation.animator import Animator

    gc.enable()
    animator = Animator.from_pretrained(model, device=device, engine=engine, precision=precision)
    runs = animator.engine
    say(f"{model} on {runs.name} ({runs.precision}, {runs.device})", err=True)
    return animator
