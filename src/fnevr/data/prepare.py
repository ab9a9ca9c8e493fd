"""Raw videos to a prepared folder: found, tracked, cut, checked, stored; resumable and parallel.

Besides the manifest and the clips, the folder holds ``videos/NAME.json`` for every finished video
(its rows, and what was left out), and ``settings.json``. A video counts as finished when its file
there exists; whatever was under way when a run was killed is done again, and overwritten.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pydantic import Field, ValidationError

from fnevr.config.shard import Shard
from fnevr.config.stages import FrozenConfig
from fnevr.data.cropped import plan_cropped, store_cropped
from fnevr.data.cutting import plan_cuts, write_cuts
from fnevr.data.manifest import CLIPS, ClipRow, clip_path, write_manifest
from fnevr.data.segments import plan_clips
from fnevr.data.settings import PrepareReport, PrepareSettings
from fnevr.data.sources import Job, check_names, plan_videos
from fnevr.data.split import assign_splits
from fnevr.data.tracking import track_spans
from fnevr.data.voxceleb import plan_voxceleb
from fnevr.errors import FnevrError, MediaError, WriteError
from fnevr.media.files import atomic_path, make_folder
from fnevr.media.leftovers import sweep
from fnevr.media.reader import VideoReader
from fnevr.media.video import open_video
from fnevr.progress import Progress
from fnevr.workers import in_workers

VIDEOS, SETTINGS = "videos", "settings.json"
NO_FACE = "no face found"


class VideoRecord(FrozenConfig):
    """What came of one video."""

    source: str
    """Its path relative to the folder of videos."""

    num_bytes: int
    """Its size; a file of another size is done anew."""

    rows: list[ClipRow] = Field(default_factory=list)
    """Its clips."""

    rejected: dict[str, int] = Field(default_factory=dict)
    """Why footage was left out, and how often."""

    damage: str | None = None
    """What went wrong where the video ends early."""


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        jobs: one per video.
        missing: videos that lists name and the folder does not have.
        unreadable: lists that cannot be read, and why.
    """

    jobs: list[Job]
    missing: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)


def prepare(
    videos: Path,
    out: Path,
    settings: PrepareSettings | None = None,
    *,
    voxceleb: Path | None = None,
    cropped: bool = False,
    workers: int = 1,
    progress: Progress = lambda *_: None,
) -> PrepareReport:
    """Turn a folder of videos into a prepared folder; run it again to go on where it was stopped.

    Args:
        videos: the folder; all its sub-folders are searched.
        out: the prepared folder, made if it does not exist; one per folder of videos.
        settings: how; None means the defaults.
        voxceleb: a folder with VoxCeleb's lists: who is where in which video.
        cropped: the videos are clips framed for training, with a table: see `fnevr.data.cropped`.
        workers: processes that share the videos.
        progress: called with the stage, the videos done and their number.

    Returns:
        What was done. Videos that cannot be read are listed there, and do not stop the others.

    Raises:
        FnevrError: if there are no videos, the lists or the table cannot be used, or the folder was
            prepared with other settings.
        WriteError: if the folder cannot be written, as when the disk is full.
    """
    settings = settings or PrepareSettings()
    plan = _plan(videos, settings, voxceleb, cropped)
    return carry_out(plan, out, settings, workers=workers, progress=progress)


def carry_out(
    plan: Plan,
    out: Path,
    settings: PrepareSettings,
    *,
    workers: int = 1,
    progress: Progress = lambda *_: None,
    shard: Shard | None = None,
) -> PrepareReport:
    """Do what is planned, as `prepare` does.

    Args:
        plan: the videos.
        out: as of `prepare`.
        settings: as of `prepare`.
        workers: as of `prepare`.
        progress: as of `prepare`.
        shard: where to begin, when several processes fill one folder: each does its own share, and
            then what no other one has finished.

    Raises:
        FnevrError: if two videos have one name, or the folder was prepared with other settings.
        WriteError: if the folder cannot be written.
    """
    if workers < 1:
        raise FnevrError(f"workers must be 1 or more, got {workers}", argument="workers")
    jobs, shard = plan.jobs, shard or Shard()
    check_names(jobs)
    open_folder(out, settings)
    records = _all_finished(out, jobs)
    report = PrepareReport(
        output=out,
        videos=len(jobs),
        done_before=len(records),
        missing=plan.missing,
        unreadable=dict(plan.unreadable),
    )
    progress("videos", len(records), len(jobs))
    try:
        own_first = sorted(range(len(jobs)), key=lambda index: not shard.takes(index))
        todo = [jobs[index] for index in own_first if jobs[index].name not in records]
        results = in_workers(partial(_try, out=out, settings=settings), todo, workers)
        for number, (job, result) in enumerate(results, start=len(records) + 1):
            if isinstance(result, VideoRecord):
                records[job.name] = result
            else:
                report.unreadable[job.source] = result
            progress("videos", number, len(jobs))
    finally:
        records = _all_finished(out, jobs)  # others may have finished some, too
        rows = [row for job in jobs if job.name in records for row in records[job.name].rows]
        rows = assign_splits(rows, settings.val_share)
        write_manifest(out, rows)
    return _count(report, rows, records.values())


def _plan(videos: Path, settings: PrepareSettings, voxceleb: Path | None, cropped: bool) -> Plan:
    if cropped and voxceleb is not None:
        raise FnevrError(
            "`cropped=True` and `voxceleb=LISTS` exclude each other: leave one of them out"
        )
    if voxceleb is not None:
        return Plan(*plan_voxceleb(videos, voxceleb))
    if cropped:
        return Plan(plan_cropped(videos, settings.licence))
    return Plan(plan_videos(videos, settings.identity))


def prepare_video(job: Job, out: Path, settings: PrepareSettings) -> VideoRecord:
    """Do one video, and write down that it is finished.

    Raises:
        MediaError: if it cannot be read; nothing is written down then.
    """
    with open_video(job.video) as video:
        if job.ready is not None:
            record = VideoRecord(
                source=job.source,
                num_bytes=_size(job),
                rows=[store_cropped(video, job, out)],
                damage=video.damage,
            )
        else:
            record = _cut_video(video, job, out, settings)
    with atomic_path(_record_path(out, job)) as temporary:
        temporary.write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return record


def _cut_video(video: VideoReader, job: Job, out: Path, settings: PrepareSettings) -> VideoRecord:
    reasons: Counter[str] = Counter()
    cuts = []
    for span, track in zip(job.spans, track_spans(video, job.spans), strict=True):
        if not track.is_found.any():
            reasons[NO_FACE] += 1
            continue
        segments, more_reasons = plan_clips(track, settings)
        reasons += more_reasons
        cuts += plan_cuts(span, track, segments, job.source, settings.licence)
    rows, more_reasons = write_cuts(video, cuts, out, settings)
    return VideoRecord(
        source=job.source,
        num_bytes=_size(job),
        rows=sorted(rows, key=lambda row: row.name),
        rejected=dict(reasons + more_reasons),
        damage=video.damage,
    )


def _try(job: Job, out: Path, settings: PrepareSettings) -> VideoRecord | str:
    """Do one video; return what is wrong with it if it cannot be read.

    Raises:
        WriteError: if the prepared folder cannot be written.
    """
    logging.getLogger("fnevr").addHandler(logging.NullHandler())
    try:
        # Another process that fills this folder may have done it since.
        return _finished(out, job) or prepare_video(job, out, settings)
    except WriteError:
        raise  # the next one could not be written either, and this one is not at fault
    except FnevrError as error:
        return str(error)
    except ValidationError as error:
        first = error.errors()[0]
        return f"it has impossible numbers: {'.'.join(map(str, first['loc']))}: {first['msg']}"


def open_folder(out: Path, settings: FrozenConfig, records: str = VIDEOS) -> None:
    """Make the folder, or check that it was begun with the same settings; sweep up after a kill.

    Args:
        out: the prepared folder.
        settings: how it is prepared; kept in the folder.
        records: name of the folder in it that says what is finished.

    Raises:
        FnevrError: if it cannot be written, or was prepared otherwise.
    """
    for folder in (out / CLIPS, out / records):
        make_folder(folder)
        sweep(folder)
    path = out / SETTINGS
    if path.is_file():
        try:
            before = type(settings).model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise MediaError(
                f"'{path}' is damaged, or of another command\ndelete it, or take another folder"
            ) from error
        # As they would be read again: a name that is not UTF-8 is written in another way.
        now = type(settings).model_validate_json(settings.model_dump_json())
        differences = [
            f"{name} was {getattr(before, name)!r} and is {getattr(now, name)!r}"
            for name in type(settings).model_fields
            if getattr(before, name) != getattr(now, name)
        ]
        if differences:
            raise FnevrError(
                f"'{out}' was prepared with other settings: {'; '.join(differences)}\n"
                "use the same ones, or another folder"
            )
        return
    with atomic_path(path) as temporary:
        temporary.write_text(settings.model_dump_json(indent=1) + "\n", encoding="utf-8")


def _all_finished(out: Path, jobs: Sequence[Job]) -> dict[str, VideoRecord]:
    return {job.name: record for job in jobs if (record := _finished(out, job)) is not None}


def _finished(out: Path, job: Job) -> VideoRecord | None:
    """Return the record of a video that is finished, and unchanged since."""
    try:
        record = VideoRecord.model_validate_json(_record_path(out, job).read_bytes())
    except (OSError, ValidationError):
        return None
    is_whole = all(clip_path(out, row.name).is_file() for row in record.rows)
    is_same = record.source == job.source and record.num_bytes == _size(job)
    return record if is_whole and is_same else None


def _count(
    report: PrepareReport, rows: Sequence[ClipRow], records: Iterable[VideoRecord]
) -> PrepareReport:
    """Add up what is in the folder now."""
    reasons: Counter[str] = Counter()
    for record in records:
        reasons.update(record.rejected)
        if record.damage is not None:
            report.damaged[record.source] = record.damage
    report.rejected = dict(reasons.most_common())
    report.clips = dict(Counter(str(row.split) for row in rows))
    report.seconds = sum(row.seconds for row in rows)
    report.identities = len({row.identity for row in rows})
    return report


def _record_path(out: Path, job: Job) -> Path:
    return out / VIDEOS / f"{job.name}.json"


def _size(job: Job) -> int:
    return job.video.stat().st_size if job.video.is_file() else -1
