"""Time one pose edit of a portrait whose source is ready.

    taskset -c 0,1 python benchmarks/edit.py PICTURE --threads 2

The picture of the model's size, and pasted back into the whole picture; medians of 30.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import torch
import typer

from fnevr import Animator
from fnevr.animation.source import Framing
from fnevr.media.image import read_image

COUNT = 30


def main(picture: Path, model: str = "lite", threads: int = 2) -> None:
    """Print milliseconds."""
    torch.set_num_threads(threads)
    rgb, animator = read_image(picture), Animator.from_pretrained(model)
    for name, framing in (
        ("alone", Framing(paste_back=False)),
        (f"pasted back, {rgb.shape[1]} x {rgb.shape[0]}", Framing()),
    ):
        start = time.perf_counter()
        editor = animator.pose_editor(rgb, framing)
        ready = time.perf_counter() - start
        times = []
        for index in range(COUNT + 3):
            start = time.perf_counter()
            editor(float(index - 15))
            times.append(time.perf_counter() - start)
        median = statistics.median(times[3:])
        typer.echo(f"{name}: {1000 * median:.0f} ms, source made ready in {ready:.2f} s")


if __name__ == "__main__":
    typer.run(main)
