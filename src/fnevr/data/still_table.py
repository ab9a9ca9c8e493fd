"""Stills: a table beside a folder of portraits, framed as the training clips are.

The folder holds ``stills.tsv`` (columns name, split, identity, ...) and ``stills/NAME``, square
pictures. Pictures of one identity are of one sitting, as a neutral face and a smiling one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from fnevr.data.cropped import read_table
from fnevr.data.manifest import MAX_WEIGHT, ClipRow, Split
from fnevr.data.sources import job_name
from fnevr.errors import MediaError

TABLE = "stills.tsv"
NEEDED = ("name", "split", "identity")
FIELDS = (*NEEDED, "weight", "licence")
SPLITS: tuple[Split, ...] = ("train", "val")


@dataclass(frozen=True)
class Sitter:
    """One person's pictures.

    Attributes:
        row: what the manifest will say, but for the frames.
        pictures: the files, in the order of the table.
    """

    row: ClipRow
    pictures: tuple[Path, ...]


def read_sitters(folder: Path) -> list[Sitter]:
    """Read who is shown, in the order of the table.

    Optional columns are `weight` (how much more often than others the person is drawn) and
    `licence`; the manifest keeps the others as they are.

    Raises:
        MediaError: if the table cannot be used, or shows one person in both splits.
    """
    rows: dict[str, list[dict[str, str]]] = {}
    for row in read_table(folder, TABLE, NEEDED):
        rows.setdefault(row["identity"], []).append(row)
    return [_sitter(folder, identity, own) for identity, own in rows.items()]


def _sitter(folder: Path, identity: str, rows: list[dict[str, str]]) -> Sitter:
    """Make one person of the rows of the table that show this one."""
    first, path = rows[0], folder / TABLE
    for row in rows:
        if row["split"] not in SPLITS:
            raise MediaError(
                f"{path}: {row['name']}: split must be train or val, got {row['split']!r}"
            )
        if row["split"] != first["split"]:
            raise MediaError(
                f"{path}: {identity} is in both splits: {first['name']} and {row['name']}"
            )
    clip_row = ClipRow(
        name=job_name(Path(identity)),
        split=next(split for split in SPLITS if split == first["split"]),
        identity=identity,
        source=", ".join(row["name"] for row in rows),
        start_s=0.0,
        seconds=0.0,
        frames=len(rows),
        fps=0.0,
        crop=(0.0, 0.0, 0.0),
        face_px=0.0,
        motion=0.0,
        real_frames=len(rows),
        weight=_weight(path, first),
        licence=first.get("licence") or "",
        tags={key: value for key, value in first.items() if key and value and key not in FIELDS},
    )
    return Sitter(clip_row, tuple(folder / Path(TABLE).stem / row["name"] for row in rows))


def _weight(path: Path, row: dict[str, str]) -> float:
    text = row.get("weight") or "1"
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not 0 < weight <= MAX_WEIGHT:
        raise MediaError(
            f"{path}: {row['name']}: weight must be more than 0 and at most {MAX_WEIGHT:g}, got "
            f"{text!r}"
        )
    return weight
