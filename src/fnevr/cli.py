"""The commands: parse, call one public function, print. Nothing slow is imported before a command.

Exit codes: 0 done, 1 our fault, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from fnevr.errors import FnevrError

if TYPE_CHECKING:
    from fnevr.report import Report

OUR_FAULT, BAD_INPUT, INTERRUPTED = 1, 2, 130
DEBUG_VARIABLE = "FNEVR_DEBUG"
ISSUES = "please report it with the output of the same command run with FNEVR_DEBUG=1"

app = typer.Typer(
    help="Animate a portrait with the motion of a talking head.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class Device(StrEnum):
    """What a network can run on."""

    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"


Model = Annotated[
    str, typer.Option("--model", help="A preset (see `fnevr models`) or a folder with weights.")
]
DeviceOption = Annotated[
    Device | None,
    typer.Option(
        "--device", help="Default: cuda if there is some, otherwise cpu.", show_default=False
    ),
]
Json = Annotated[
    str | None, typer.Option("--json", metavar="FILE", help='Write a report; "-" is stdout.')
]
Yaw = Annotated[
    float, typer.Option("--yaw", help="Degrees; positive: the head turns to the viewer's right.")
]
Pitch = Annotated[float, typer.Option("--pitch", help="Degrees; positive: up.")]
Roll = Annotated[float, typer.Option("--roll", help="Degrees; positive: clockwise as seen.")]
Output = Annotated[
    Path, typer.Option("--output", "-o", help="The video to write: .mp4, .mov, .mkv or .gif.")
]


@app.command()
def animate(
    *,
    source: Annotated[
        Path | None,
        typer.Option("--source", help="A picture with a face. Default: the bundled portrait."),
    ] = None,
    driving: Annotated[
        Path | None,
        typer.Option(
            "--driving",
            help="A video, a folder of pictures, or a keypoint track (.safetensors). "
            "Default: the bundled motion.",
        ),
    ] = None,
    output: Output = Path("result.mp4"),
    model: Model = "lite",
    device: DeviceOption = None,
    relative: Annotated[
        bool,
        typer.Option(
            "--relative/--absolute",
            help="Move the source by the driver's changes, or put its keypoints where the "
            "driver's are.",
        ),
    ] = True,
    crop: Annotated[
        bool,
        typer.Option("--crop/--no-crop", help="Look for the faces, or take whole pictures."),
    ] = True,
    paste_back: Annotated[
        bool,
        typer.Option(
            "--paste-back/--no-paste-back",
            help="Frames of the source's size, or the model's square image.",
        ),
    ] = True,
    face: Annotated[
        int | None,
        typer.Option(
            "--face", min=0, help="Which face of the source; 0 is the largest, and the default."
        ),
    ] = None,
    best_frame: Annotated[
        str | None,
        typer.Option(
            "--best-frame",
            metavar="auto|first|N",
            help="The driver's frame from which motion is measured. Default: auto, the one that "
            "looks most like the source.",
        ),
    ] = None,
    yaw: Yaw = 0.0,
    pitch: Pitch = 0.0,
    roll: Roll = 0.0,
    json_file: Json = None,
) -> None:
    """Move a portrait as a driving video does; with no options, the bundled ones."""
    flags = {"--source": source, "--driving": driving, "--output": output, "--model": model}
    with _answering_for_errors(flags):
        if best_frame is not None and not relative:
            raise FnevrError("--best-frame has no meaning with --absolute: leave one of them out")
        if face is not None and not crop:
            raise FnevrError("--face has no meaning with --no-crop: leave one of them out")
        reference = _best_frame("auto" if best_frame is None else best_frame)
        _check_json(json_file, output)

        from fnevr.animate import Animator
        from fnevr.presets import asset
        from fnevr.progress import progress_bar

        source = source or asset("portrait.jpg")
        driving = driving or asset("motion.safetensors")
        animator = Animator.from_pretrained(model, device=device)
        with progress_bar() as progress:
            report = animator.animate(
                source,
                driving,
                output,
                relative=relative,
                crop=crop,
                paste_back=paste_back,
                face=face,
                best_frame=reference,
                yaw_deg=yaw,
                pitch_deg=pitch,
                roll_deg=roll,
                progress=progress,
            )
        _tell(report, json_file)


@app.command()
def edit(
    image: Annotated[Path, typer.Argument(help="A picture with a face.")],
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
    crop: Annotated[
        bool, typer.Option("--crop/--no-crop", help="Look for the face, or take it all.")
    ] = True,
    paste_back: Annotated[
        bool,
        typer.Option(
            "--paste-back/--no-paste-back",
            help="The picture's size, or the model's square image.",
        ),
    ] = True,
    face: Annotated[
        int | None, typer.Option("--face", min=0, help="Which face; 0 is the largest.")
    ] = None,
    json_file: Json = None,
) -> None:
    """Turn the head of a portrait by angles."""
    output = output or Path("edited.png" if sweep is None else "sweep.mp4")
    with _answering_for_errors({"IMAGE": image, "--output": output, "--model": model}):
        if face is not None and not crop:
            raise FnevrError("--face has no meaning with --no-crop: leave one of them out")
        _check_json(json_file, output)

        from fnevr.animate import Animator
        from fnevr.edit import Sweep
        from fnevr.progress import progress_bar

        chosen = None if sweep is None else Sweep.parse(sweep)
        animator = Animator.from_pretrained(model, device=device)
        with progress_bar() as progress:
            report = animator.edit(
                image,
                output,
                yaw_deg=yaw,
                pitch_deg=pitch,
                roll_deg=roll,
                sweep=chosen,
                crop=crop,
                paste_back=paste_back,
                face=face,
                progress=progress,
            )
        for warning in report.warnings:
            typer.echo(f"Warning: {warning}", err=True)
        if json_file is not None:
            _write_json(json_file, report.model_dump_json(indent=2))
        typer.echo(f"{report.output}: {report.width} x {report.height}", err=True)


@app.command()
def reconstruct(
    clip: Annotated[Path, typer.Argument(help="A video, framed as the model expects.")],
    output: Output = Path("result.mp4"),
    model: Model = "lite",
    device: DeviceOption = None,
    json_file: Json = None,
) -> None:
    """Rebuild a clip from its first frame and its motion, as the paper's protocol does.

    Absolute motion, no crop, no paste-back.
    """
    with _answering_for_errors({"CLIP": clip, "--output": output, "--model": model}):
        _check_json(json_file, output)

        from fnevr.animate import Animator
        from fnevr.progress import progress_bar

        animator = Animator.from_pretrained(model, device=device)
        with progress_bar() as progress:
            report = animator.reconstruct(clip, output, progress=progress)
        _tell(report, json_file)


@app.command()
def reconstruct3d(
    image: Annotated[Path, typer.Argument(help="A picture with a face.")],
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
    face: Annotated[
        int | None, typer.Option("--face", min=0, help="Which face; 0 is the largest.")
    ] = None,
    deca: Annotated[
        Path | None,
        typer.Option("--deca", help="DECA's checkpoint: its encoder instead of fitting."),
    ] = None,
    flame: Annotated[
        Path | None, typer.Option("--flame", help="FLAME's model file, which --deca needs.")
    ] = None,
    json_file: Json = None,
) -> None:
    """Fit the head model to a face: mesh, shape, expression, pose, camera."""
    flags = {"IMAGE": image, "--output": output, "--overlay": overlay}
    more = {"--depth": depth, "--normals": normals, "--deca": deca, "--flame": flame}
    with _answering_for_errors(flags | more):
        _check_json(json_file, output)

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
            _write_json(json_file, report.model_dump_json(indent=2))
        error = report.error_px
        met = "" if error is None else f"; landmarks met within {error:.1f} pixels"
        typer.echo(
            f"{report.output}: yaw {report.yaw_deg:.0f}, pitch {report.pitch_deg:.0f}, roll "
            f"{report.roll_deg:.0f} degrees{met}",
            err=True,
        )


@app.command()
def prepare(
    videos: Annotated[
        Path, typer.Argument(metavar="IN", help="A folder of videos, with or without sub-folders.")
    ],
    out_dir: Annotated[
        Path,
        typer.Argument(metavar="OUT", help="The prepared folder; taken up if it exists."),
    ],
    licence: Annotated[
        str, typer.Option("--licence", help="Terms of the footage, kept with every clip.")
    ] = "",
    identity: Annotated[
        str | None,
        typer.Option(
            "--identity",
            metavar="REGEX",
            help="Finds who is shown in a video's path: its first group. Default: the first "
            "sub-folder, or the file's name.",
        ),
    ] = None,
    val_share: Annotated[
        float,
        typer.Option("--val-share", min=0, max=1, help="Share of the people for validation."),
    ] = 0.1,
    min_seconds: Annotated[
        float, typer.Option("--min-seconds", min=0.1, help="Leave shorter clips out.")
    ] = 1.0,
    max_seconds: Annotated[
        float, typer.Option("--max-seconds", min=0.1, help="Divide longer clips.")
    ] = 10.0,
    min_face: Annotated[
        float, typer.Option("--min-face", min=1, help="Leave smaller faces out, in pixels.")
    ] = 90.0,
    voxceleb: Annotated[
        Path | None,
        typer.Option(
            "--voxceleb", metavar="LISTS", help="VoxCeleb's text files: who is where, and when."
        ),
    ] = None,
    cropped: Annotated[
        bool,
        typer.Option("--cropped", help="IN holds clips.tsv and clips/: cropped already."),
    ] = False,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes.")] = 1,
    shards: Annotated[
        Path | None,
        typer.Option("--shards", metavar="DIR", help="Also pack the clips for object stores."),
    ] = None,
    json_file: Json = None,
) -> None:
    """Turn videos into clips for training; an interrupted run goes on when it is run again."""
    flags = {"IN": videos, "OUT": out_dir, "--voxceleb": voxceleb, "--shards": shards}
    with _answering_for_errors(flags):
        from fnevr.data.prepare import prepare as prepare_videos
        from fnevr.data.settings import make_settings
        from fnevr.progress import progress_bar

        settings = make_settings(
            licence=licence,
            identity=identity,
            val_share=val_share,
            min_seconds=min_seconds,
            max_seconds=max_seconds,
            min_face_px=min_face,
        )
        try:
            with progress_bar("videos") as progress:
                report = prepare_videos(
                    videos,
                    out_dir,
                    settings,
                    voxceleb=voxceleb,
                    cropped=cropped,
                    workers=workers,
                    progress=progress,
                )
        except KeyboardInterrupt:
            _fail(INTERRUPTED, "Interrupted; the same command goes on where this one stopped.")
        if shards is not None:
            from fnevr.data.shards import write_shards

            with progress_bar("clips") as progress:
                write_shards(out_dir, shards, progress=progress)
        if json_file is not None:
            _write_json(json_file, report.model_dump_json(indent=2))
        for line in report.lines():
            typer.echo(line, err=True)


@app.command()
def train(
    data: Annotated[Path, typer.Argument(help="A prepared folder of clips.")],
    run_dir: Annotated[
        Path, typer.Argument(metavar="RUN", help="Checkpoints and logs; taken up if it exists.")
    ],
    recipe: Annotated[str, typer.Option("--recipe", help="A recipe's name, or a JSON file.")] = (
        "full"
    ),
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change the recipe; repeatable."),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            "--init",
            metavar="MODEL",
            help="Start from a preset or a model folder. Default: from new weights.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME|FILE",
            help="What to start anew: lite, base, fomm or a config.json. Default: lite.",
        ),
    ] = None,
    minutes: Annotated[float | None, typer.Option("--minutes", help="Time budget.")] = None,
    steps: Annotated[int | None, typer.Option("--steps", help="Step budget.")] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", help="Pairs per step, over all processes.")
    ] = None,
    device: DeviceOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the recipe as it would be used, and stop.")
    ] = False,
) -> None:
    """Train a model; an interrupted run goes on when the same command is run again.

    `base` and `fomm` need `--recipe reference`.

    Several processes or machines: `torchrun --nproc-per-node 2 -m fnevr train DATA RUN`.
    """
    with _answering_for_errors({"DATA": data, "RUN": run_dir, "--init": init, "--model": model}):
        from fnevr.train.recipe import choose_recipe

        options = {"minutes": minutes, "steps": steps, "batch_size": batch_size}
        given = [f"{name}={value}" for name, value in options.items() if value is not None]
        chosen = choose_recipe(recipe, [*given, *(settings or [])])
        if dry_run:
            typer.echo(chosen.model_dump_json(indent=2))
            return

        from fnevr.train.interrupt import stop_on_signals
        from fnevr.train.launch import make_trainer, show_run

        with stop_on_signals() as should_stop:
            trainer = make_trainer(data, run_dir, chosen, init=init, model=model, device=device)
            is_done = show_run(trainer, should_stop)
        if trainer.is_main:
            stopped = f"stopped at step {trainer.step}; the same command goes on"
            done = f"{run_dir / 'model'}: trained {trainer.step} steps"
            typer.echo(done if is_done else stopped, err=True)
        if not is_done:
            raise typer.Exit(INTERRUPTED)


@app.command()
def convert(
    checkpoint: Annotated[Path, typer.Argument(help="Another project's checkpoint (.pth.tar).")],
    out_dir: Annotated[Path, typer.Argument(help="Gets config.json and model.safetensors.")],
) -> None:
    """Convert the FNeVR authors' checkpoint, or FOMM's, to a folder for --model."""
    with _answering_for_errors({"CHECKPOINT": checkpoint, "OUT_DIR": out_dir}):
        from fnevr.compat import convert as convert_checkpoint

        model = convert_checkpoint(checkpoint, out_dir)
        num_parameters = sum(parameter.numel() for parameter in model.parameters())
        name = type(model).__name__
        typer.echo(f"{out_dir}: {name}, {num_parameters / 1e6:.3f} M parameters", err=True)


@app.command()
def models(json_file: Json = None) -> None:
    """List the presets, and whether their weights are here."""
    with _answering_for_errors({}):
        from fnevr.presets import PRESETS, is_installed

        rows = [
            {
                "name": preset.name,
                "summary": preset.summary,
                "installed": is_installed(preset),
                "sha256": preset.sha256,
            }
            for preset in PRESETS
        ]
        if json_file is not None:
            _write_json(json_file, json.dumps(rows, indent=2))
            return
        for row in rows:
            state = "ready" if row["installed"] else "no weights here"
            typer.echo(f"{row['name']:8} {state:16} {row['summary']}")


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGTERM, _stop)
    # What the package logs, the report lists as a warning; once is enough.
    logging.getLogger("fnevr").addHandler(logging.NullHandler())
    app(prog_name="fnevr")


def _stop(number: int, _frame: object) -> None:
    """Leave by the way of an exception, so that unfinished files are removed."""
    sys.exit(128 + number)


@contextmanager
def _answering_for_errors(flags: Mapping[str, object]) -> Iterator[None]:
    """Turn what goes wrong into a message on stderr and an exit code.

    Args:
        flags: the options that name files; a message about such a file quotes its option.
    """
    try:
        yield
    except FnevrError as error:
        _fail(BAD_INPUT, f"Error: {error}{_flag_behind(str(error), flags)}")
    except KeyboardInterrupt:
        _fail(INTERRUPTED, "Interrupted; nothing was written.")
    except typer.Exit:
        raise
    except MemoryError:
        _fail(OUR_FAULT, "Error: there is not enough memory; use a smaller picture.")
    except Exception as error:  # noqa: BLE001 - the outermost caller: what is left is our fault
        if os.environ.get(DEBUG_VARIABLE):
            traceback.print_exc()
        what = f"{type(error).__name__}: {error}"
        _fail(OUR_FAULT, f"Internal error, which is our fault: {what}\n{ISSUES}.")


def _fail(code: int, message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)


def _flag_behind(message: str, flags: Mapping[str, object]) -> str:
    """Name the option that a message about a file is about, unless it does so itself."""
    if "--" in message:
        return ""
    named = [flag for flag, value in flags.items() if value and f"{value}" in message]
    return f" ({named[0]})" if named else ""


def _best_frame(text: str) -> Literal["auto", "first"] | int:
    if text == "auto":
        return "auto"
    if text == "first":
        return "first"
    if text.isdecimal():
        return int(text)
    raise FnevrError(f"--best-frame must be auto, first or a frame's number from 0, got '{text}'")


def _check_json(json_file: str | None, output: Path) -> None:
    """Say before any work that a report could not be written."""
    if json_file in (None, "-"):
        return
    from fnevr.media.files import check_target

    path = Path(str(json_file))
    check_target(path)
    if path.resolve() == output.resolve():
        raise FnevrError(f"--json and --output are both '{path}'; choose two files")


def _tell(report: Report, json_file: str | None) -> None:
    """Write the report, and one line about the result for people."""
    for warning in report.warnings:
        typer.echo(f"Warning: {warning}", err=True)
    if json_file is not None:
        _write_json(json_file, report.model_dump_json(indent=2))
    typer.echo(
        f"{report.output}: {report.frames} frames of {report.width} x {report.height} in "
        f"{report.seconds:.1f} s ({report.frames_per_second:.1f} frames per second)",
        err=True,
    )


def _write_json(target: str, text: str) -> None:
    if target == "-":
        typer.echo(text)
        return
    from fnevr.media.files import atomic_path

    with atomic_path(target) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
