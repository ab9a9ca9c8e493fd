"""Frames per second of a model: its stages alone, and a whole `animate` from file to file.

    python benchmarks/speed.py talk.mp4 [--source me.jpg] [--threads 2] [--json -]

Medians of repeated runs after a warm-up; run it on an idle machine, on as many cores as threads.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import typer

from fnevr import Animator
from fnevr.animation.source import Framing, draw, prepare
from fnevr.config.presets import asset
from fnevr.media.image import read_image
from fnevr.versions import versions


def main(
    driving: Path,
    source: Annotated[Path | None, typer.Option(help="Default: the bundled portrait.")] = None,
    model: str = "lite",
    threads: int = 2,
    repeats: int = 15,
    json_file: Annotated[str | None, typer.Option("--json")] = None,
) -> None:
    """Measure and print a table."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    picture_path = source or asset("portrait.jpg")
    rows = {}
    for batch_size in (1, 4):
        animator = Animator.from_pretrained(model, device="cpu", batch_size=batch_size)
        rows |= _stages(animator, picture_path, batch_size, repeats)
    animator = Animator.from_pretrained(model, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        reports = [
            animator.animate(picture_path, driving, Path(folder) / "out.mp4") for _ in range(3)
        ]
    rows["animate, file to file"] = median(report.frames_per_second for report in reports)
    for name, rate in rows.items():
        typer.echo(f"{name:45} {rate:8.1f} frames/s")
    if json_file:
        result = {
            "threads": threads,
            "machine": platform.processor() or platform.machine(),
            "output": f"{reports[0].frames} frames of {reports[0].width} x {reports[0].height}",
            "frames_per_second": rows,
            "versions": versions(),
        }
        text = json.dumps(result, indent=1)
        if json_file == "-":
            typer.echo(text)
        else:
            Path(json_file).write_text(text + "\n", encoding="utf-8")


def _stages(
    animator: Animator, picture_path: Path, batch_size: int, repeats: int
) -> dict[str, float]:
    """Rate of the detector, of generation with cached source, and of both."""
    engine = animator.engine
    prepared = prepare(engine, read_image(picture_path), Framing())
    size = engine.config.image_size
    images_01 = np.random.default_rng(0).random((batch_size, 3, size, size), np.float32)
    keypoints = engine.keypoints(images_01)
    stages: dict[str, Callable[[], object]] = {
        "keypoints": lambda: engine.keypoints(images_01),
        "generation (source cached)": lambda: draw(engine, prepared, keypoints),
        "keypoints and generation": lambda: draw(engine, prepared, engine.keypoints(images_01)),
    }
    return {
        f"{name}, batch {batch_size}": batch_size / _median_seconds(run, repeats)
        for name, run in stages.items()
    }


def _median_seconds(run: Callable[[], object], repeats: int) -> float:
    for _ in range(3):
        run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return median(times)


if __name__ == "__main__":
    typer.run(main)
