"""Train `lite` from given weights within a time limit; `scripts/train_budget.sh` calls this.

OUT_DIR gets the better of the weights at the start and the best ones of the run (config.json, and
model.safetensors in parts of 16 MiB at most), report.json, report.md, sheet.png, log.jsonl and
recipe.json. The limit counts from the start of the shell script and holds for everything: training
ends early enough to validate and write, and an alarm writes the best so far if that fails. SIGTERM
does the same at once.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from fnevr.config.presets import resolve_model
from fnevr.data.clips import Clip, load_clips
from fnevr.errors import FnevrError
from fnevr.models.lite import FNeVRLite
from fnevr.train.guard import DivergenceError
from fnevr.train.launch import make_trainer
from fnevr.train.log import Record
from fnevr.train.recipe_choice import choose_recipe
from fnevr.train.recipe_table import AnyRecipe, recipe_json
from fnevr.train.validation import Validation, picture_sheet, validate

PART_BYTES = 16 * 2**20
FIRST_BATCH = 16
PROBE_SHARE = 0.05
"""Of the time, for finding the batch size."""


class TimeIsUp(BaseException):
    """The alarm or SIGTERM; not an error that something else could catch."""


@dataclass
class Outcome:
    """What is known so far.

    Attributes:
        folder: of the weights to hand over.
        origin: where they come from, in words.
        start: score of the weights at the start.
        end: score of the weights to hand over.
        notes: what went otherwise than planned.
    """

    folder: Path
    origin: str
    start: Validation | None = None
    end: Validation | None = None
    recipe: AnyRecipe | None = None
    steps: int = 0
    device: str = ""
    notes: list[str] = field(default_factory=list)


def main(arguments: list[str] | None = None) -> int:
    """Train, validate, write; return the exit code."""
    options = parse(arguments)
    writing_s = min(15.0, 6 * options.minutes)
    deadline_s = options.started + 60 * options.minutes
    try:
        outcome = Outcome(resolve_model(options.init), f"the start ({options.init})")
        run_dir = options.run or Path(tempfile.mkdtemp(prefix="fnevr-run-"))
        options.out_dir.mkdir(parents=True, exist_ok=True)
        try:
            with alarm(deadline_s - writing_s):
                improve(options, outcome, run_dir, deadline_s - writing_s)
        except TimeIsUp as reason:
            outcome.notes.append(f"ended by {reason}")
            take_best(outcome, run_dir)
        write(options.out_dir, outcome, run_dir, load_clips(options.data, "val"))
    except FnevrError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 2
    seconds_left = deadline_s - time.time()
    sys.stderr.write(f"{options.out_dir}: {outcome.origin}; {seconds_left:.0f} s to spare\n")
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line; argparse, because a machine that only trains may lack typer."""
    parser = argparse.ArgumentParser(prog="scripts/train_budget.sh", description=__doc__)
    parser.add_argument("minutes", type=float, metavar="MINUTES")
    parser.add_argument("out_dir", type=Path, metavar="OUT_DIR")
    data = os.environ.get("FNEVR_DATA")
    parser.add_argument("--data", type=Path, default=data, required=data is None)
    parser.add_argument("--init", default="lite", help="a preset or a model folder")
    parser.add_argument("--recipe", default="full", help="a recipe's name or file")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--device", choices=("cpu", "cuda"), default=None)
    parser.add_argument("--max-batch", type=int, default=256, help="the probe stops there")
    parser.add_argument("--run", type=Path, help="keep the run's checkpoints here, and go on")
    parser.add_argument("--started", type=float, default=time.time(), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if not options.minutes > 0 or options.max_batch < 1:
        parser.error("MINUTES and --max-batch must be positive")
    options.data = Path(options.data)
    return options


def improve(options: argparse.Namespace, outcome: Outcome, run_dir: Path, until_s: float) -> None:
    """Score the start, find the batch size, train, score the best."""
    is_cuda = options.device != "cpu" and torch.cuda.is_available()
    outcome.device = torch.cuda.get_device_name() if is_cuda else "cpu"
    held_out = load_clips(options.data, "val")
    recipe = choose_recipe(options.recipe, options.set)
    before_s = time.time()
    model = FNeVRLite.from_pretrained(outcome.folder, device="cuda" if is_cuda else "cpu")
    outcome.start = outcome.end = validate(model, held_out, stride=recipe.validation_stride)
    validation_s = time.time() - before_s
    if is_cuda:
        workers = max(1, (os.cpu_count() or 2) - 1)
        faster = {"precision": "bfloat16", "workers": workers}
        recipe = recipe.model_copy(update=faster)
        probe_until_s = time.time() + PROBE_SHARE * (until_s - time.time())
        size = largest_batch(
            lambda size: _try_batch(options, recipe, size),
            options.max_batch,
            lambda: time.time() < probe_until_s,
        )
        recipe = recipe.model_copy(update={"batch_size": size})
    # The last validation of the run, that of its best weights, and one that may start late.
    minutes = (until_s - time.time() - 3.3 * validation_s - 1) / 60
    if minutes <= 0:
        outcome.notes.append("no time to train: the limit is hardly longer than the validations")
        return
    validations = min(recipe.validations, max(1, int(0.1 * 60 * minutes / validation_s)))
    recipe = recipe.model_copy(
        update={"minutes": minutes, "steps": None, "validations": validations}
    )
    outcome.recipe = recipe
    device = "cuda" if is_cuda else "cpu"
    trainer = make_trainer(options.data, run_dir, recipe, init=options.init, device=device)
    try:
        trainer.run(_tell)
    except DivergenceError as error:
        outcome.notes.append(str(error))
    outcome.steps = trainer.step
    take_best(outcome, run_dir)
    if outcome.folder == run_dir / "best":
        model = FNeVRLite.from_pretrained(outcome.folder, device=device)
        outcome.end = validate(model, held_out, stride=recipe.validation_stride)


def take_best(outcome: Outcome, run_dir: Path) -> None:
    """Hand over the run's best weights, if they validated better than the start.

    Those of a recipe whose last weights count as the best are handed over whatever their PSNR.
    """
    scores = [record["psnr"] for record in _log_of(run_dir) if "psnr" in record]
    outcome.steps = max([outcome.steps, *(int(r["step"]) for r in _log_of(run_dir))])
    start = -math.inf if outcome.start is None else outcome.start.psnr
    is_last = outcome.recipe is not None and outcome.recipe.last_is_best
    is_worse = not is_last and max(scores, default=-math.inf) <= start
    if not scores or is_worse or not (run_dir / "best" / "config.json").is_file():
        outcome.notes.append("no validation of the run was better than the start")
        return
    outcome.folder = run_dir / "best"
    score = scores[-1] if is_last else max(scores)
    outcome.origin = f"the {'last' if is_last else 'best'} of {len(scores)} validations"
    outcome.origin += f", {score:.3f} dB"
    if outcome.start is not None:
        # Until it is scored clip by clip.
        outcome.end = replace(outcome.start, psnr=score, clips=())


def largest_batch(fits: Callable[[int], bool], limit: int, may_go_on: Callable[[], bool]) -> int:
    """Double the batch until it does not fit, the limit is reached, or the time is over.

    Raises:
        FnevrError: if not even one pair fits.
    """
    size = min(FIRST_BATCH, limit)
    if not fits(size):
        while size := size // 2:
            if fits(size):
                return size
        raise FnevrError("not even one pair fits on the device: give a smaller window")
    while 2 * size <= limit and may_go_on() and fits(2 * size):
        size *= 2
    return size


def _try_batch(options: argparse.Namespace, recipe: AnyRecipe, size: int) -> bool:
    """Take two steps (the second one has the optimizer's moments) in a folder of their own."""
    update = {"batch_size": size, "workers": 0, "validations": 0}
    with tempfile.TemporaryDirectory() as folder:
        try:
            trainer = make_trainer(
                options.data,
                Path(folder),
                recipe.model_copy(update=update),
                init=options.init,
                device="cuda",
            )
            trainer.train_step()
            trainer.train_step()
        except torch.cuda.OutOfMemoryError:
            return False
        finally:
            trainer = None  # type: ignore[assignment]
            torch.cuda.empty_cache()
    return True


def write(out_dir: Path, outcome: Outcome, run_dir: Path, held_out: list[Clip]) -> None:
    """Write all files of the result."""
    shutil.copyfile(outcome.folder / "config.json", out_dir / "config.json")
    split_file(outcome.folder / "model.safetensors", out_dir)
    for name in ("log.jsonl", "recipe.json"):
        if (run_dir / name).is_file():
            shutil.copyfile(run_dir / name, out_dir / name)
    report = _report(outcome)
    (out_dir / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (out_dir / "report.md").write_text(_as_markdown(report), encoding="utf-8")
    model = FNeVRLite.from_pretrained(outcome.folder)
    Image.fromarray(picture_sheet(model, held_out)).save(out_dir / "sheet.png")


def split_file(source: Path, out_dir: Path, part_bytes: int = PART_BYTES) -> list[Path]:
    """Copy a file, in numbered parts where it is longer than one part."""
    data = source.read_bytes()
    if len(data) <= part_bytes:
        paths = [out_dir / source.name]
    else:
        count = math.ceil(len(data) / part_bytes)
        paths = [out_dir / f"{source.name}.part{index}" for index in range(count)]
    for index, path in enumerate(paths):
        path.write_bytes(data[index * part_bytes : (index + 1) * part_bytes])
    return paths


def _report(outcome: Outcome) -> dict[str, Any]:
    return {
        "weights": outcome.origin,
        "device": outcome.device,
        "torch": torch.__version__,
        "steps": outcome.steps,
        "notes": outcome.notes,
        "start": asdict(outcome.start) if outcome.start else None,
        "end": asdict(outcome.end) if outcome.end else None,
        "recipe": json.loads(recipe_json(outcome.recipe)) if outcome.recipe else None,
    }


def _as_markdown(report: dict[str, Any]) -> str:
    lines = ["# Budgeted training", "", f"Weights: {report['weights']}. {report['steps']} steps on"]
    lines[-1] += f" {report['device'] or 'nothing'}, PyTorch {report['torch']}."
    lines += [f"- {note}" for note in report["notes"]]
    start, end = report["start"], report["end"]
    if start and end:
        lines += ["", "| PSNR, dB | still | start | these weights |", "|---|---|---|---|"]
        lines.append(f"| mean | {start['still']:.2f} | {start['psnr']:.2f} | {end['psnr']:.2f} |")
        for one, other in zip(start["clips"], end["clips"], strict=False):
            row = f"| {one['name']} | {one['still']:.2f} | {one['model']:.2f} |"
            lines.append(f"{row} {other['model']:.2f} |")
    lines.append("")
    return "\n".join(lines)


def _tell(record: Record) -> None:
    sys.stderr.write(json.dumps(record) + "\n")


def _log_of(run_dir: Path) -> list[dict[str, float]]:
    path = run_dir / "log.jsonl"
    if not path.is_file():
        return []
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue  # the alarm came while it was written
    return records


@contextmanager
def alarm(at_s: float) -> Iterator[None]:
    """Raise TimeIsUp in the block at a time of day, or at SIGTERM."""

    def ring(number: int, _frame: object) -> None:
        raise TimeIsUp("SIGTERM" if number == signal.SIGTERM else "the alarm before the limit")

    signals = (signal.SIGALRM, signal.SIGTERM)
    before = [signal.signal(number, ring) for number in signals]
    try:
        signal.setitimer(signal.ITIMER_REAL, max(at_s - time.time(), 1e-3))
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
