"""Run stages of a pipeline side by side: the next item is made while the present one is used."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar, cast

Item = TypeVar("Item")
Result = TypeVar("Result")

POLL_S = 0.1


class Ahead(Iterator[Item]):
    """Reads an iterable in a thread of its own, at most `depth` items ahead, from the start on.

    An exception of the iterable comes where its item would have come.

    Args:
        items: is read, and closed, in the other thread alone.
        depth: how many items may wait, at least 1.

    Raises:
        ValueError: if `depth` is smaller.
    """

    def __init__(self, items: Iterable[Item], depth: int) -> None:
        if depth < 1:
            raise ValueError(f"depth must be at least 1, got {depth}")
        self._waiting: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(
            target=_read, args=(items, self._waiting, self._stopped), daemon=True
        )
        try:
            self._thread.start()
        except BaseException:  # a signal; a thread that is not alive yet will not read
            self.close()
            raise

    def __next__(self) -> Item:
        if self._stopped.is_set():
            raise StopIteration
        kind, value = self._waiting.get()
        if kind == "item":
            return cast("Item", value)
        self.close()
        if kind == "error":
            raise value
        raise StopIteration

    def close(self) -> None:
        """End the thread after the item it is at, and close the iterable."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()


def side_by_side(
    work: Callable[[Item], Result], items: Iterable[Item], at_once: int
) -> Generator[Result, None, None]:
    """Yield what `work` makes of each item, in order, while it works on the next ones.

    Args:
        work: is called by several threads at the same time, unless `at_once` is 1.
        items: are read by the thread that asks for results, up to `at_once` ahead.
        at_once: how many threads work. With 1 there is none, and nothing is read ahead.
    """
    if at_once == 1:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(at_once) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > at_once:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _read(
    items: Iterable[Any], waiting: queue.Queue[tuple[str, Any]], stopped: threading.Event
) -> None:
    """Put items, then "end" or the exception, until told to stop."""
    if stopped.is_set():
        return
    remaining = iter(items)
    last: tuple[str, Any] = ("end", None)
    try:
        for item in remaining:
            if not _put(waiting, ("item", item), stopped):
                break
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised where items are used
        last = ("error", error)
    if stopped.is_set() and hasattr(remaining, "close"):
        with suppress(Exception):
            remaining.close()
    _put(waiting, last, stopped)


def _put(
    waiting: queue.Queue[tuple[str, Any]], entry: tuple[str, Any], stopped: threading.Event
) -> bool:
    """Put an entry when there is room; return False if told to stop before."""
    while not stopped.is_set():
        try:
            waiting.put(entry, timeout=POLL_S)
        except queue.Full:
            continue
        return True
    return False
