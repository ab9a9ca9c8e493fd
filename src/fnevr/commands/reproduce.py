"""`fnevr reproduce`: published results repeated. Parse, call one function, print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fnevr.commands.options import (
    MAX_COUNT,
    TAKEN_UP,
    AlexNet,
    ArcFace,
    DeviceOption,
    Every,
    Inception,
    OpenFace,
    ShardOption,
    Workers,
    answering_for_errors,
    in_options,
    say,
)
from fnevr.commands.paths import Files, Reads, Writes


def paper(
    voxceleb: Annotated[
        Path,
        typer.Option(
            "--voxceleb",
            metavar="DIR",
            help="VoxCeleb, VoxCeleb2 or both: text files with their videos, videos of faces, or "
            "clips of FOMM's preprocessing.",
        ),
    ],
    checkpoints: Annotated[
        Path,
        typer.Option(
            "--checkpoints",
            metavar="DIR",
            help="Checkpoints of the paper's systems, those that you have, whatever they are "
            "called.",
        ),
    ],
    report: Annotated[
        Path,
        typer.Option(
            "--report", metavar="OUT", help="Gets report.html, tables.json and all that led to it."
        ),
    ],
    utterances: Annotated[
        int,
        typer.Option(
            "--utterances", max=MAX_COUNT, help="Test on so many of each data set at most."
        ),
    ] = 525,
    seed: Annotated[
        int, typer.Option("--seed", help="Of drawn utterances, pairs and intervals.")
    ] = 0,
    every: Every = 5,
    workers: Workers = 2,
    shard: ShardOption = "1/1",
    alexnet: AlexNet = None,
    inception: Inception = None,
    arcface: ArcFace = None,
    openface: OpenFace = None,
    device: DeviceOption = None,
) -> None:
    """Measure the tables of FNeVR's paper anew, beside the published ones.

    What is interrupted goes on when the same command is run again.
    """
    files: Files = {
        "--voxceleb": Reads(voxceleb, "a folder"),
        "--checkpoints": Reads(checkpoints, "a folder"),
        "--report": Writes(report, "a folder", is_new=False),
        "--alexnet": Reads(alexnet),
        "--inception": Reads(inception),
        "--arcface": Reads(arcface),
        "--openface": Reads(openface),
    }
    with answering_for_errors(files, TAKEN_UP, "eval"):
        from fnevr.config.shard import parse_shard
        from fnevr.evaluate.networks.available import NetworkFiles
        from fnevr.evaluate.report import PAGE
        from fnevr.evaluate.runner import EvaluationSettings
        from fnevr.progress import progress_bar
        from fnevr.reproduce.paper import PaperSettings, reproduce_paper
        from fnevr.reproduce.report import paper_text, state_of, write_paper_report

        settings = PaperSettings(
            utterances=utterances,
            evaluation=EvaluationSettings(
                every=every,
                seed=seed,
                files=NetworkFiles(alexnet, inception, arcface, openface),
                device=device,
            ),
            workers=workers,
            shard=parse_shard(shard),
        )
        with progress_bar("done") as progress:
            for found in reproduce_paper(
                voxceleb,
                checkpoints,
                report,
                settings,
                progress=progress,
                tell=lambda text: say(in_options(text), err=True),
            ):
                tables = write_paper_report(found, report, in_options)
        say(in_options(paper_text(tables)))
        say(state_of(found), err=True)
        say(f"{report / PAGE}", err=True)
