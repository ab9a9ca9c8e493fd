"""A progress bar on stderr, with the speed and the time left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class Speed(ProgressColumn):
    """How many units are done per second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        """Draw the column."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} {self.unit}/s")


@contextmanager
def progress_bar(unit: str = "frames") -> Iterator[Callable[[str, int, int | None], None]]:
    """Show one bar per stage while the block runs; only where stderr is a terminal.

    Args:
        unit: what is counted.

    Yields:
        A function to call with the stage, how many are done, and how many there are if known.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Speed(unit),
        TimeRemainingColumn(),
    )
    tasks: dict[str, TaskID] = {}
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:

        def update(stage: str, num_done: int, num_frames: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=num_frames)
            progress.update(tasks[stage], completed=num_done, total=num_frames)

        yield update
