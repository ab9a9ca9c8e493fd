"""Train `lite` on a folder of clips: build the cache, train the motion, train everything, score.

    python scripts/train_lite.py cache DATA CACHE
    python scripts/train_lite.py train DATA CACHE RUN --stage motion --minutes 25 --batch-size 16
    python scripts/train_lite.py train DATA CACHE RUN2 --init RUN/model --minutes 60
    python scripts/train_lite.py score DATA CACHE RUN2/model

A run that was interrupted goes on when the same command is run again.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from fnevr.config import LiteConfig
from fnevr.data.cache import build_cache, load_cache
from fnevr.data.pairs import PairSampler
from fnevr.evaluate.reconstruction import score_clips, summarize
from fnevr.geometry.patches import FacePatches
from fnevr.models.lite import FNeVRLite
from fnevr.train.loop import Trainer
from fnevr.train.recipe import Recipe
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
    stage: str = "full",
    minutes: float = 60.0,
    batch_size: int = 12,
    motion_rate: float | None = None,
    generator_rate: float | None = None,
    seed: int = 0,
    init: Annotated[Path | None, typer.Option(help="Start from this model folder.")] = None,
) -> None:
    """Train in RUN, from scratch or from a saved model, until the minutes are spent."""
    rates = {"motion_rate": motion_rate, "generator_rate": generator_rate}
    if stage == "motion":
        rates["motion_rate"] = motion_rate or 1e-3
    recipe = Recipe.model_validate(
        {
            "stage": stage,
            "minutes": minutes,
            "batch_size": batch_size,
            "seed": seed,
            "target_keypoints": 0.15 if stage == "motion" else 0.0,
            **{name: rate for name, rate in rates.items() if rate is not None},
        }
    )
    patches = FacePatches.packaged()
    model = saved_model(init) if init else new_model(LiteConfig(), patches, seed)
    sampler = PairSampler(load_cache(data, cache, "train"), patches, seed=seed)
    trainer = Trainer(model, sampler, recipe, run)
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
    clips = load_cache(data, cache, split)
    scores = score_clips(
        FNeVRLite.from_pretrained(model),
        clips,
        stride=stride,
        progress=lambda clip: typer.echo(json.dumps(_rounded(asdict(clip)))),
    )
    table = {"summary": asdict(summarize(scores)), "clips": [asdict(clip) for clip in scores]}
    typer.echo(json.dumps(_rounded(table["summary"])))
    if out:
        out.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


def _rounded(record: dict) -> dict:
    return {
        key: round(value, 4) if isinstance(value, float) else value for key, value in record.items()
    }


if __name__ == "__main__":
    app()
