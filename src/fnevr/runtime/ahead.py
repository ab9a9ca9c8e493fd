"""Run stages of a pipeline side by side: the next item is made while the present one is used."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from contextlib import suppress
from typing import Any, TypeVar

Item = TypeVar("Item")

POLL_S = 0.1


def ahead(items: Iterable[Item], depth: int) -> Generator[Item, None, None]:
    """Read an iterable in a thread of its own, at most `depth` items ahead.

    Reading starts when the first item is asked for. An exception of the iterable comes where its
    item would have come. Closing the generator ends the thread after the item it is at, and closes
    the iterable.

    Args:
        items: is read, and closed, in the other thread alone.
        depth: how many items may wait, at least 1.

    Raises:
        ValueError: if `depth` is smaller.
    """
    if depth < 1:
        raise ValueError(f"depth must be at least 1, got {depth}")
    waiting: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=depth)
    stopped = threading.Event()
    thread = threading.Thread(target=_read, args=(items, waiting, stopped), daemon=True)
    try:
        thread.start()
        while True:
            kind, value = waiting.get()
            if kind == "item":
                yield value
            elif kind == "error":
                raise value
            else:
                return
    finally:
        stopped.set()
        # A signal may arrive while the thread starts; one that is not alive yet will not read.
        if thread.is_alive():
            thread.join()


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
