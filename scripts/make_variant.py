"""Make the starting point of an ablation: a model's motion, and a new generator with changes.

    python scripts/make_variant.py lite RUNS/no_volume/start --set volume_rendering=false
    fnevr train DATA RUNS/no_volume --init RUNS/no_volume/start --steps 3000
    fnevr evaluate ... --model no_volume=RUNS/no_volume/model

Variants of one seed and one number of steps see the same pairs, so their scores compare.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fnevr.config.presets import resolve_model
from fnevr.models.lite import FNeVRLite
from fnevr.train.start import with_new_generator

app = typer.Typer(add_completion=False)


@app.command()
def main(
    model: str,
    out: Path,
    settings: Annotated[
        list[str], typer.Option("--set", help="NAME=VALUE of the configuration, VALUE as JSON.")
    ] = [],  # noqa: B006 - typer copies it
    seed: int = 0,
) -> None:
    """Write the variant's folder."""
    changes = {}
    for setting in settings:
        name, is_pair, value = setting.partition("=")
        if not is_pair:
            raise typer.BadParameter(f"{setting!r}: wanted NAME=VALUE")
        changes[name] = json.loads(value)
    variant = with_new_generator(FNeVRLite.from_pretrained(resolve_model(model)), changes, seed)
    variant.save_pretrained(out)
    typer.echo(f"{out}: {', '.join(settings) or 'unchanged'}, a new generator")


if __name__ == "__main__":
    app()
