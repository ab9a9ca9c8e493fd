"""Train `lite` on a folder of clips: build the cache, train the motion, train everything, score.

    python scripts/train_lite.py cache DATA CACHE
    python scripts/train_lite.py train DATA CACHE RUN --stage motion --minutes 25 --batch-size 16
    python scripts/train_lite.py train DATA CACHE RUN2 --init RUN/model --minutes 60
    python scripts/train_lite.py score DATA CACHE RUN2/model

A run that was interrupted goes on when the same command is run again. What has no option of its own
in `fnevr.train.recipe.Recipe` is set by name: `--set motion_rate=5e-4 --set weights.image=8`. The
recipe of a run is written to RUN/recipe.json, its model to RUN/model.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from pydantic import ValidationError

from fnevr.config import LiteConfig
from fnevr.data.cache import build_cache, load_cache
from fnevr.data.pairs import PairSampler
from fnevr.evaluate.reconstruction import score_clips, summarize
from fnevr.geometry.patches import FacePatches
from fnevr.media.files import atomic_path
from fnevr.models.lite import FNeVRLite
from fnevr.train.loop import Trainer
from fnevr.train.recipe import RECIPES, Recipe
from fnevr.train.start import new_model, saved_model

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.command()
def cache(data: Path, cache: Path, workers: int = 2) -> None:
    """Decode and track all clips of DATA once."""
    build_cache(data, cache, workers=workers, progress=typer.echo)


@app.command()
def train(
    data: Path,
    cache: Path,
    run: Path,
    stage: Literal["motion", "full"] = "full",
    minutes: float | None = None,
    batch_size: int | None = None,
    init: Annotated[Path | None, typer.Option(help="Start from this model folder.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE of the recipe; repeatable.")
    ] = None,
) -> None:
    """Train in RUN, from scratch or from a saved model, until the minutes are spent."""
    options = [("minutes", minutes), ("batch_size", batch_size)]
    given = [f"{name}={value}" for name, value in options if value is not None]
    recipe = make_recipe(stage, [*given, *(settings or [])])
    patches = FacePatches.packaged()
    model = saved_model(init) if init else new_model(LiteConfig(), patches, recipe.seed)
    sampler = PairSampler(load_cache(data, cache, "train"), patches, seed=recipe.seed)
    trainer = Trainer(model, sampler, recipe, run)
    with atomic_path(run / "recipe.json") as temporary:
        temporary.write_text(recipe.model_dump_json(indent=2) + "\n", encoding="utf-8")
    trainer.run(lambda record: typer.echo(json.dumps(_rounded(record))))
    model.save_pretrained(run / "model", half_precision=True)


@app.command()
def score(
    data: Path,
    cache: Path,
    model: Path,
    split: str = "val",
    stride: int = 1,
    out: Annotated[Path | None, typer.Option(help="Write the table to this JSON file.")] = None,
) -> None:
    """Score a model folder on the clips of a split: reconstruction from frame 0, PSNR."""
    scores = score_clips(
        FNeVRLite.from_pretrained(model),
        load_cache(data, cache, split),
        stride=stride,
        progress=lambda clip: typer.echo(json.dumps(_rounded(asdict(clip)))),
    )
    summary = asdict(summarize(scores))
    typer.echo(json.dumps(_rounded(summary)))
    if out:
        table = {"summary": summary, "clips": [asdict(clip) for clip in scores]}
        with atomic_path(out) as temporary:
            temporary.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


def make_recipe(stage: Literal["motion", "full"], settings: list[str]) -> Recipe:
    """Change the stage's recipe by NAME=VALUE settings; dots reach into the weights."""
    values: dict[str, Any] = RECIPES[stage].model_dump()
    for setting in settings:
        path, is_pair, value = setting.partition("=")
        *groups, name = path.split(".")
        target = values
        for group in groups:
            target = target.get(group, {})
        if not is_pair or not isinstance(target, dict) or name not in target:
            raise typer.BadParameter(f"{setting!r}: wanted NAME=VALUE with a name of the recipe")
        target[name] = value
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise typer.BadParameter("; ".join(problems)) from error


def _rounded(record: dict[str, Any]) -> dict[str, Any]:
    return {
        key: round(value, 4) if isinstance(value, float) else value for key, value in record.items()
    }


if __name__ == "__main__":
    app()
