"""Photographs to a prepared folder of stills: each with views that a model draws of it; resumable.

A still is stored as a clip is: first the photographs of one person, then the views. Training takes
a photograph as the driving picture and mostly a view as its source (see `fnevr.data.pairs`).

Besides the manifest and the clips, the folder holds ``stills/NAME.json`` for every finished person,
and ``settings.json``. People whose pictures could not be used are tried again by the next run.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fnevr.animation.still_views import Motion, draw_views
from fnevr.config.presets import DEFAULT, resolve_model
from fnevr.config.stages import AS_TEXT, FrozenConfig, Many, PathText
from fnevr.data.clips import load_clips, to_signed
from fnevr.data.manifest import ClipRow, clip_path, write_manifest
from fnevr.data.prepare import open_folder
from fnevr.data.settings import SIZE
from fnevr.data.still_table import Sitter, read_sitters
from fnevr.data.store import encode_frame, write_clip
from fnevr.errors import FaceError, FnevrError, MediaError, counted
from fnevr.faces.detector import FaceDetector
from fnevr.faces.find import find_face
from fnevr.faces.landmarks import FaceMesh
from fnevr.media.files import atomic_path
from fnevr.media.image import Picture, read_image
from fnevr.media.resize import resize
from fnevr.progress import Progress
from fnevr.runtime.engine import Engine
from fnevr.runtime.load import load_engine

RECORDS = "stills"
NO_VIEWS = "no view of it could be used"


class StillSettings(FrozenConfig):
    """How stills are prepared. A prepared folder remembers its own; they cannot change later."""

    motion: PathText
    """The prepared folder whose training clips drive the views."""

    views: Many = 4
    """Views that are drawn of each photograph."""

    model: PathText = DEFAULT
    """What draws them: a preset or a model folder."""


class StillRecord(FrozenConfig):
    """What came of one person."""

    pictures: dict[str, int]
    """Size of each picture's file in bytes; with others the person is done anew."""

    row: ClipRow
    """The still."""

    dropped: dict[str, int]
    """Why views were left out, and how often."""


class StillReport(BaseModel):
    """What a preparation of stills did."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    output: Annotated[Path, AS_TEXT]
    """The prepared folder."""

    people: int
    """How many the table names."""

    done_before: int = 0
    """How many of them were finished by an earlier run."""

    stills: dict[str, int] = Field(default_factory=dict)
    """Stills in the manifest, by split."""

    photographs: int = 0
    """Photographs that they show."""

    views: int = 0
    """Views that were drawn of these."""

    dropped: dict[str, int] = Field(default_factory=dict)
    """Why views were left out, and how often."""

    skipped: dict[str, str] = Field(default_factory=dict)
    """People whose pictures could not be used, and why."""

    def lines(self) -> list[str]:
        """Tell it to people."""
        texts = [f"Warning: skipped {name}: {why}" for name, why in self.skipped.items()]
        if self.dropped:
            reasons = (f"{count} {reason}" for reason, count in self.dropped.items())
            texts.append(f"left out: {', '.join(reasons)}")
        train, val = self.stills.get("train", 0), self.stills.get("val", 0)
        texts.append(
            f"{self.output}: {counted(train + val, 'still')} ({train} train, {val} val), "
            f"{counted(self.photographs, 'photograph')} and {counted(self.views, 'view')}"
        )
        return texts


class _Frames(NamedTuple):
    """One still on its way: photographs, then views; what was left out of these."""

    pictures: list[Picture]
    landmarks: list[Float[np.ndarray, "478 2"]]
    dropped: Counter[str]


class _Tools(NamedTuple):
    """What all stills are made with."""

    engine: Engine
    motions: list[Motion]
    detector: FaceDetector
    mesh: FaceMesh


def prepare_stills(
    stills: Path, out: Path, settings: StillSettings, *, progress: Progress = lambda *_: None
) -> StillReport:
    """Draw views of photographs, and store both; run it again to go on where it was stopped.

    What is drawn of a person depends on nothing but the pictures and the settings.

    Args:
        stills: a folder with ``stills.tsv`` and ``stills/``: see `fnevr.data.still_table`.
        out: the prepared folder, made if it does not exist; one of its own.
        settings: how.
        progress: called with the stage, the people done and their number.

    Returns:
        What was done. People whose pictures cannot be used are listed there, and stop nobody.

    Raises:
        FnevrError: if the table, the model or the motion cannot be used, or the folder was prepared
            with other settings.
    """
    sitters = read_sitters(stills)
    tools = _load(settings)
    open_folder(out, settings, RECORDS)
    finished = {sitter.row.name: _finished(out, sitter) for sitter in sitters}
    records = {name: record for name, record in finished.items() if record is not None}
    report = StillReport(output=out, people=len(sitters), done_before=len(records))
    progress(RECORDS, len(records), len(sitters))
    try:
        todo = [sitter for sitter in sitters if sitter.row.name not in records]
        for number, sitter in enumerate(todo, start=len(records) + 1):
            try:
                frames = _draw_still(sitter, settings.views, tools)
            except FnevrError as error:
                report.skipped[sitter.row.source] = str(error)
            else:
                records[sitter.row.name] = _write_still(sitter, out, frames)
            progress(RECORDS, number, len(sitters))
    finally:
        names = [sitter.row.name for sitter in sitters]
        write_manifest(out, [records[name].row for name in names if name in records])
    return _count(report, records)


def _load(settings: StillSettings) -> _Tools:
    """Load the model and measure the motion.

    Raises:
        FnevrError: if one of them cannot be used.
    """
    engine = load_engine(resolve_model(settings.model), name=settings.model)
    if engine.config.image_size != SIZE:
        raise FnevrError(
            f"'{settings.model}' draws pictures of {engine.config.image_size} pixels, prepared "
            f"ones have {SIZE}: take another model",
            argument="model",
        )
    clips = [clip for clip in load_clips(Path(settings.motion), "train") if len(clip.tracked)]
    for clip in clips:
        if clip.frames[0].shape[0] != SIZE:
            raise MediaError(
                f"the clips of '{settings.motion}' are not {SIZE} pixels wide: prepare them again"
            )
    if not clips:
        raise FnevrError(f"no clip of '{settings.motion}' shows a face", argument="motion")
    motions = [Motion.of_clip(clip) for clip in clips]
    return _Tools(engine, motions, FaceDetector(1), FaceMesh(1))


def _draw_still(sitter: Sitter, count: int, tools: _Tools) -> _Frames:
    """Read a person's photographs and draw views of them.

    Raises:
        FnevrError: if one of them cannot be used, or no pair would come of them.
    """
    photographs = [_read(path) for path in sitter.pictures]
    faces = [find_face(rgb, None, tools.detector, tools.mesh) for rgb in photographs]
    digest = hashlib.sha256(sitter.row.name.encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    frames = _Frames(photographs, [to_signed(face, SIZE, SIZE) for face in faces], Counter())
    for photograph, face in zip(tuple(photographs), faces, strict=True):
        views = draw_views(tools.engine, photograph, face, tools.motions, count, rng, tools.mesh)
        frames.pictures.extend(views.pictures)
        frames.landmarks.extend(views.landmarks)
        frames.dropped.update(views.dropped)
    if len(frames.pictures) < 2:
        raise FaceError(NO_VIEWS)
    return frames


def _write_still(sitter: Sitter, out: Path, frames: _Frames) -> StillRecord:
    """Store a still, and write down that it is done."""
    jpegs = [encode_frame(rgb) for rgb in frames.pictures]
    write_clip(clip_path(out, sitter.row.name), jpegs, np.stack(frames.landmarks))
    row = sitter.row.model_copy(update={"frames": len(jpegs)})
    record = StillRecord(pictures=_sizes(sitter), row=row, dropped=dict(frames.dropped))
    with atomic_path(_record_path(out, sitter)) as temporary:
        temporary.write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return record


def _read(path: Path) -> Picture:
    """Read a photograph at the side of prepared frames.

    Raises:
        MediaError: if it cannot be read, or is not square.
    """
    rgb = read_image(path)
    height, width = rgb.shape[:2]
    if height != width:
        raise MediaError(
            f"'{path}' is {width}x{height}: stills are square, framed as the clips are"
        )
    return resize(rgb, SIZE, SIZE)


def _finished(out: Path, sitter: Sitter) -> StillRecord | None:
    """Return the record of a person who is done, with what the table says now.

    None if the pictures are others than they were, or the stored still is gone.
    """
    try:
        record = StillRecord.model_validate_json(_record_path(out, sitter).read_bytes())
    except (OSError, ValidationError):
        return None
    if record.pictures != _sizes(sitter):
        return None
    row = sitter.row.model_copy(update={"frames": record.row.frames})
    is_whole = clip_path(out, row.name).is_file()
    return record.model_copy(update={"row": row}) if is_whole else None


def _sizes(sitter: Sitter) -> dict[str, int]:
    return {path.name: path.stat().st_size if path.is_file() else -1 for path in sitter.pictures}


def _record_path(out: Path, sitter: Sitter) -> Path:
    return out / RECORDS / f"{sitter.row.name}.json"


def _count(report: StillReport, records: Mapping[str, StillRecord]) -> StillReport:
    """Add up what is in the folder now."""
    rows = [record.row for record in records.values()]
    reasons = sum((Counter(record.dropped) for record in records.values()), Counter[str]())
    report.stills = dict(Counter(str(row.split) for row in rows))
    report.photographs = sum(row.real_frames or 0 for row in rows)
    report.views = sum(row.frames for row in rows) - report.photographs
    report.dropped = dict(reasons.most_common())
    return report
