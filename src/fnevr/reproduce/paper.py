"""FNeVR's tables measured anew: test sets, checkpoints, scores, costs, one report.

Every step keeps what it finished in the folder of the report, so whatever is interrupted goes on
when it is asked for again:

- ``models/``: a weights folder per checkpoint;
- ``costs/``: a file per system;
- ``voxceleb/clips``, ``voxceleb2/clips``: prepared folders with the test clips;
- ``voxceleb/same-identity`` and so on: scores, and a page of each evaluation;
- ``report.html``, ``tables.json``: what they come to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from fnevr.config.shard import Shard
from fnevr.cost.complexity import Complexity
from fnevr.data.manifest import read_manifest
from fnevr.data.prepare import carry_out
from fnevr.data.settings import PrepareReport, PrepareSettings
from fnevr.data.voxceleb_draw import DataSet, DrawnSet, draw_test_sets
from fnevr.errors import FnevrError, WriteError, counted
from fnevr.evaluate.networks.available import load_networks
from fnevr.evaluate.protocols import Protocol
from fnevr.evaluate.report import write_report
from fnevr.evaluate.runner import Evaluation, EvaluationSettings, run_evaluation
from fnevr.evaluate.summary import Summary
from fnevr.media.files import make_folder
from fnevr.progress import Progress
from fnevr.reproduce.costs import measure_costs, read_costs
from fnevr.reproduce.systems import NAMES, Systems, convert_checkpoints, find_checkpoints

EVALUATIONS: tuple[tuple[DataSet, Protocol], ...] = (
    ("VoxCeleb", "same-identity"),
    ("VoxCeleb", "cross-identity"),
    ("VoxCeleb2", "cross-identity"),
)
"""Those of the paper's tables."""

NOT_YET = "not finished yet"

TEST_CLIPS = PrepareSettings(val_share=1.0)
"""As `fnevr prepare` cuts clips; nobody is for training."""


@dataclass(frozen=True)
class PaperSettings:
    """How the tables are measured.

    Attributes:
        utterances: how many of each data set are tested on at most; FOMM's test set has 525 clips.
        evaluation: as of `fnevr evaluate`; the protocol is chosen by the table.
        workers: processes.
        shard: which share of the scores to measure.
        repeats: how often a frame is timed; 0 for never.

    Raises:
        FnevrError: if a number is not positive.
    """

    utterances: int = 525
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    workers: int = 2
    shard: Shard = field(default_factory=Shard)
    repeats: int = 3

    def __post_init__(self) -> None:
        for name in ("utterances", "workers"):
            value = getattr(self, name)
            if value < 1:
                raise FnevrError(f"{name} must be at least 1, got {value}", argument=name)


@dataclass(frozen=True)
class Measured:
    """One evaluation of the paper's.

    Attributes:
        folder: its own report, relative to the whole one.
        evaluation: all scores that there are.
        summary: their means; None while other shards' scores are not there.
        num_people: in its clips.
    """

    folder: str
    evaluation: Evaluation
    summary: Summary | None
    num_people: int


@dataclass(frozen=True)
class Reproduction:
    """All that was measured, and what was not.

    Attributes:
        settings: how.
        systems: that were evaluated.
        test_sets: what they were tested on.
        prepared: what came of preparing it.
        measured: by data set and protocol.
        not_measured: evaluations that could not be made, and why.
        costs: by system.
        missing: metrics whose networks are not here, and what to do.
        checkpoints: the folder that they were looked for in.
    """

    settings: PaperSettings
    systems: Systems
    test_sets: dict[DataSet, DrawnSet]
    prepared: dict[DataSet, PrepareReport]
    measured: dict[tuple[DataSet, Protocol], Measured]
    not_measured: dict[tuple[DataSet, Protocol], str]
    costs: dict[str, Complexity]
    missing: dict[str, str]
    checkpoints: Path

    @property
    def is_under_way(self) -> bool:
        """Return whether evaluations are still to come in this run."""
        return NOT_YET in self.not_measured.values()

    @property
    def num_waiting(self) -> int:
        """Return how many pairs other shards still have to score."""
        return sum(len(one.evaluation.waiting) for one in self.measured.values())


def reproduce_paper(
    voxceleb: Path,
    checkpoints: Path,
    out: Path,
    settings: PaperSettings | None = None,
    *,
    progress: Progress = lambda *_: None,
    tell: Callable[[str], None] = lambda _: None,
) -> Iterator[Reproduction]:
    """Measure the paper's tables; run it again to go on where it was stopped.

    Args:
        voxceleb: VoxCeleb, VoxCeleb2 or both: see `fnevr.data.voxceleb_draw`.
        checkpoints: see `fnevr.reproduce.systems`.
        out: gets everything.
        settings: how; None takes the defaults.
        progress: is told the stage, and how far it is.
        tell: is told in a sentence what begins, and what cannot be measured.

    Yields:
        What there is once the costs are measured, and after every evaluation; the last is all.

    Raises:
        FnevrError: if there is nothing to test on, or no checkpoint that can be used.
        WriteError: if something cannot be written.
    """
    settings = settings or PaperSettings()
    files = find_checkpoints(checkpoints, out)
    test_sets = draw_test_sets(voxceleb, settings.utterances, settings.evaluation.seed)
    missing = load_networks(settings.evaluation.files).missing
    for name, reason in missing.items():
        tell(f"not measured: {name}: {one_line(reason)}")
    if missing:
        tell("a network that comes later means that all is scored anew: fetch what you want first")
    make_folder(out)
    systems = convert_checkpoints(files, out / "models", tell)
    for reason in systems.unusable.values():
        tell(f"not used: {one_line(reason)}")
    prepared = {
        data_set: _prepare(test_set, clips_folder(out, data_set), settings, progress, tell)
        for data_set, test_set in test_sets.items()
    }
    costs, device = out / "costs", settings.evaluation.device
    if settings.shard.number == 1:
        if len(read_costs(costs, device)) < len(NAMES):
            tell("measuring costs")
        measure_costs(costs, device, progress, repeats=settings.repeats)
    nothing = "nothing of it to test on in '{}': put it there, and run the same command again"
    found = Reproduction(
        settings=settings,
        systems=systems,
        test_sets=test_sets,
        prepared=prepared,
        measured={},
        not_measured={
            (data_set, protocol): NOT_YET if data_set in test_sets else nothing.format(voxceleb)
            for data_set, protocol in EVALUATIONS
        },
        costs=read_costs(costs, device),
        missing=missing,
        checkpoints=checkpoints,
    )
    yield found
    for key in EVALUATIONS:
        if key[0] in test_sets:
            _evaluate(found, key, out, progress, tell)
            yield found


def clips_folder(out: Path, data_set: DataSet) -> Path:
    """Return the prepared folder with the test clips of a data set."""
    return out / data_set.lower() / "clips"


def title_of(data_set: DataSet, protocol: Protocol) -> str:
    """Return what an evaluation is called in sentences."""
    return f"{data_set}, {protocol}"


def one_line(text: str) -> str:
    """Return a message of several lines as one."""
    return "; ".join(line.strip().rstrip(".") for line in text.splitlines())


def _prepare(
    test_set: DrawnSet,
    folder: Path,
    settings: PaperSettings,
    progress: Progress,
    tell: Callable[[str], None],
) -> PrepareReport:
    data_set, drawn = test_set.data_set, test_set.utterances
    people = {one.identity for one in drawn}
    wanted = settings.utterances
    fewer = "" if len(drawn) == wanted else f"; all that are here, {wanted} were asked for"
    tell(
        f"{data_set}: {counted(len(drawn), 'utterance')} of {test_set.num_found}, of "
        f"{counted(len(people), 'person', 'people')}{fewer}"
    )
    report = carry_out(
        test_set.plan,
        folder,
        TEST_CLIPS,
        workers=settings.workers,
        progress=lambda _, done, total: progress(f"{data_set}: preparing", done, total),
        shard=settings.shard,
    )
    for line in report.lines():
        tell(line)
    return report


def _evaluate(
    found: Reproduction,
    key: tuple[DataSet, Protocol],
    out: Path,
    progress: Progress,
    tell: Callable[[str], None],
) -> None:
    """Make one evaluation, and add it to what was found; or why it could not be made."""
    (data_set, protocol), settings, title = key, found.settings, title_of(*key)
    clips, folder = clips_folder(out, data_set), Path(data_set.lower()) / protocol
    tell(f"{title}: {', '.join(system.name for system in found.systems.found)}")
    try:
        evaluation = run_evaluation(
            clips,
            [f"{system.name}={system.weights}" for system in found.systems.found],
            out / folder,
            settings=replace(settings.evaluation, protocol=protocol),
            workers=settings.workers,
            progress=lambda _, done, total: progress(title, done, total),
            shard=settings.shard,
        )
        summary = None
        if not evaluation.waiting:
            drawing = f"{title}: frames for its page"
            summary = write_report(
                evaluation,
                out / folder,
                lambda _, done, total: progress(drawing, done, total),
                data_set,
            )
    except WriteError:
        raise
    except FnevrError as error:
        found.not_measured[key] = str(error)
        tell(f"not measured: {title}: {one_line(str(error))}")
        return
    for name, reason in evaluation.failed.items():
        tell(f"left out: {name}: {one_line(reason)}")
    people = {row.name: row.identity for row in read_manifest(clips)}
    num_people = len({people[pair.source] for pair in evaluation.pairs})
    found.measured[key] = Measured(folder.as_posix(), evaluation, summary, num_people)
    del found.not_measured[key]
