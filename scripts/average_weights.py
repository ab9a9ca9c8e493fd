"""Average the weights of models that were trained from one another.

    python scripts/average_weights.py OUT RUNS/first/model RUNS/second/model

Wortsman et al., "Model soups", ICML 2022: weights of runs that share a beginning lie in one basin,
and their mean is often better than each. Running statistics are averaged like everything else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer

from fnevr.models.lite import FNeVRLite

app = typer.Typer(add_completion=False)


@app.command()
def main(out: Path, models: Annotated[list[Path], typer.Argument(help="Two or more.")]) -> None:
    """Write the averaged model's folder."""
    if len(models) < 2:
        raise typer.BadParameter("two models or more are wanted")
    loaded = [FNeVRLite.from_pretrained(folder) for folder in models]
    if any(model.config != loaded[0].config for model in loaded):
        raise typer.BadParameter("the models have different configurations")
    states = [model.state_dict() for model in loaded]
    with torch.no_grad():
        for name, tensor in states[0].items():
            if tensor.is_floating_point():
                tensor.copy_(torch.stack([state[name] for state in states]).mean(dim=0))
    loaded[0].save_pretrained(out, half_precision=True)


if __name__ == "__main__":
    app()
