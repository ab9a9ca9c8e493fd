"""An evaluation as files: a page to look at, JSON and CSV to go on with.

The page is one file: tables, frames and plots are inside it.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from fnevr.errors import printable
from fnevr.evaluate.clips import find_clips
from fnevr.evaluate.columns import BY_NAME, Better, Column
from fnevr.evaluate.page import render
from fnevr.evaluate.plots import scores_over_time, sheet, to_jpeg_base64
from fnevr.evaluate.published import (
    NOT_MEASURED,
    PublishedTable,
    published_source,
    published_tables,
    rows_beside,
)
from fnevr.evaluate.runner import STILL, Evaluation
from fnevr.evaluate.summary import Cell, Summary, summarize_evaluation
from fnevr.media.files import atomic_path, make_folder
from fnevr.progress import Progress
from fnevr.versions import versions

PAGE, SCORES, TABLE = "report.html", "scores.json", "scores.csv"
STAGE = "drawing frames for the report"
NUM_WORST, NUM_MEDIAN = 3, 2
LEGENDS = (
    "In each sheet the first row is the driver (the source at its left), then one row per model.",
    "In each sheet the first row is the source and the turns that were asked for, in degrees, then "
    "one row per model.",
)
MERIT: dict[Better, Callable[[float], float]] = {
    "higher": lambda value: value,
    "lower": lambda value: -value,
    "nearer to 1": lambda value: -abs(value - 1),
}
PROTOCOLS = {
    "same-identity": "Same-identity reconstruction: frame 0 of each clip is the source, its later "
    "frames are driven by absolute motion and scored before any video encoding; mean over frames, "
    "then over clips. Frame 0 itself is not scored: it is the source.",
    "cross-identity": "Cross-identity reenactment: frame 0 of each source clip is driven by "
    "another person's clip: retargeted by models that can, by others with relative motion from "
    "that clip's frame 0; models that are driven by coefficients or landmarks take them as they "
    "are. There is no truth to compare with: identity is compared with the source picture, Fréchet "
    "features with the real frames of the source's clip, pose and openings with the driver.",
    "pose-editing": "Pose editing: the head in frame 0 of each clip is turned about one axis at a "
    "time, by yaw of 10, 20 and 30 and by pitch and roll of 10 and 20 degrees to either side. The "
    "turn is measured between source and output; identity is compared with the source. Repeating "
    "the source (still) errs by the angle that was asked for.",
}


def write_report(
    evaluation: Evaluation,
    out: Path,
    progress: Progress = lambda *_: None,
    data_set: str | None = None,
) -> Summary:
    """Write `report.html`, `scores.json` and `scores.csv`; those of the same scores stay.

    Args:
        evaluation: all scores.
        out: the folder.
        progress: is told after every clip whose frames are drawn anew, by all models.
        data_set: what the clips are of, as published tables call it; the page shows its tables
            alone. None shows those of all.

    Raises:
        FnevrError: if an extra is missing, or a file cannot be written.
    """
    summary = summarize_evaluation(evaluation)
    make_folder(out)
    scores = printable(_json(evaluation, summary))
    if _says(out / SCORES, scores) and (out / PAGE).is_file() and (out / TABLE).is_file():
        return summary  # drawing all models anew takes minutes
    # The scores come last: they stand for all three.
    published = [
        _beside(table, summary)
        for table in published_tables(evaluation.settings.protocol)
        if data_set in (None, table.data_set)
    ]
    page = _page(evaluation, summary, published, progress)
    texts = {TABLE: _csv(evaluation, summary), PAGE: page, SCORES: scores}
    for name, text in texts.items():
        with atomic_path(out / name) as temporary:
            temporary.write_text(printable(text), encoding="utf-8")
    return summary


def _says(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="utf-8") == text
    except (OSError, UnicodeDecodeError):
        return False


def table_text(summary: Summary) -> str:
    """Return the table of models for a terminal."""
    rows = [["", *(column.label for column in summary.columns)]]
    for name, cells in summary.cells.items():
        numbers = (_number(cells[column.name].mean, column) for column in summary.columns)
        rows.append([name, *numbers])
    return aligned_text(rows)


def aligned_text(rows: list[list[str]]) -> str:
    """Return a table for a terminal: the first column stands at the left, others at the right."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _json(evaluation: Evaluation, summary: Summary) -> str:
    pairs = [pair.name for pair in evaluation.pairs]
    settings = asdict(evaluation.settings)
    page = {
        "data": str(evaluation.data),
        "split": evaluation.split,
        "settings": {key: value for key, value in settings.items() if key != "files"},
        "networks": {key: str(value) for key, value in settings["files"].items() if value},
        "missing": evaluation.missing,
        "left_out": evaluation.failed,
        "versions": versions(),
        "columns": [asdict(column) for column in summary.columns],
        "compared_with": summary.first,
        "models": [
            {
                "name": model.name,
                "weights_sha256": None if model.folder is None else model.key,
                "cells": {
                    name: {key: _finite(value) for key, value in asdict(cell).items()}
                    for name, cell in summary.cells[model.name].items()
                },
                "clips": {
                    pair: {
                        name: _finite(values[index])
                        for name, values in summary.clips[model.name].items()
                    }
                    for index, pair in enumerate(pairs)
                },
            }
            for model in evaluation.models
        ],
    }
    return json.dumps(page, indent=1, default=str, allow_nan=False) + "\n"


def _csv(evaluation: Evaluation, summary: Summary) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    names = list(summary.clips[summary.first])
    writer.writerow(["clip", "source", "driver", "model", *names])
    for index, pair in enumerate(evaluation.pairs):
        for model in evaluation.models:
            values = (summary.clips[model.name][name][index] for name in names)
            cells = ("" if math.isnan(value) else f"{value:.8g}" for value in values)
            writer.writerow([pair.name, pair.source, pair.driver, model.name, *cells])
    return buffer.getvalue()


def _page(
    evaluation: Evaluation,
    summary: Summary,
    published: list[dict[str, object]],
    progress: Progress,
) -> str:
    is_same = evaluation.settings.protocol != "cross-identity"
    ranking = BY_NAME["psnr" if evaluation.settings.protocol == "same-identity" else "pose_error"]
    names = [model.name for model in evaluation.models if model.name != STILL]
    by_clip = [column for column in summary.columns if not column.is_distance_of_sets]
    packages = versions()
    return render(
        "report.html.j2",
        title=f"Evaluation: {', '.join(names)}",
        facts=[
            f"data {evaluation.data}",
            f"split {evaluation.split or 'all'}",
            f"{len(evaluation.pairs)} {'clips' if is_same else 'pairs'}",
            f"{evaluation.side} x {evaluation.side} pixels",
            f"seed {evaluation.settings.seed}",
        ],
        protocol=PROTOCOLS[evaluation.settings.protocol],
        columns=summary.columns,
        models=[_row(summary, model.name) for model in evaluation.models],
        num_clips=len(evaluation.pairs),
        unit="clips" if is_same else "pairs",
        first=summary.first,
        published=published,
        published_source=published_source(),
        ranking=f"{ranking.label} of {summary.first}",
        sheet_legend=LEGENDS[evaluation.settings.protocol == "pose-editing"],
        clips=_shown(evaluation, summary, ranking, progress),
        clip_columns=by_clip,
        by_clip=[
            {
                "clip": pair.name,
                "model": model.name,
                "numbers": [
                    _number(summary.clips[model.name][column.name][index], column)
                    for column in by_clip
                ],
            }
            for index, pair in enumerate(evaluation.pairs)
            for model in evaluation.models
        ],
        every=evaluation.settings.every,
        missing=evaluation.missing,
        failed=evaluation.failed,
        versions=", ".join(f"{name} {version}" for name, version in packages.items()),
    )


def _beside(table: PublishedTable, summary: Summary) -> dict[str, object]:
    rows = rows_beside(table, measured_texts(table, summary))
    columns = [BY_NAME[name] for name in table.columns]
    return {"title": table.title, "columns": columns, "rows": rows, "note": table.note}


def measured_texts(table: PublishedTable, summary: Summary) -> dict[str, list[str]]:
    """Return by model, repeating the source last, what was measured in a table's columns.

    What was not measured is `NOT_MEASURED`.
    """
    columns = [BY_NAME[name] for name in table.columns]

    def text(cells: dict[str, Cell], column: Column) -> str:
        number = _number(cells[column.name].mean, column) if column.name in cells else ""
        return number or NOT_MEASURED

    return {
        name: [text(summary.cells[name], column) for column in columns]
        for name in sorted(summary.cells, key=STILL.__eq__)
    }


def _row(summary: Summary, name: str) -> dict[str, object]:
    cells = []
    for column in summary.columns:
        cell = summary.cells[name][column.name]
        others = [row[column.name].mean for other, row in summary.cells.items() if other != STILL]
        best = max(others, key=MERIT[column.better])
        is_best = name != STILL and len(others) > 1 and cell.mean == best
        cells.append(
            {
                "text": _number(cell.mean, column),
                "interval": _interval(cell, column),
                "p": _p_value(cell),
                "is_best": is_best,
            }
        )
    return {"name": name, "cells": cells}


def _shown(
    evaluation: Evaluation, summary: Summary, ranking: Column, progress: Progress
) -> list[dict[str, str]]:
    """Choose the first model's worst and median clips, and draw them."""
    values = np.array(summary.clips[summary.first][ranking.name])
    worst_first = values if ranking.better == "higher" else -values
    order = np.argsort(np.where(np.isnan(worst_first), -np.inf, worst_first))
    middle = max((len(order) - NUM_MEDIAN) // 2, 0)
    choices = [("worst", index) for index in order[:NUM_WORST]]
    median = order[middle : middle + NUM_MEDIAN]
    choices += [("median", index) for index in median if index not in order[:NUM_WORST]]
    clips = {clip.name: clip for clip in find_clips(evaluation.data, evaluation.split)}
    sections: list[dict[str, str]] = []
    for kind, index in choices:
        progress(STAGE, len(sections), len(choices))
        pair = evaluation.pairs[index]
        source = clips[pair.source].load(evaluation.side)
        is_same = pair.source == pair.driver
        driver = source if is_same else clips[pair.driver].load(evaluation.side)
        value = _number(float(values[index]), ranking) or "unknown"
        sections.append(
            {
                "title": f"{pair.name} ({kind}: {value})",
                "sheet": to_jpeg_base64(sheet(evaluation, source, driver)),
                "plot": scores_over_time(evaluation, pair.name),
            }
        )
    progress(STAGE, len(sections), len(choices))
    return sections


def _interval(cell: Cell, column: Column) -> str:
    if math.isnan(cell.low):
        return ""
    return f"{_number(cell.low, column)} to {_number(cell.high, column)}"


def _p_value(cell: Cell) -> str:
    if math.isnan(cell.p_value):
        return ""
    return "p < 0.001" if cell.p_value < 0.001 else f"p = {cell.p_value:.3f}"


def _number(value: float, column: Column) -> str:
    return "" if math.isnan(value) else f"{value:.{column.digits}f}"


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
