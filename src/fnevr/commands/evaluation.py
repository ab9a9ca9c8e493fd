"""Commands that measure: evaluate, complexity, bench. Parse, call one function, print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from fnevr.commands.options import (
    MAX_COUNT,
    TAKEN_UP,
    AlexNet,
    ArcFace,
    DeviceOption,
    Engine,
    Every,
    Inception,
    Json,
    NoClobber,
    OpenFace,
    PrecisionOption,
    ShardOption,
    Workers,
    answering_for_errors,
    in_options,
    one_of,
    say,
    write_json,
)
from fnevr.commands.paths import Files, Reads, Writes
from fnevr.config.engines import (
    ENGINES,
    GRAPH_PRECISIONS,
    PRECISIONS,
    DeviceName,
    EngineName,
    Precision,
)
from fnevr.errors import counted

WHOLE = "when they are done, the same command without --shard writes the report"
DEFAULT_ENGINES: tuple[EngineName, ...] = ("torch", "onnx", "openvino")
DEFAULT_PRECISIONS: tuple[Precision, ...] = GRAPH_PRECISIONS


def evaluate(
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            help="Clips: a prepared folder, one with clips.tsv and clips/, or any videos framed as "
            "the models expect.",
        ),
    ],
    model: Annotated[
        list[str],
        typer.Option(
            "--model",
            metavar="[NAME=]MODEL",
            help="A preset or a folder with weights; repeatable. The others are compared with the "
            "first.",
        ),
    ],
    report: Annotated[
        Path,
        typer.Option("--report", help="Gets report.html, scores.json, scores.csv and scores/."),
    ],
    split: Annotated[
        Literal["train", "val", "all"], typer.Option("--split", help="Which clips of the data.")
    ] = "val",
    protocol: Annotated[
        Literal["same-identity", "cross-identity", "pose-editing"],
        typer.Option("--protocol", help="What is generated from what."),
    ] = "same-identity",
    pairs: Annotated[
        Path | None,
        typer.Option(
            "--pairs",
            help="For cross-identity: a CSV file with the columns source and driver. Default: one "
            "driver drawn for each clip.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of drawn pairs and of intervals.")] = 0,
    every: Every = 5,
    workers: Workers = 2,
    shard: ShardOption = "1/1",
    alexnet: AlexNet = None,
    inception: Inception = None,
    arcface: ArcFace = None,
    openface: OpenFace = None,
    device: DeviceOption = None,
    engine: Engine = "auto",
    precision: PrecisionOption = "auto",
) -> None:
    """Measure models on clips: tables, intervals, worst and median clips, in one page.

    What is interrupted goes on when the same command is run again.
    """
    files: Files = {
        "--data": Reads(data, "clips"),
        "--report": Writes(report, "a folder", is_new=False),
        "--pairs": Reads(pairs),
        "--alexnet": Reads(alexnet),
        "--inception": Reads(inception),
        "--arcface": Reads(arcface),
        "--openface": Reads(openface),
    }
    with answering_for_errors(files, TAKEN_UP, "eval"):
        from fnevr.config.shard import parse_shard
        from fnevr.evaluate.networks.available import NetworkFiles
        from fnevr.evaluate.report import PAGE, table_text, write_report
        from fnevr.evaluate.runner import EvaluationSettings, run_evaluation
        from fnevr.progress import progress_bar

        settings = EvaluationSettings(
            protocol=protocol,
            every=every,
            seed=seed,
            pairs_file=pairs,
            files=NetworkFiles(alexnet, inception, arcface, openface),
            device=device,
            engine=engine,
            precision=precision,
        )
        with progress_bar("clips") as progress:
            evaluation = run_evaluation(
                data,
                model,
                report,
                split=None if split == "all" else split,
                settings=settings,
                workers=workers,
                progress=progress,
                shard=parse_shard(shard),
            )
            summary = None if evaluation.waiting else write_report(evaluation, report, progress)
        for name, reason in evaluation.failed.items():
            say(f"Warning: left out '{name}': {in_options(reason)}", err=True)
        if summary is None:
            count = len(evaluation.waiting)
            say(f"{counted(count, 'clip')} to be scored by other shards: {WHOLE}", err=True)
            return
        say(table_text(summary))
        for name, reason in evaluation.missing.items():
            why = "; ".join(line.strip() for line in reason.splitlines())
            say(f"not measured: {name}: {in_options(why)}", err=True)
        say(f"{report / PAGE}", err=True)


def complexity(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help="A preset, a folder, or a model's configuration (.json); repeatable. Default: all "
            "presets.",
        ),
    ] = None,
    repeats: Annotated[
        int,
        typer.Option(
            "--repeats", min=0, max=MAX_COUNT, help="Timed frames per model; 0 times none."
        ),
    ] = 3,
    device: Annotated[DeviceName, typer.Option("--device", help="For timed frames.")] = "cpu",
    json_file: Json = None,
    no_clobber: NoClobber = False,
) -> None:
    """Count parameters and multiply-adds, time a frame, and set the paper's figures beside.

    Weights are not needed.
    """
    with answering_for_errors({"--json": Writes(json_file)}, no_clobber=no_clobber):
        from dataclasses import asdict

        from fnevr.cost.complexity import NAMES, complexity_table, measure_complexity
        from fnevr.runtime.load import check_device

        where = check_device(device)
        rows = [measure_complexity(name, repeats=repeats, device=where) for name in model or NAMES]
        if json_file is None:
            say(complexity_table(rows))
            return
        write_json(json_file, json.dumps([asdict(row) for row in rows], indent=2))


def bench(
    model: Annotated[
        str, typer.Option("--model", help="A preset or folder; weights are not needed.")
    ] = "lite",
    engine: Annotated[
        list[str] | None,
        typer.Option(
            "--engine",
            metavar="|".join(ENGINES),
            parser=one_of(ENGINES),
            help=f"Repeatable. Default: {', '.join(DEFAULT_ENGINES)}.",
        ),
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(
            "--precision",
            metavar="|".join(PRECISIONS),
            parser=one_of(PRECISIONS),
            help=f"Repeatable. Default: {', '.join(DEFAULT_PRECISIONS)}.",
        ),
    ] = None,
    batch: Annotated[
        list[int] | None,
        typer.Option(
            "--batch", min=1, max=MAX_COUNT, help="Frames per call; repeatable. Default: 1."
        ),
    ] = None,
    repeats: Annotated[
        int, typer.Option("--repeats", min=1, max=MAX_COUNT, help="Rounds; medians count.")
    ] = 7,
    device: DeviceOption = None,
    json_file: Json = None,
    no_clobber: NoClobber = False,
) -> None:
    """Time a model on the engines that are here, against the plain loop and the machine's limits.

    Run it on an idle machine. OMP_NUM_THREADS says how many threads all engines use.
    """
    with answering_for_errors({"--json": Writes(json_file)}, no_clobber=no_clobber):
        from fnevr.cost.bench import bench as run_bench
        from fnevr.cost.bench import bench_table, default_device
        from fnevr.progress import progress_bar
        from fnevr.runtime.load import check_device

        where = check_device(device or default_device())
        with progress_bar("rounds") as progress:
            result = run_bench(
                model,
                [name for name in ENGINES if name in (engine or DEFAULT_ENGINES)],
                [name for name in PRECISIONS if name in (precision or DEFAULT_PRECISIONS)],
                batch or (1,),
                where,
                repeats,
                progress,
            )
        if json_file is not None:
            write_json(json_file, json.dumps(result.as_dict(), indent=2))
        if json_file != "-":
            say(in_options(bench_table(result)))
