"""From a prepared folder and a recipe to a run: what `fnevr train` does."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from fnevr.config.presets import DEFAULT, new_config, resolve_model
from fnevr.data.clips import Clip, load_clips, load_stills
from fnevr.data.pairs import PairSampler
from fnevr.errors import FnevrError
from fnevr.extras import how_to_install
from fnevr.geometry.patches import FacePatches
from fnevr.media.files import atomic_path
from fnevr.models.portrait import PortraitModel
from fnevr.progress import progress_bar
from fnevr.train.log import Record, record_json
from fnevr.train.loop import Trainer
from fnevr.train.objectives.model import OBJECTIVES
from fnevr.train.recipe import FullRecipe, Recipe
from fnevr.train.recipe_table import AnyRecipe, recipe_json
from fnevr.train.start import saved_model, start_anew

if TYPE_CHECKING:
    from accelerate import Accelerator

RECIPE_NAME = "recipe.json"


def make_trainer(
    data: Path,
    run_dir: Path,
    recipe: AnyRecipe,
    *,
    stills: Path | None = None,
    init: str | None = None,
    model: str | None = None,
    device: str | None = None,
    clock_s: Callable[[], float] = time.monotonic,
) -> Trainer:
    """Prepare a run, or take it up, and write its recipe beside it.

    Denormal numbers are flushed to zero from here on: a tenth of a CPU's time goes to them.

    Args:
        data: a prepared folder, with the splits "train" and "val".
        run_dir: made if it does not exist.
        recipe: what to do.
        stills: a prepared folder of stills, to train on its split "train" too; its split "val", if
            it has one, is validated on.
        init: a preset or a model folder to start from; None starts from new weights.
        model: what to start anew: a preset or a config.json; None is "lite".
        device: "cpu" or "cuda"; None takes cuda if there is some.
        clock_s: a clock: returns the seconds since some fixed moment.

    Raises:
        FnevrError: if something of this is missing, or does not fit the rest.
    """
    torch.set_flush_denormal(True)
    accelerator = make_accelerator(device)
    patches = FacePatches.packaged()
    clips = training_clips(data, stills, recipe)
    sampler = PairSampler(
        clips,
        patches,
        seed=recipe.seed,
        stills_share=recipe.stills_share,
        describe=OBJECTIVES[recipe.stage].describe,
    )
    if isinstance(recipe, FullRecipe) and recipe.window > sampler.side_px:
        raise FnevrError(
            f"the recipe's window of {recipe.window} pixels does not fit the clips' "
            f"{sampler.side_px}\nset a smaller one, such as window={sampler.side_px}"
        )
    held_out = load_clips(data, "val") if recipe.validations else []
    if held_out and stills is not None:
        held_out += load_stills(stills, "val")
    trainer = Trainer(
        starting_model(init, model, recipe),
        sampler,
        recipe,
        run_dir,
        accelerator=accelerator,
        held_out=held_out,
        clock_s=clock_s,
    )
    if trainer.is_main:
        with atomic_path(run_dir / RECIPE_NAME) as temporary:
            temporary.write_text(recipe_json(recipe) + "\n", encoding="utf-8")
    return trainer


def training_clips(data: Path, stills: Path | None, recipe: Recipe) -> list[Clip]:
    """Open what is trained on: clips, and stills after them.

    Raises:
        FnevrError: if there are none, their pictures differ in size, or the recipe's share for
            stills has none to count.
    """
    clips = load_clips(data, "train")
    if stills is None:
        if recipe.stills_share is not None:
            raise FnevrError(
                "stills_share does nothing without stills\n"
                "add `stills=FOLDER`, from `fnevr prepare-stills`, or leave it out"
            )
        return clips
    more = load_stills(stills, "train")
    if not more:
        raise FnevrError(
            f"'{stills}' has no stills to train on: `fnevr prepare-stills` makes such a folder"
        )
    sides = [group[0].frames[0].shape[0] for group in (clips, more)]
    if sides[0] != sides[1]:
        raise FnevrError(
            f"the clips of '{data}' are {sides[0]} pixels wide, the stills of '{stills}' "
            f"{sides[1]}: prepare both at one size"
        )
    return clips + more


def make_accelerator(device: str | None) -> Accelerator:
    """Find the device and the other processes, if torchrun or `accelerate launch` started some.

    Raises:
        FnevrError: if there is no such device, or Accelerate is not installed.
    """
    try:
        from accelerate import Accelerator  # noqa: PLC0415 (slow)
    except ImportError as error:
        raise FnevrError(
            f"training needs Accelerate, which is not here: {how_to_install('train')}"
        ) from error

    if device not in (None, "cpu", "cuda"):
        raise FnevrError(f"training runs on cpu or cuda, not on {device}", argument="device")
    has_cuda = torch.cuda.is_available()
    if device == "cuda" and not has_cuda:
        raise FnevrError("PyTorch finds no CUDA device here; use `device='cpu'`")
    return Accelerator(cpu=device == "cpu" or not has_cuda)


def starting_model(init: str | None, model: str | None, recipe: Recipe) -> PortraitModel:
    """Return the model of a preset or folder, or a new one.

    A new `lite` starts as the geometric warp; other models start from random weights.

    Raises:
        FnevrError: if there is no such model, or both are given.
    """
    if init is None:
        return start_anew(new_config(model or DEFAULT), FacePatches.packaged(), recipe.seed)
    if model is not None:
        raise FnevrError(
            "a model to start from brings its own configuration\n"
            "leave `model=NAME` out, or to start anew `init=MODEL`"
        )
    return saved_model(resolve_model(init))


def show_run(trainer: Trainer, should_stop: Callable[[], bool]) -> bool:
    """Run with a progress bar, or with the log's records on stderr where that is no terminal.

    Returns:
        Whether the budget is spent; not where `should_stop` stopped the run before.
    """
    with progress_bar("steps") as progress:

        def on_step(step: int, share: float) -> None:
            if trainer.is_main:
                progress("training", step, round((step - 1) / share) if share else None)

        def on_record(record: Record) -> None:
            if not sys.stderr.isatty():
                sys.stderr.write(record_json(record) + "\n")

        return trainer.run(on_record, on_step, should_stop)
