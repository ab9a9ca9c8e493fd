"""Commands on clips and weights: prepare them, train, convert, export, list the models.

Parse, call one function, print. Nothing slow is imported before a command.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fnevr.commands.options import (
    INTERRUPTED,
    MAX_COUNT,
    TAKEN_UP,
    DeviceOption,
    Json,
    Model,
    NoClobber,
    answering_for_errors,
    say,
    write_json,
)
from fnevr.commands.paths import Files, Reads, Writes
from fnevr.config.engines import GraphPrecision
from fnevr.errors import FnevrError, counted

if TYPE_CHECKING:
    from fnevr.animation.prepare_stills import StillReport
    from fnevr.data.settings import PrepareReport


PreparedFolder = Annotated[
    Path, typer.Argument(metavar="OUT", help="The prepared folder; taken up if it exists.")
]


def prepare(
    videos: Annotated[
        Path, typer.Argument(metavar="IN", help="A folder of videos, with or without sub-folders.")
    ],
    out_dir: PreparedFolder,
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
    workers: Annotated[int, typer.Option("--workers", min=1, max=MAX_COUNT, help="Processes.")] = 1,
    shards: Annotated[
        Path | None,
        typer.Option("--shards", metavar="DIR", help="Also pack the clips for object stores."),
    ] = None,
    json_file: Json = None,
    no_clobber: NoClobber = False,
) -> None:
    """Turn videos into clips for training; an interrupted run goes on when it is run again."""
    files: Files = {
        "IN": Reads(videos, "a folder of videos"),
        "OUT": Writes(out_dir, "a folder", is_new=False),
        "--voxceleb": Reads(voxceleb, "a folder"),
        "--shards": Writes(shards, "a folder", is_new=False),
        "--json": Writes(json_file),
    }
    with answering_for_errors(files, TAKEN_UP, no_clobber=no_clobber):
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
        _tell(report, json_file)
        if not report.clips:
            raise FnevrError(f"no clip came out of '{videos}'; the lines above say why")
        if shards is not None:
            from fnevr.data.shards import write_shards

            with progress_bar("clips") as progress:
                write_shards(out_dir, shards, progress=progress)


def _tell(report: PrepareReport | StillReport, json_file: str | None) -> None:
    if json_file is not None:
        write_json(json_file, report.model_dump_json(indent=2))
    for line in report.lines():
        say(line, err=True)


def prepare_stills(
    stills: Annotated[
        Path, typer.Argument(metavar="IN", help="A folder with stills.tsv and stills/.")
    ],
    out_dir: PreparedFolder,
    motion: Annotated[
        Path,
        typer.Option(
            "--motion", metavar="CLIPS", help="A prepared folder; its training clips drive."
        ),
    ],
    views: Annotated[
        int, typer.Option("--views", min=1, max=MAX_COUNT, help="Views to draw of each photograph.")
    ] = 4,
    model: Model = "lite",
    json_file: Json = None,
    no_clobber: NoClobber = False,
) -> None:
    """Draw portraits with other faces and poses: more people for `train --stills`."""
    files: Files = {
        "IN": Reads(stills, "a folder"),
        "OUT": Writes(out_dir, "a folder", is_new=False),
        "--motion": Reads(motion, "clips"),
        "--model": Reads(model, "a model"),
        "--json": Writes(json_file),
    }
    with answering_for_errors(files, TAKEN_UP, no_clobber=no_clobber):
        from fnevr.animation.prepare_stills import StillSettings
        from fnevr.animation.prepare_stills import prepare_stills as prepare_pictures
        from fnevr.progress import progress_bar

        settings = StillSettings(motion=str(motion), views=views, model=model)
        with progress_bar("stills") as progress:
            report = prepare_pictures(stills, out_dir, settings, progress=progress)
        _tell(report, json_file)
        if not report.stills:
            raise FnevrError(f"no still came out of '{stills}'; the lines above say why")


def train(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A prepared folder of clips.")],
    run_dir: Annotated[
        Path, typer.Argument(metavar="RUN", help="Checkpoints and logs; taken up if it exists.")
    ],
    stills: Annotated[
        Path | None,
        typer.Option(
            "--stills", metavar="FOLDER", help="Train on stills too, from `fnevr prepare-stills`."
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            metavar="NAME|FILE",
            help="A recipe's name, or a JSON file. Default: the model's own.",
        ),
    ] = None,
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
            help="What to start anew: a preset or a config.json. Default: lite.",
        ),
    ] = None,
    minutes: Annotated[float | None, typer.Option("--minutes", help="Time budget.")] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", max=MAX_COUNT, help="Step budget.")
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option("--batch-size", max=MAX_COUNT, help="Pairs per step, over all processes."),
    ] = None,
    device: DeviceOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the recipe as it would be used, and stop.")
    ] = False,
) -> None:
    """Train a model; an interrupted run goes on when the same command is run again.

    Several processes or machines: `torchrun --nproc-per-node 2 -m fnevr train DATA RUN`.
    """
    files: Files = {
        "DATA": Reads(data, "clips"),
        "RUN": Writes(run_dir, "a folder", is_new=False),
        "--stills": Reads(stills, "clips"),
        "--init": Reads(init, "a model"),
    }
    with answering_for_errors({} if dry_run else files, TAKEN_UP, "train"):
        from fnevr.train.recipe_choice import choose_recipe, recipe_for
        from fnevr.train.recipe_table import recipe_json

        options = {"minutes": minutes, "steps": steps, "batch_size": batch_size}
        budgets = [f"{name}={value}" for name, value in options.items() if value is not None]
        name = recipe or recipe_for(init, model)
        run_recipe = choose_recipe(name, [*budgets, *(settings or [])])
        if dry_run:
            say(recipe_json(run_recipe))
            return

        from fnevr.train.interrupt import stop_on_signals
        from fnevr.train.launch import make_trainer, show_run

        with stop_on_signals() as should_stop:
            trainer = make_trainer(
                data, run_dir, run_recipe, stills=stills, init=init, model=model, device=device
            )
            is_done = show_run(trainer, should_stop)
        if trainer.is_main:
            outcome = f"stopped at step {trainer.step}; the same command goes on"
            if is_done:
                outcome = f"{run_dir / 'model'}: trained {counted(trainer.step, 'step')}"
            say(outcome, err=True)
        if not is_done:
            raise typer.Exit(INTERRUPTED)


def train_editor(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A prepared folder of clips.")],
    model: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A model's folder; gets the pose editor.")
    ],
    stride: Annotated[
        int,
        typer.Option(
            "--stride", min=1, max=MAX_COUNT, help="Learn from every n-th frame of a clip."
        ),
    ] = 8,
    steps: Annotated[
        int, typer.Option("--steps", min=1, max=MAX_COUNT, help="Of the training.")
    ] = 3000,
    seed: Annotated[int, typer.Option("--seed", help="Of the weights and of what is drawn.")] = 0,
    device: DeviceOption = None,
) -> None:
    """Train the pose editor of a model, which `edit` and `animate --yaw` need.

    `fnevr evaluate --protocol pose-editing` says how well heads then turn.
    """
    files: Files = {
        "DATA": Reads(data, "clips"),
        "FOLDER": Writes(model, "a folder", is_new=False),
    }
    with answering_for_errors(files, extra="train"):
        from fnevr.progress import progress_bar
        from fnevr.runtime.graphs import has_graphs
        from fnevr.train.pose_editor import train_editor as train_pose_editor

        with progress_bar() as progress:
            editor = train_pose_editor(
                data, model, stride=stride, steps=steps, seed=seed, device=device, progress=progress
            )
        yaw, pitch, roll = editor.response.tolist()
        say(
            f"{model}: a pose editor; drawn heads follow their keypoints by {yaw:.3f} (yaw), "
            f"{pitch:.3f} (pitch) and {roll:.3f} (roll), which it makes up for",
            err=True,
        )
        if has_graphs(model, "float32"):
            say("its graphs are of the pose editor before: `fnevr export` makes new ones", err=True)


def convert(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT", help="Another project's checkpoint: a file, or Bilayer's folder."
        ),
    ],
    out_dir: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="Gets config.json and model.safetensors."),
    ],
    depth: Annotated[
        Path | None,
        typer.Option(
            "--depth", metavar="FOLDER", help="DaGAN's depth network: encoder.pth and depth.pth."
        ),
    ] = None,
    no_clobber: NoClobber = False,
) -> None:
    """Convert a checkpoint to a folder for --model.

    Of FNeVR, FOMM, Face vid2vid, DaGAN, PIRender or Bilayer.
    """
    files: Files = {
        "CHECKPOINT": Reads(checkpoint, "a checkpoint"),
        "FOLDER": Writes(out_dir, "a folder"),
        "--depth": Reads(depth, "a folder"),
    }
    with answering_for_errors(files, no_clobber=no_clobber):
        from fnevr.compat import convert as convert_checkpoint
        from fnevr.config.folder import MADE_OF_WEIGHTS

        before = [name for name in MADE_OF_WEIGHTS if (out_dir / name).exists()]
        model = convert_checkpoint(checkpoint, out_dir, depth=depth)
        for name in before:
            if not (out_dir / name).exists():
                say(f"removed '{out_dir / name}', which was of other weights", err=True)
        num_parameters = sum(parameter.numel() for parameter in model.parameters())
        name = type(model).__name__
        say(f"{out_dir}: {name}, {num_parameters / 1e6:.3f} M parameters", err=True)


def export(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A preset (see `fnevr models`) or a folder.")
    ],
    out_dir: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The new model folder; must not exist.")
    ],
    precision: Annotated[
        GraphPrecision,
        typer.Option("--precision", help="int8 adds a decoder of eight-bit convolutions."),
    ] = "float32",
    calibration: Annotated[
        Path | None,
        typer.Option(
            "--calibration",
            metavar="CLIPS",
            help="For int8: a prepared folder, whose training clips show what to expect.",
        ),
    ] = None,
) -> None:
    """Copy a model with graphs (ONNX) for the engines onnx, openvino and tensorrt."""
    files: Files = {
        "MODEL": Reads(model, "a model"),
        "FOLDER": Writes(out_dir, "a folder"),
        "--calibration": Reads(calibration, "clips"),
    }
    with answering_for_errors(files, extra="onnx"):
        from fnevr.config.presets import resolve_model
        from fnevr.progress import progress_bar
        from fnevr.runtime.export import export as export_model
        from fnevr.runtime.quantize import LEAST_PSNR_DB

        with progress_bar() as progress:
            manifests = export_model(
                resolve_model(model), out_dir, precision, calibration, progress
            )
        for psnr_db in (manifest.psnr_db for manifest in manifests):
            if psnr_db is not None:
                remark = (
                    "" if psnr_db >= LEAST_PSNR_DB else f"; under {LEAST_PSNR_DB:g} dB it is seen"
                )
                say(f"int8 is {psnr_db:.1f} dB from float32 on held-out clips{remark}", err=True)
        say(f"{out_dir}: use it with --model {out_dir}", err=True)


def models(json_file: Json = None, no_clobber: NoClobber = False) -> None:
    """List the presets, and whether their weights are here."""
    with answering_for_errors({"--json": Writes(json_file)}, no_clobber=no_clobber):
        from fnevr.config.presets import PRESETS, is_installed

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
            write_json(json_file, json.dumps(rows, indent=2))
            return
        for row in rows:
            state = "ready" if row["installed"] else "no weights here"
            say(f"{row['name']:14} {state:16} {row['summary']}")
