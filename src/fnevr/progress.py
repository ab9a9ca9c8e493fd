"""How long work says how far it is: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import ProgressColumn, Task, TaskID
    from rich.text import Text

LINE_SECONDS = 20.0  # between lines where there is no terminal; short work prints none

Progress = Callable[[str, int, int | None], None]
"""Is told the stage, how many of its parts are done, and how many there are (None: unknown)."""


@contextmanager
def progress_bar(unit: str = "frames") -> Iterator[Progress]:
    """Show how far the work is on stderr while the block runs.

    A terminal gets one bar per stage; a file or a pipe gets a line every `LINE_SECONDS`.

    Args:
        unit: what is counted.

    Yields:
        What to tell.
    """
    if not sys.stderr.isatty():
        with _progress_lines(unit) as tell:
            yield tell
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


@contextmanager
def _progress_lines(unit: str) -> Iterator[Progress]:
    """Print a line every `LINE_SECONDS`, also while one part of the work takes longer."""
    start, latest, is_over = time.monotonic(), [""], threading.Event()

    def tell(stage: str, num_done: int, total: int | None) -> None:
        latest[0] = f"{stage}: {num_done}{'' if total is None else f' of {total}'} {unit}"

    def print_lines() -> None:
        while not is_over.wait(LINE_SECONDS):
            if latest[0]:
                print(f"{latest[0]} ({time.monotonic() - start:.0f} s)", file=sys.stderr)  # noqa: T201

    thread = threading.Thread(target=print_lines, daemon=True)
    thread.start()
    try:
        yield tell
    finally:
        is_over.set()
        thread.join()


def _speed_column(unit: str) -> ProgressColumn:
    """Make a column that says how many units are done per second."""
    from rich.progress import ProgressColumn  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    class Speed(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:.1f} {unit}/s")

    return Speed()
