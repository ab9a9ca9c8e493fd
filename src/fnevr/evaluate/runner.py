"""Evaluate models on clips: parallel, resumable clip by clip, the same numbers every time."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from fnevr.config.engines import EngineChoice, EngineName, Precision, PrecisionChoice
from fnevr.config.folder import WEIGHTS_NAME, read_config
from fnevr.config.presets import resolve_model
from fnevr.config.shard import Shard
from fnevr.config.stages import check_seed
from fnevr.data.manifest import Split
from fnevr.errors import CheckpointError, FnevrError, MediaError, WriteError
from fnevr.evaluate.clips import EvaluationClip, find_clips
from fnevr.evaluate.networks.available import NetworkFiles, Networks, load_networks
from fnevr.evaluate.pose_editing import Turner, TurnScorer, model_turner
from fnevr.evaluate.protocols import (
    Pair,
    Protocol,
    make_pairs,
    model_predictor,
    still_predictor,
)
from fnevr.evaluate.scorer import ClipScorer, ClipScores, Predictor, to_tensor
from fnevr.evaluate.store import ScoreStore, settings_key
from fnevr.media.files import atomic_path, file_sha256, make_folder
from fnevr.progress import Progress
from fnevr.runtime.engine import Engine
from fnevr.runtime.load import check_device, load_engine
from fnevr.runtime.sessions import THREADS_VARIABLE, choose
from fnevr.workers import in_workers

STILL, REAL = "still", "real"
STAGE = "scoring clips"
FORMAT = 5  # of the stored scores; to be raised when a definition changes


@dataclass(frozen=True)
class EvaluationSettings:
    """What the scores depend on, besides models and clips.

    Attributes:
        protocol: what is generated from what.
        every: AKD, AED, CSIM, LPIPS and Frechet features look at every n-th frame.
        seed: of the draw of pairs, and of the intervals.
        pairs_file: for cross-identity, a CSV file with the columns source and driver.
        files: where the standard networks lie.
        device: what the models run on: "cpu", "cuda" or "mps"; None takes CUDA if there is some.
        engine: what runs them; "auto" as for an animation, so that what is used is what is scored.
        precision: of their networks; "auto" as for an animation.

    Raises:
        FnevrError: if `every` is not positive, or the seed is none.
    """

    protocol: Protocol = "same-identity"
    every: int = 5
    seed: int = 0
    pairs_file: Path | None = None
    files: NetworkFiles = field(default_factory=NetworkFiles)
    device: str | None = None
    engine: EngineChoice = "auto"
    precision: PrecisionChoice = "auto"

    def __post_init__(self) -> None:
        if self.every < 1:
            raise FnevrError(f"every must be at least 1, got {self.every}", argument="every")
        check_seed(self.seed)


@dataclass(frozen=True)
class EvaluatedModel:
    """A model under evaluation.

    Attributes:
        name: in the tables.
        folder: its weights; None for repeating the source.
        key: the first 12 digits of the weights' SHA-256, and what runs them.
        engine: what runs it.
        precision: of its networks.
    """

    name: str
    folder: Path | None
    key: str
    engine: EngineName = "torch"
    precision: Precision = "float32"


@dataclass(frozen=True)
class Evaluation:
    """All scores, and what is needed to say what they are.

    Attributes:
        data: the folder of clips.
        split: which of its clips; None is all.
        settings: what the scores depend on.
        models: in the order of the tables, repeating the source first.
        pairs: what was generated from what, and scored for all models.
        scores: by model, then by pair.
        real: the features of the real frames, by pair.
        missing: metrics that could not be had, with the reason.
        side: of all pictures, in pixels.
        failed: pairs that could not be scored for one of the models, and why; they are left out of
            all numbers.
        waiting: pairs that are left to other shards, and not scored yet.
    """

    data: Path
    split: Split | None
    settings: EvaluationSettings
    models: list[EvaluatedModel]
    pairs: list[Pair]
    scores: dict[str, dict[str, ClipScores]]
    real: dict[str, ClipScores]
    missing: dict[str, str]
    side: int
    failed: dict[str, str] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Job:
    pair: Pair
    source: EvaluationClip
    driver: EvaluationClip
    models: tuple[EvaluatedModel, ...]
    side: int
    settings: EvaluationSettings
    store: Path


def run_evaluation(
    data: Path,
    models: list[str],
    out: Path,
    *,
    split: Split | None = "val",
    settings: EvaluationSettings | None = None,
    workers: int = 2,
    progress: Progress | None = None,
    shard: Shard | None = None,
) -> Evaluation:
    """Score models and the repeated source on clips; what is in `out` already is not done again.

    A pair that cannot be scored, since no face is found in it, say, is left out and told of.

    Args:
        data: see `fnevr.evaluate.clips`.
        models: presets, folders with weights, or NAME=PRESET_OR_FOLDER.
        out: gets `scores/`, one file per model and clip.
        split: which clips; None takes all.
        settings: what is measured, and how; None takes the defaults.
        workers: processes, with one thread each; 1 works in this process.
        progress: is told after every clip.
        shard: which pairs to score; None scores all. What others have scored in `out` counts.

    Raises:
        FnevrError: if a model or a network cannot be used, or no pair can be scored.
    """
    settings, shard = settings or EvaluationSettings(), shard or Shard()
    if workers < 1:
        raise FnevrError(f"workers must be at least 1, got {workers}", argument="workers")
    entries = choose_models(models, settings)
    side = _common_side(entries)
    clips = {clip.name: clip for clip in find_clips(data, split)}
    pairs = make_pairs(list(clips.values()), settings.protocol, settings.pairs_file, settings.seed)
    networks = load_networks(settings.files)
    store = ScoreStore(out / "scores" / _settings_folder(out, settings, networks, side))
    jobs = [
        _Job(
            pair,
            clips[pair.source],
            clips[pair.driver],
            tuple(model for model in entries if not store.has(model.key, pair.name)),
            side,
            settings,
            store.folder,
        )
        for index, pair in enumerate(pairs)
        if shard.takes(index)
    ]
    num_own = len(jobs)
    jobs = [job for job in jobs if job.models or not store.has(REAL, job.pair.name)]
    failed = _run(jobs, workers, num_own, progress)
    if failed and len(failed) == num_own:
        name, reason = next(iter(failed.items()))
        raise FnevrError(f"no pair could be scored; '{name}': {reason}")
    keys = [REAL, *(model.key for model in entries)]
    done = [pair for pair in pairs if all(store.has(key, pair.name) for key in keys)]
    told_of = {*failed, *(pair.name for pair in done)}
    return Evaluation(
        data=data,
        split=split,
        settings=settings,
        models=entries,
        pairs=done,
        scores={
            model.name: {pair.name: store.read(model.key, pair.name) for pair in done}
            for model in entries
        },
        real={pair.name: store.read(REAL, pair.name) for pair in done},
        missing=networks.missing,
        side=side,
        failed=failed,
        waiting=[pair.name for pair in pairs if pair.name not in told_of],
    )


def choose_models(
    models: list[str], settings: EvaluationSettings | None = None
) -> list[EvaluatedModel]:
    """Resolve names, folders and engines; repeating the source comes first.

    Raises:
        FnevrError: if there is none, one cannot be used, or two have one name.
    """
    if not models:
        raise FnevrError("no model to evaluate: name one", argument="models")
    settings = settings or EvaluationSettings()
    device = check_device(settings.device)
    entries = [EvaluatedModel(STILL, None, STILL)]
    for text in models:
        name, folder = _named(text)
        if name in {model.name for model in entries}:
            raise FnevrError(f"two models are called '{name}': tell them apart by NAME={folder}")
        path = resolve_model(folder)
        engine, precision = choose(path, device, settings.engine, settings.precision)
        key = f"{file_sha256(path / WEIGHTS_NAME)[:12]}-{engine}-{precision}"
        entries.append(EvaluatedModel(name, path, key, engine, precision))
    return entries


def _named(text: str) -> tuple[str, str]:
    """Divide NAME=FOLDER; paths may hold the sign, too, so a name is what has no separator."""
    name, sign, folder = text.partition("=")
    if not sign or set(name) & {"/", os.sep}:
        return Path(text).name, text
    return name, folder


def predictor_of(
    model: EvaluatedModel,
    source: np.ndarray,
    driver: np.ndarray,
    protocol: Protocol,
    device: str | None = None,
) -> Predictor:
    """Return what draws a model's pictures of the driver's frames after its first."""
    if model.folder is None:
        return still_predictor(source)
    return model_predictor(_engine(model, device), source, driver, protocol)


def turner_of(model: EvaluatedModel, source: np.ndarray, device: str | None = None) -> Turner:
    """Return what turns a head.

    Raises:
        CheckpointError: if the model has no pose editor.
    """
    if model.folder is None:
        return lambda angles: to_tensor(source[None]).expand(len(angles), -1, -1, -1)
    return model_turner(_engine(model, device), model.name, source)


@lru_cache(maxsize=8)
def _engine(model: EvaluatedModel, device: str | None) -> Engine:
    """Load a model once in each process."""
    assert model.folder is not None
    return load_engine(model.folder, device, model.engine, model.precision, model.name)


def _run(jobs: list[_Job], workers: int, total: int, progress: Progress | None) -> dict[str, str]:
    """Score all pairs; return those that could not be scored, and why."""
    failed: dict[str, str] = {}
    num_done = total - len(jobs)
    if progress is not None:
        progress(STAGE, num_done, total)
    for job, reason in in_workers(_score, jobs, workers):
        if reason is not None:
            failed[job.pair.name] = reason
        num_done += 1
        if progress is not None:
            progress(STAGE, num_done, total)
    return failed


def _score(job: _Job) -> str | None:
    """Score one pair by every model that has no stored scores, on one thread.

    Returns:
        Why it cannot be scored; None if it is.
    """
    num_threads, variable = torch.get_num_threads(), os.environ.get(THREADS_VARIABLE)
    torch.set_num_threads(1)  # the numbers must not depend on the machine's cores
    os.environ[THREADS_VARIABLE] = "1"
    try:
        _score_on_this_thread(job)
    except (CheckpointError, WriteError):
        raise  # no other pair would fare better
    except FnevrError as error:
        return str(error)
    finally:
        torch.set_num_threads(num_threads)
        if variable is None:
            del os.environ[THREADS_VARIABLE]
        else:
            os.environ[THREADS_VARIABLE] = variable
    return None


def _score_on_this_thread(job: _Job) -> None:
    networks, store = _networks(job.settings.files), ScoreStore(job.store)
    if job.settings.protocol == "pose-editing":
        _score_turns(job, networks, store)
        return
    source = job.source.load(job.side)
    is_same = job.settings.protocol == "same-identity"
    driver = source if is_same else job.driver.load(job.side)
    if len(driver) < 2:
        raise MediaError(f"the clip '{job.driver.name}' has one frame: nothing to score after it")
    scorer = ClipScorer(
        source[0],
        driver[0],
        driver[1:],
        networks,
        is_target=is_same,
        every=job.settings.every,
    )
    if not store.has(REAL, job.pair.name):
        real = driver[1:] if is_same else source
        store.write(REAL, job.pair.name, ClipScores({}, scorer.meter.features(real)))
    protocol, device = job.settings.protocol, job.settings.device
    for model in job.models:
        try:
            scores = scorer.score(predictor_of(model, source[0], driver, protocol, device))
        except CheckpointError:
            raise
        except FnevrError as error:
            raise FnevrError(f"{model.name}: {error}") from error
        store.write(model.key, job.pair.name, scores)


def _score_turns(job: _Job, networks: Networks, store: ScoreStore) -> None:
    source = job.source.load(job.side)[0]
    scorer = TurnScorer(source, networks)
    for model in job.models:
        store.write(
            model.key, job.pair.name, scorer.score(turner_of(model, source, job.settings.device))
        )
    if not store.has(REAL, job.pair.name):
        store.write(REAL, job.pair.name, ClipScores({}, {}))


@lru_cache(maxsize=1)
def _networks(files: NetworkFiles) -> Networks:
    return load_networks(files)


def _common_side(models: list[EvaluatedModel]) -> int:
    sides = {
        model.name: read_config(model.folder).image_size
        for model in models
        if model.folder is not None
    }
    if len(set(sides.values())) > 1:
        listing = ", ".join(f"{name} {side}" for name, side in sides.items())
        raise FnevrError(f"the models' pictures differ in size ({listing}): evaluate them apart")
    return next(iter(sides.values()))


def _settings_folder(out: Path, settings: EvaluationSettings, networks: Networks, side: int) -> str:
    """Name a folder for what the scores depend on, and write that down in it."""
    facts: dict[str, object] = {
        "format": FORMAT,
        "protocol": settings.protocol,
        "every": settings.every,
        "networks": networks.names,
        "side": side,
        "files": {name: str(path) for name, path in asdict(settings.files).items() if path},
    }
    name = f"{settings.protocol}-{settings_key(facts)}"
    folder = out / "scores" / name
    make_folder(folder)
    with atomic_path(folder / "settings.json") as temporary:
        temporary.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return name
