"""Jobs in processes of their own: all are done, and nobody waits for what is not wanted."""

from __future__ import annotations

import multiprocessing
import os
import time

import pytest

from fnevr.errors import FnevrError
from fnevr.workers import in_workers


@pytest.mark.parametrize("workers", [1, 2])
def test_every_job_comes_with_its_result(workers):
    assert dict(in_workers(abs, [-3, 4, -5], workers)) == {-3: 3, 4: 4, -5: 5}


@pytest.mark.parametrize("workers", [1, 2])
def test_what_work_raises_is_raised_here(workers):
    with pytest.raises(ValueError, match="'face'"):
        list(in_workers(int, ["1", "face"], workers))


def test_a_worker_that_is_killed_says_what_to_do():
    with pytest.raises(FnevrError, match="with fewer workers; what is finished is kept"):
        list(in_workers(os._exit, [9, 9], 2))


def test_whoever_stops_waits_for_no_job():
    before = multiprocessing.active_children()
    results = in_workers(time.sleep, [0.0, 120.0, 120.0], 2)
    assert next(results) == (0.0, None)
    start_s = time.monotonic()
    results.close()
    assert time.monotonic() - start_s < 30
    assert multiprocessing.active_children() == before
