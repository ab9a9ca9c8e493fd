"""How work that takes long says how far it is, and a bar on stderr that shows it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import ProgressColumn, Task, TaskID
    from rich.text import Text

Progress = Callable[[str, int, int | None], None]
"""Is told the stage, how many of its parts are done, and how many there are (None: unknown)."""


@contextmanager
def progress_bar(unit: str = "frames") -> Iterator[Progress]:
    """Show one bar per stage while the block runs; only where stderr is a terminal.

    Args:
        unit: what is counted.

    Yields:
        What to tell.
    """
    if not sys.stderr.isatty():
        yield _unseen
        return
    # Here, so that whoever tells its progress needs no library that draws it.
    from rich import progress as bars  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        _speed_column(unit),
        bars.TimeRemainingColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with bars.Progress(*columns, console=Console(stderr=True)) as shown:

        def update(stage: str, num_done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = shown.add_task(stage, total=total)
            shown.update(tasks[stage], completed=num_done, total=total)

        yield update


def _unseen(_stage: str, _num_done: int, _total: int | None) -> None:
    """Take what nobody sees."""


def _speed_column(unit: str) -> ProgressColumn:
    """Make a column that says how many units are done per second."""
    from rich.progress import ProgressColumn  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    class Speed(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:.1f} {unit}/s")

    return Speed()
