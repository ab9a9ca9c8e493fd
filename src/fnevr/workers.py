"""Independent jobs in processes of their own, which end with the one that started them."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from fnevr.errors import FnevrError

Job = TypeVar("Job")
Result = TypeVar("Result")


def in_workers(
    work: Callable[[Job], Result], jobs: Sequence[Job], workers: int
) -> Generator[tuple[Job, Result], None, None]:
    """Do all jobs; yield each with its result, as they are finished.

    Where the caller stops, or is interrupted, what the workers are at is left unfinished.

    Args:
        work: is called in a worker, so it, the jobs and the results must pass `pickle`. What it
            raises is raised here.
        jobs: what to do.
        workers: how many processes; with 1, or a single job, there is none but this one.

    Raises:
        FnevrError: if a worker is killed.
    """
    if workers == 1 or len(jobs) < 2:
        for job in jobs:
            yield job, work(job)
        return
    # Fresh processes: a fork would inherit the locks of this one's threads, and hang in torch.
    context = multiprocessing.get_context("spawn")
    others = multiprocessing.active_children()
    pool = ProcessPoolExecutor(min(workers, len(jobs)), context, end_with_parent)
    try:
        futures = {pool.submit(work, job): job for job in jobs}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        raise FnevrError(
            "a worker process was killed, perhaps for want of memory\n"
            "do the same again, with fewer workers; what is finished is kept",
            argument="workers",
        ) from error
    except BaseException:
        for process in set(multiprocessing.active_children()) - set(others):
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def end_with_parent() -> None:
    """End this worker when the process that started it is killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
