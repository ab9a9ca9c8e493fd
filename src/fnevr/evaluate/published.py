"""The tables of FNeVR's paper, as data: what its authors measured, on their data, by their scripts.

Zeng et al., "FNeVR: Neural Volume Rendering for Face Animation", NeurIPS 2022, arXiv:2209.10340.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fnevr.config.presets import asset

PUBLISHED = "published.json"
NOT_MEASURED = "-"
"""Stands in tables, in rows of ours, for a number that is not there."""


@dataclass(frozen=True)
class PublishedTable:
    """One table of a paper.

    Attributes:
        title: what was measured.
        protocol: which of ours it corresponds to.
        columns: names of ours, in the paper's order.
        rows: by model, a number per column; None where the paper has none.
        note: what to know before comparing.
        data_set: what it was measured on, "VoxCeleb" or "VoxCeleb2"; "" for costs.
    """

    title: str
    protocol: str
    columns: list[str]
    rows: dict[str, list[float | None]]
    note: str = ""
    data_set: str = ""


def published_tables(protocol: str | None = None) -> list[PublishedTable]:
    """Return the published tables of a protocol of ours, or of "complexity"; None takes all."""
    tables = [PublishedTable(**table) for table in _published()["tables"]]
    return [table for table in tables if protocol in (None, table.protocol)]


def published_source() -> str:
    """Return the paper that the tables are of."""
    return str(_published()["source"])


def _published() -> dict[str, Any]:
    return json.loads(asset(PUBLISHED).read_text(encoding="utf-8"))


def rows_beside(
    table: PublishedTable, ours: Mapping[str, list[str]]
) -> list[tuple[str, list[str]]]:
    """Set what was measured here beside what was published: a system's two rows stand together.

    Args:
        table: the published one.
        ours: by model, a text per column of the table; models that the table does not have come
            last.

    Returns:
        Rows of a name and a text per column; the names of ours end with "(here)".
    """
    rows = []
    for name, numbers in table.rows.items():
        rows.append((name, ["" if number is None else str(number) for number in numbers]))
        if name in ours:
            rows.append((f"{name} (here)", ours[name]))
    return rows + [
        (f"{name} (here)", numbers) for name, numbers in ours.items() if name not in table.rows
    ]
