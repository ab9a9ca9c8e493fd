"""Build the cache of a folder of clips, and score a model on it. `fnevr train` trains.

python scripts/train_lite.py cache DATA DATA/cache
python scripts/train_lite.py score DATA DATA/cache RUN/model
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from fnevr.data.cache import build_cache, load_cache
from fnevr.evaluate.reconstruction import score_clips, summarize
from fnevr.media.files import atomic_path
from fnevr.models.lite import FNeVRLite

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.command()
def cache(data: Path, cache: Path, workers: int = 2) -> None:
    """Decode and track all clips of DATA once."""
    build_cache(data, cache, workers=workers, progress=typer.echo)


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


def _rounded(record: dict[str, Any]) -> dict[str, Any]:
    return {
        key: round(value, 4) if isinstance(value, float) else value for key, value in record.items()
    }


if __name__ == "__main__":
    app()
