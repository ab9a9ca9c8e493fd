"""Draw how far each stage of a folded model is from what the machine can do.

    python scripts/docs/roofline.py docs/roofline.png --model lite --model base

A stage's point has its multiply-adds per byte that its convolutions read and write (pictures,
weights and results, each once) and the multiply-adds per second that PyTorch reaches. The lines are
the measured rates of a copy and of a wide convolution. Weights are drawn at random where a model
brings none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import matplotlib.pyplot as plt
import numpy as np
import torch
import typer
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from fnevr.cost.bench import machine_name
from fnevr.cost.ceilings import measure_ceilings, seconds
from fnevr.cost.complexity import config_of
from fnevr.models import ARCHITECTURES
from fnevr.runtime.folding import fold

REPEATS = 5
app = typer.Typer(add_completion=False)


@dataclass
class Stage:
    """What one stage of a frame costs."""

    name: str
    gmacs: float
    gigabytes: float
    seconds: float


@app.command()
def main(
    target: Path,
    model: Annotated[list[str], typer.Option(help="A preset; repeatable.")],
) -> None:
    """Measure and draw."""
    ceilings = measure_ceilings("cpu")
    figure, axes = plt.subplots(figsize=(8, 5))
    intensity = np.geomspace(0.5, 1000, 200)
    roof = np.minimum(intensity * ceilings["copy, GB/s"], ceilings["float32"])
    axes.loglog(intensity, roof, color="black", label="measured limit, float32")
    for name, marker in zip(model, "osD^v", strict=False):
        for stage in stages(name):
            x, y = stage.gmacs / stage.gigabytes, stage.gmacs / stage.seconds
            axes.plot(x, y, marker, label=f"{name}: {stage.name}, {1e3 * stage.seconds:.0f} ms")
            typer.echo(f"{name}: {stage.name}: {x:.1f} MAC/byte, {y:.1f} GMAC/s")
    axes.set_xlabel("multiply-adds per byte")
    axes.set_ylabel("G multiply-adds per second")
    axes.set_title(f"PyTorch, folded, float32, {machine_name('cpu')}")
    axes.grid(visible=True, which="both", alpha=0.2)
    axes.legend(fontsize=7, loc="lower right")
    figure.tight_layout()
    figure.savefig(target, dpi=110)


@torch.inference_mode()
def stages(name: str) -> list[Stage]:
    """Measure the stages of one frame."""
    config = config_of(name)
    torch.manual_seed(0)
    model = fold(ARCHITECTURES[config.architecture](config).eval())
    image = torch.rand(1, 3, config.image_size, config.image_size)
    source = model.read_source(image)
    calls: dict[str, tuple[nn.Module, tuple, dict]] = {}
    hooks = [
        child.register_forward_pre_hook(
            lambda module, inputs, options, child_name=child_name: calls.update(
                {child_name: (module, inputs, options)}
            ),
            with_kwargs=True,
        )
        for child_name, child in model.named_children()
    ]

    def frame() -> None:
        model.draw(source, model.driving_keypoints(image, source.keypoints))

    frame()
    for hook in hooks:
        hook.remove()
    found = [
        measure(stage, module, partial(module, *inputs, **options))
        for stage, (module, inputs, options) in calls.items()
    ]
    return [*found, measure("whole frame", model, frame)]


def measure(name: str, module: nn.Module, run: Callable[[], object]) -> Stage:
    """Count and time one call."""
    sizes: list[int] = []

    def note(layer: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        weight = layer.weight
        assert isinstance(weight, torch.Tensor)
        sizes.append(inputs[0].numel() + output.numel() + weight.numel())

    layers = [m for m in module.modules() if isinstance(m, nn.Conv2d | nn.Conv3d | nn.Linear)]
    hooks = [layer.register_forward_hook(note) for layer in layers]
    with FlopCounterMode(display=False) as counter:
        run()
    for hook in hooks:
        hook.remove()
    took = seconds(run, "cpu", REPEATS)
    return Stage(name, counter.get_total_flops() / 2e9, 4e-9 * sum(sizes), took)


if __name__ == "__main__":
    app()
