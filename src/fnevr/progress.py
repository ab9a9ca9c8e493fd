"""How long work says how far it is: a bar on a terminal, elsewhere a line now and then.

Both say how long the present stage still takes, once a part of it is done.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
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
    start, is_over = time.monotonic(), threading.Event()
    latest: list[_Stage] = []

    def tell(stage: str, num_done: int, total: int | None) -> None:
        now = time.monotonic()
        if latest and latest[0].name == stage:
            latest[0] = replace(latest[0], num_done=num_done, total=total, told_at=now)
        else:
            latest[:] = [_Stage(stage, num_done, now, num_done, total, now)]

    def print_lines() -> None:
        while not is_over.wait(LINE_SECONDS):
            for stage in latest:
                now = time.monotonic()
                left = stage.seconds_left(now)
                when = f"{now - start:.0f} s" + ("" if left is None else f", {left_text(left)}")
                print(f"{stage.text(unit)} ({when})", file=sys.stderr)  # noqa: T201

    thread = threading.Thread(target=print_lines, daemon=True)
    thread.start()
    try:
        yield tell
    finally:
        is_over.set()
        thread.join()


@dataclass(frozen=True)
class _Stage:
    """A stage of the work, as it was told of last.

    Attributes:
        name: of the stage.
        num_before: parts that were done when it began, in an earlier run.
        began_at: when it was first told of, in seconds.
        num_done: parts that are done.
        total: how many there are; None if that is not known.
        told_at: when it was told of last, in seconds.
    """

    name: str
    num_before: int
    began_at: float
    num_done: int
    total: int | None
    told_at: float

    def text(self, unit: str) -> str:
        of = "" if self.total is None else f" of {self.total}"
        return f"{self.name}: {self.num_done}{of} {unit}"

    def seconds_left(self, now: float) -> float | None:
        """Return how long the stage still takes if its parts take as long; None: unknown."""
        num_here = self.num_done - self.num_before
        if self.total is None or num_here < 1 or self.num_done >= self.total:
            return None
        each = (self.told_at - self.began_at) / num_here
        left = each * (self.total - self.num_done) - (now - self.told_at)
        return left if left > 0 else None  # a part takes longer than those before


def left_text(seconds: float) -> str:
    """Say how long something still takes, as exactly as such a guess is."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"about {seconds / size:.0f} {unit} left"
    return f"about {seconds:.0f} s left"


def _speed_column(unit: str) -> ProgressColumn:
    """Make a column that says how many units are done per second."""
    from rich.progress import ProgressColumn  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    class Speed(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:.1f} {unit}/s")

    return Speed()
