"""Seconds from the command to the first frame, and peak memory, of one or more environments.

    python benchmarks/first_frame.py .venv/bin/python /other/venv/bin/python --runs 5

Each environment has fnevr installed. They animate the bundled portrait, by the bundled motion or a
driver of one's own, in turns: round after round, so that a machine that slows down slows all. The
clock starts before Python does and stops when the first frame is given to the encoder. Linux and
macOS alone.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

CHILD = """
import sys, time
from fnevr.media import writer
write = writer.VideoWriter.write
def first(self, *arguments):
    print("first frame", time.time(), flush=True)
    writer.VideoWriter.write = write
    return write(self, *arguments)
writer.VideoWriter.write = first
from fnevr.cli import main
sys.argv = ["fnevr", *sys.argv[1:]]
main()
"""
MIB = 1024 if sys.platform == "linux" else 1024**2  # what `ru_maxrss` counts, per MiB


def main(
    pythons: Annotated[list[Path], typer.Argument(help="Interpreters of the environments.")],
    runs: Annotated[int, typer.Option(min=1, help="Rounds; medians count.")] = 5,
    arguments: Annotated[
        str, typer.Option(help="Of `fnevr animate`, besides the output.")
    ] = "--best-frame first",
) -> None:
    """Measure and print a table."""
    found: dict[Path, list[tuple[float, float, float]]] = {python: [] for python in pythons}
    with tempfile.TemporaryDirectory() as folder:
        command = ["animate", *arguments.split(), "-o", str(Path(folder) / "out.mp4")]
        for python in pythons:
            measure(python, command)  # the first run fills caches
        for _ in range(runs):
            for python in pythons:
                found[python].append(measure(python, command))
    typer.echo("| environment | first frame, s | whole command, s | peak memory, MiB |")
    typer.echo("|---|---|---|---|")
    for python, rows in found.items():
        first, whole, peak = (median(column) for column in zip(*rows, strict=True))
        each = ", ".join(f"{row[0]:.2f}" for row in rows)
        typer.echo(f"| {python} | {first:.2f} ({each}) | {whole:.2f} | {peak:.0f} |")


def measure(python: Path, command: list[str]) -> tuple[float, float, float]:
    """Run one command; return seconds to the first frame, seconds in all, and peak memory."""
    read_end, write_end = os.pipe()
    start = time.time()
    arguments = [str(python), "-c", CHILD, *command]
    actions = [(os.POSIX_SPAWN_DUP2, write_end, 1)]
    child = os.posix_spawn(str(python), arguments, os.environ, file_actions=actions)
    os.close(write_end)
    with os.fdopen(read_end) as output:
        text = output.read()
    _, status, usage = os.wait4(child, 0)
    if status:
        raise typer.Exit(1)
    first = next(float(line.split()[-1]) for line in text.splitlines() if "first frame" in line)
    return first - start, time.time() - start, usage.ru_maxrss / MIB


if __name__ == "__main__":
    typer.run(main)
