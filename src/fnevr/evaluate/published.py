"""The tables of FNeVR's paper, as data: what its authors measured, on their data, by their scripts.

Zeng et al., "FNeVR: Neural Volume Rendering for Face Animation", NeurIPS 2022, arXiv:2209.10340.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from fnevr.config.presets import asset

PUBLISHED = "published.json"


@dataclass(frozen=True)
class PublishedTable:
    """One table of a paper.

    Attributes:
        title: what was measured.
        protocol: which of ours it corresponds to.
        columns: names of ours, in the paper's order.
        rows: by model, a number per column; None where the paper has none.
        note: what to know before comparing.
    """

    title: str
    protocol: str
    columns: list[str]
    rows: dict[str, list[float | None]]
    note: str = ""


def published_tables(protocol: str) -> list[PublishedTable]:
    """Return the published tables of a protocol of ours, or of "complexity"."""
    tables = json.loads(asset(PUBLISHED).read_text(encoding="utf-8"))["tables"]
    return [PublishedTable(**table) for table in tables if table["protocol"] == protocol]
