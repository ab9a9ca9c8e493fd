"""The paper's tables with what was measured here beside them, as text, JSON and one page."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fnevr.data.voxceleb_draw import TABLES, Kind
from fnevr.errors import counted, printable
from fnevr.evaluate.columns import BY_NAME, Column
from fnevr.evaluate.page import render
from fnevr.evaluate.published import (
    NOT_MEASURED,
    PublishedTable,
    published_source,
    published_tables,
    rows_beside,
)
from fnevr.evaluate.report import PAGE, PROTOCOLS, aligned_text, measured_texts
from fnevr.media.files import atomic_path, make_folder
from fnevr.reproduce.costs import COST_COLUMNS, cost_texts, timed_on
from fnevr.reproduce.paper import EVALUATIONS, NOT_YET, Measured, Reproduction, one_line, title_of
from fnevr.reproduce.systems import NAMES
from fnevr.versions import versions

TABLES_FILE = "tables.json"
WHAT_TO_BRING = {
    "DaGAN": "its file, and the folder with encoder.pth and depth.pth of its depth network",
    "Bilayer": "the folder with its files EPOCH_identity_embedder.pth and so on",
}
KINDS: dict[Kind, str] = {
    "list": "cut out of whole videos by VoxCeleb's text files, framed as `fnevr prepare` frames "
    "them: not quite FOMM's crop, which the paper's systems are trained and measured on",
    "face video": "cut out of VoxCeleb's videos of faces, framed as `fnevr prepare` frames them: "
    "not quite FOMM's crop, which the paper's systems are trained and measured on",
    "cut clip": "cut out by FOMM's preprocessing, taken as they are",
}
HERE_AND_THERE = (
    "The published rows are of their authors, on their clips, by their scripts. Rows marked "
    "(here) compare with each other; with a published row only as far as clips and networks are "
    "the same. FID depends on how many pictures there are.",
    "Bilayer draws a person on black, and is compared with the whole frame all the same.",
    "PIRender is driven by coefficients of this package's own head model in the place of Deep3D's, "
    "which cannot be had freely: its expressions are not the authors'.",
)


@dataclass(frozen=True)
class Table:
    """One of the paper's tables, with rows of ours.

    Attributes:
        title: what was measured.
        columns: what each number is.
        rows: a name, which ends with "(here)" for ours, and a text per column.
        note: what to know before comparing.
        measured: what ours were measured on; or why there are none.
        page: the page of the evaluation, relative to the report; "" without one.
    """

    title: str
    columns: list[Column]
    rows: list[tuple[str, list[str]]]
    note: str
    measured: str
    page: str = ""


def write_paper_report(
    reproduction: Reproduction, out: Path, reword: Callable[[str], str] = str
) -> list[Table]:
    """Write `report.html` and `tables.json`, and return the tables.

    Args:
        reproduction: what was measured.
        out: the folder.
        reword: writes arguments that remedies name, such as `alexnet=FILE`, as the reader knows
            them.

    Raises:
        FnevrError: if an extra is missing, or a file cannot be written.
    """
    tables = [make_table(table, reproduction) for table in published_tables()]
    problems = [(what, reword(remedy)) for what, remedy in list_problems(reproduction)]
    texts = {
        TABLES_FILE: _json(tables, problems, reproduction),
        PAGE: render(
            "paper.html.j2",
            title="FNeVR's tables, measured here",
            source=published_source(),
            state=state_of(reproduction),
            tables=tables,
            problems=problems,
            methods=_methods(reproduction),
            columns={column.label: column.about for table in tables for column in table.columns},
            versions=", ".join(f"{name} {version}" for name, version in versions().items()),
        ),
    }
    make_folder(out)
    for name, text in texts.items():
        with atomic_path(out / name) as temporary:
            temporary.write_text(printable(text), encoding="utf-8")
    return tables


def paper_text(tables: list[Table]) -> str:
    """Return all tables for a terminal."""
    parts = []
    for table in tables:
        rows = [["", *(column.label for column in table.columns)]]
        rows += [[name, *texts] for name, texts in table.rows]
        parts.append(f"{table.title}\n{aligned_text(rows)}\n({table.measured})")
    return "\n\n".join(parts)


def state_of(reproduction: Reproduction) -> str:
    """Say in a sentence whether all is done."""
    if reproduction.is_under_way:
        return "Under way; if it was interrupted, the same command goes on from here."
    count, shard = reproduction.num_waiting, reproduction.settings.shard
    if count:
        return (
            f"Not complete: {counted(count, 'pair')} left to other shards (this was "
            f"{shard.number}/{shard.count}). When they are done, the same command without a shard "
            "writes the tables."
        )
    names = ", ".join(reproduction.missing)
    for_want = f" Not measured, for want of a network ({NOT_MEASURED}): {names}." if names else ""
    return f"All that can be measured with what is here has been measured.{for_want}"


def make_table(table: PublishedTable, reproduction: Reproduction) -> Table:
    """Set what was measured below the published rows of each system."""
    if table.protocol == "complexity":
        rows = rows_beside(table, cost_texts(reproduction.costs))
        device = reproduction.settings.evaluation.device
        measured = f"here: frames per second of {timed_on(device)}, PyTorch, float32"
        return Table(table.title, list(COST_COLUMNS), rows, table.note, measured)
    columns = [BY_NAME[name] for name in table.columns]
    key = next(key for key in EVALUATIONS if key == (table.data_set, table.protocol))
    one = reproduction.measured.get(key)
    if one is None:
        reason = one_line(reproduction.not_measured[key])
        why = reason if reason == NOT_YET else f"not measured here: {reason}"
        return Table(table.title, columns, rows_beside(table, {}), table.note, why)
    if one.summary is None:
        return Table(table.title, columns, rows_beside(table, {}), table.note, _what_on(one))
    rows = rows_beside(table, measured_texts(table, one.summary))
    page = f"{one.folder}/{PAGE}"
    return Table(table.title, columns, rows, table.note, _what_on(one), page)


def list_problems(reproduction: Reproduction) -> list[tuple[str, str]]:
    """Say what is not measured, and what to do about it."""
    there = {system.name for system in reproduction.systems.found}
    problems = [
        (
            name,
            f"no checkpoint of it that can be used in '{reproduction.checkpoints}': put there "
            f"{WHAT_TO_BRING.get(name, 'its file, whatever it is called')}, and run the same "
            "command again",
        )
        for name in NAMES
        if name not in there
    ]
    problems += [
        (name, f"not used: {one_line(why).removeprefix(f'{name}: ')}")
        for name, why in reproduction.systems.unusable.items()
    ]
    problems += [(name, one_line(reason)) for name, reason in reproduction.missing.items()]
    problems += [
        (title_of(*key), one_line(reason)) for key, reason in reproduction.not_measured.items()
    ]
    problems += _footage(reproduction)
    for key, one in reproduction.measured.items():
        failed = one.evaluation.failed
        if failed:
            name, reason = next(iter(failed.items()))
            problems.append(
                (
                    f"{title_of(*key)}: {counted(len(failed), 'pair')} left out",
                    f"of all systems, so that they are measured on the same; '{name}': "
                    f"{one_line(reason)}",
                )
            )
    return problems


def _footage(reproduction: Reproduction) -> list[tuple[str, str]]:
    problems = []
    wanted = reproduction.settings.utterances
    for data_set, test_set in reproduction.test_sets.items():
        report, num_drawn = reproduction.prepared[data_set], len(test_set.utterances)
        if num_drawn < wanted:
            problems.append(
                (
                    f"{data_set}: {counted(num_drawn, 'utterance')}, not {wanted}",
                    "all that are here are tested on; means of few clips are uncertain (each "
                    "evaluation's page has the intervals), and FID grows when pictures are few",
                )
            )
        if test_set.num_without_video:
            problems.append(
                (
                    f"{data_set}: {counted(test_set.num_without_video, 'utterance')} without video",
                    "text files name videos that are not there; the draw passes them over",
                )
            )
        if not test_set.are_people_known:
            problems.append(
                (
                    f"{data_set}: who is tested on",
                    f"nobody says who the test people are, so all are: put {TABLES[data_set]} "
                    "beside the videos, from VoxCeleb's site, and run the same command again",
                )
            )
        problems += [(name, f"not used: {why}") for name, why in report.unreadable.items()]
        if report.rejected:
            reasons = ", ".join(f"{count} x {why}" for why, count in report.rejected.items())
            problems.append((f"{data_set}: footage left out", reasons))
    return problems


def _what_on(one: Measured) -> str:
    evaluation = one.evaluation
    unit = "clip" if evaluation.settings.protocol == "same-identity" else "pair"
    people = counted(one.num_people, "person", "people")
    if one.summary is None:
        num_all = len(evaluation.pairs) + len(evaluation.waiting)
        return f"here: not complete, {len(evaluation.pairs)} of {counted(num_all, unit)} scored"
    num_pictures = sum(len(real.features.get("fid", ())) for real in evaluation.real.values())
    fid = f"; FID of {counted(num_pictures, 'real picture')}" if num_pictures else ""
    return f"here: {counted(len(evaluation.pairs), unit)} of {people}{fid}"


def _methods(reproduction: Reproduction) -> list[str]:
    lines = []
    for data_set, test_set in reproduction.test_sets.items():
        drawn = test_set.utterances
        people = {one.identity for one in drawn}
        kinds = "; ".join(KINDS[kind] for kind in sorted(test_set.kinds))
        lines.append(
            f"{data_set}: {counted(len(drawn), 'utterance')} of "
            f"{counted(len(people), 'person', 'people')}, of {test_set.num_found} that are here, "
            f"drawn with seed {reproduction.settings.evaluation.seed}; "
            f"{counted(sum(reproduction.prepared[data_set].clips.values()), 'clip')}, {kinds}."
        )
    lines += [PROTOCOLS[name] for name in ("same-identity", "cross-identity")]
    every = reproduction.settings.evaluation.every
    lines.append(
        f"AKD, AED, CSIM, LPIPS and FID look at one frame in {every}, all others at every frame."
    )
    origins = (f"{one.name} from '{one.origin}'" for one in reproduction.systems.found)
    lines.append(f"Systems: {', '.join(origins)}.")
    return [*lines, *HERE_AND_THERE]


def _value(text: str) -> float | None:
    return None if text in {"", NOT_MEASURED} else float(text)


def _json(tables: list[Table], problems: list[tuple[str, str]], reproduction: Reproduction) -> str:
    page = {
        "source": published_source(),
        "is_complete": not (reproduction.is_under_way or reproduction.num_waiting),
        "tables": [
            {
                "title": table.title,
                "measured": table.measured,
                "columns": [column.name for column in table.columns],
                "rows": [
                    {"name": name, "values": [_value(text) for text in texts]}
                    for name, texts in table.rows
                ],
            }
            for table in tables
        ],
        "not_measured": dict(problems),
        "versions": versions(),
    }
    return json.dumps(page, indent=1) + "\n"
