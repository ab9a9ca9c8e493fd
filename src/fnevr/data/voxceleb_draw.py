"""VoxCeleb's test people: what a folder has of them, and which of it is tested on.

VoxCeleb comes in three forms, which may lie in one folder at any depth:

- its text files, ``IDENTITY/VIDEO/00001.txt``, beside the videos that they name, ``VIDEO.mp4``;
- VoxCeleb2's own videos of faces, ``IDENTITY/VIDEO/00001.mp4``;
- clips that FOMM's preprocessing cut out, ``IDENTITY#VIDEO#START#END.mp4`` (a video, or a folder of
  pictures), which are what FOMM and its successors are measured on. They are taken as they are;
  where there are some of a data set, nothing else of it is.

An identity is ``id`` and five digits: VoxCeleb1's begin with 1, VoxCeleb2's with 0.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fnevr.data.manifest import ClipRow
from fnevr.data.prepare import Plan
from fnevr.data.sources import VIDEO_SUFFIXES, Job, Span, job_name, source_name
from fnevr.data.voxceleb import FRAME_RATE, plan_voxceleb
from fnevr.errors import MediaError

DataSet = Literal["VoxCeleb", "VoxCeleb2"]
DATA_SETS: tuple[DataSet, ...] = ("VoxCeleb", "VoxCeleb2")
PREFIXES: dict[DataSet, str] = {"VoxCeleb": "id1", "VoxCeleb2": "id0"}
TABLES: dict[DataSet, str] = {"VoxCeleb": "vox1_meta.csv", "VoxCeleb2": "vox2_meta.csv"}
VOXCELEB1_TEST = frozenset(f"id{number}" for number in range(10270, 10310))
"""VoxCeleb1's 40 test people, whose names begin with E; FOMM's test clips are of some of them."""

IDENTITY = re.compile(r"id\d{5}")
CUT_CLIP = re.compile(r"(id\d{5})#([^#]+)#(\d+)#(\d+)")
CUT_FOR_TRAINING = "train"  # the folder in which FOMM's preprocessing puts what is not for tests

Kind = Literal["list", "face video", "cut clip"]


@dataclass(frozen=True)
class Utterance:
    """Something that somebody says in a video.

    Attributes:
        identity: who speaks.
        reference: the video's name.
        path: the text file, or the video of the face.
        kind: which of the three forms it has.
    """

    identity: str
    reference: str
    path: Path
    kind: Kind


@dataclass(frozen=True)
class DrawnSet:
    """What is tested on, of one data set.

    Attributes:
        data_set: which.
        plan: for `fnevr.data.prepare.carry_out`.
        utterances: those that were drawn.
        num_found: utterances of the test people, with their videos.
        num_without_video: text files of the test people whose videos the folder does not have.
        are_people_known: whether somebody says who the test people are; otherwise all are taken.
    """

    data_set: DataSet
    plan: Plan
    utterances: list[Utterance]
    num_found: int
    num_without_video: int
    are_people_known: bool

    @property
    def kinds(self) -> set[Kind]:
        """Return the forms of what was drawn."""
        return {utterance.kind for utterance in self.utterances}


def draw_test_sets(folder: Path, number: int, seed: int) -> dict[DataSet, DrawnSet]:
    """Draw utterances of the test people of each data set that a folder holds.

    The order of the draw depends on the seed and the utterances' names alone, so a video that
    somebody lacks changes nothing for the others.

    Args:
        folder: see above.
        number: how many of each data set at most.
        seed: of the draw.

    Raises:
        MediaError: if there are none at all; the message says what was found.
    """
    found, stems = _find(folder)
    test_sets: dict[DataSet, DrawnSet] = {}
    for data_set in DATA_SETS:
        of_set = [one for one in found if one.identity.startswith(PREFIXES[data_set])]
        people = _test_people(folder, data_set)
        of_people = [one for one in of_set if people is None or one.identity in people]
        cut = [one for one in of_people if one.kind == "cut clip"]
        usable = cut or [one for one in of_people if one.kind != "list" or one.reference in stems]
        if usable:
            drawn = _draw(folder, usable, number, seed)
            plan = _plan(folder, drawn)
            num_lost = 0 if cut else len(of_people) - len(usable)
            is_known = people is not None
            test_sets[data_set] = DrawnSet(data_set, plan, drawn, len(usable), num_lost, is_known)
    if not test_sets:
        num_lists = sum(one.kind == "list" for one in found)
        raise MediaError(
            f"'{folder}' has nothing to test on: {num_lists} of VoxCeleb's text files, "
            f"{len(found) - num_lists} of its videos of faces, and no pair of a test person's text "
            "file and the video that it names\n"
            "wanted: IDENTITY/VIDEO/00001.txt with VIDEO.mp4, IDENTITY/VIDEO/00001.mp4, or "
            "IDENTITY#VIDEO#START#END.mp4, of id10270 to id10309 for VoxCeleb1"
        )
    return test_sets


def _find(folder: Path) -> tuple[list[Utterance], set[str]]:
    """Return all utterances, and the names of all videos."""
    found, stems = [], set()
    for path in sorted(folder.rglob("*")):
        is_video = path.suffix.lower() in VIDEO_SUFFIXES
        if not is_video and path.suffix.lower() != ".txt":
            continue
        parts = path.relative_to(folder).parts
        cut = CUT_CLIP.fullmatch(path.stem) if is_video else None
        if cut is None and not path.is_file():
            continue
        if is_video:
            stems.add(path.stem)
        if cut is not None:
            if CUT_FOR_TRAINING not in parts[:-1]:
                found.append(Utterance(cut[1], cut[2], path, "cut clip"))
        elif len(parts) > 2 and IDENTITY.fullmatch(parts[-3]) and path.stem.isdecimal():
            kind: Kind = "face video" if is_video else "list"
            found.append(Utterance(parts[-3], parts[-2], path, kind))
    return found, stems


def _test_people(folder: Path, data_set: DataSet) -> set[str] | frozenset[str] | None:
    """Return who is tested on; None where nobody says so."""
    for path in sorted(folder.rglob(TABLES[data_set])):
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise MediaError(f"cannot read '{path}': {error}") from error
        # VoxCeleb1's columns end with tabs, VoxCeleb2's with commas; the split comes last.
        rows = [[word.strip() for word in re.split("[\t,]", line)] for line in lines]
        people = {row[0] for row in rows if len(row) > 2 and row[-1] == "test"}
        if not people:
            raise MediaError(
                f"'{path}' names no test people: rows of an identity first, 'test' or 'dev' last "
                "were expected; fetch it again from VoxCeleb's site, or delete it"
            )
        return people
    return VOXCELEB1_TEST if data_set == "VoxCeleb" else None


def _draw(folder: Path, utterances: Iterable[Utterance], number: int, seed: int) -> list[Utterance]:
    """Draw some, one form of each: the text file, which shows more of the video, before others."""
    by_name: dict[tuple[str, str, str], Utterance] = {}
    for one in sorted(utterances, key=lambda one: one.kind != "list"):
        by_name.setdefault((one.identity, one.reference, one.path.stem), one)

    def place(name: tuple[str, str, str]) -> bytes:
        return hashlib.sha256("/".join((str(seed), *name)).encode()).digest()

    drawn = [by_name[name] for name in sorted(by_name, key=place)[:number]]
    return sorted(drawn, key=lambda one: source_name(one.path, folder))


def _plan(folder: Path, drawn: Sequence[Utterance]) -> Plan:
    """Make jobs: one per video that text files name, one per video of a face or clip."""
    lists = [one.path for one in drawn if one.kind == "list"]
    jobs, missing, malformed = plan_voxceleb(folder, folder, lists) if lists else ([], [], {})
    for one in drawn:
        if one.kind == "list":
            continue
        source = one.path.relative_to(folder)
        name = job_name(Path(one.path.name), one.identity, one.reference)
        if one.kind == "face video":
            span = Span(name, one.identity)
            jobs.append(Job(name, one.path, source_name(one.path, folder), (span,)))
            continue
        start, end = (int(text) for text in one.path.stem.split("#")[2:])
        row = ClipRow(
            name=name,
            identity=one.identity,
            source=source_name(one.path, folder),
            start_s=start / FRAME_RATE,
            seconds=max(end - start, 0) / FRAME_RATE,
            frames=1,
            fps=0.0,
            crop=(0.0, 0.0, 0.0),
            face_px=0.0,
            motion=0.0,
        )
        jobs.append(Job(name, one.path, source.as_posix(), ready=row))
    return Plan(jobs, missing, malformed)
