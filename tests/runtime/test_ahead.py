from __future__ import annotations

import threading
import time
from contextlib import closing

import pytest

from fnevr.runtime.ahead import Ahead, side_by_side


def wait_until(is_so):
    for _ in range(200):
        if is_so():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come to that")


def test_items_come_in_order_and_all_of_them():
    assert list(Ahead(range(50), 3)) == list(range(50))
    assert list(Ahead([], 1)) == []


def test_reading_goes_on_while_an_item_is_used_but_not_too_far():
    read = []

    def items():
        for index in range(20):
            read.append(index)
            yield index

    taken = Ahead(items(), 3)
    wait_until(lambda: read)  # before anything is asked for
    assert next(taken) == 0
    wait_until(lambda: len(read) == 5)  # the one taken, three that wait, one in the hand
    time.sleep(0.05)
    assert len(read) == 5
    taken.close()


def test_items_are_made_in_another_thread():
    def items():
        yield threading.get_ident()

    with closing(Ahead(items(), 1)) as taken:
        assert next(taken) != threading.get_ident()


def test_an_error_comes_after_the_items_before_it():
    def items():
        yield 1
        raise OSError("gone")

    taken = Ahead(items(), 4)
    assert next(taken) == 1
    with pytest.raises(OSError, match="gone"):
        next(taken)


def test_closing_closes_the_iterable_and_ends_the_thread():
    closed = []

    def items():
        try:
            while True:
                yield 0
        finally:
            closed.append(threading.current_thread())

    taken = Ahead(items(), 2)
    next(taken)
    taken.close()
    assert len(closed) == 1
    assert not closed[0].is_alive()


def test_two_stages_close_together():
    ends = []

    def items():
        try:
            yield from range(1000)
        finally:
            ends.append("first")

    def doubled(numbers):
        try:
            for number in numbers:
                yield 2 * number
        finally:
            ends.append("second")
            numbers.close()

    taken = Ahead(doubled(Ahead(items(), 2)), 2)
    assert [next(taken) for _ in range(3)] == [0, 2, 4]
    taken.close()
    assert ends == ["second", "first"]


def test_depth_is_checked():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        next(Ahead([1], 0))


def test_a_signal_while_the_thread_starts_leaves_nothing_running(monkeypatch):
    started = threading.Event()

    def items():
        while True:
            started.set()
            time.sleep(0.05)
            yield 0

    def start(thread):
        real_start(thread)
        started.wait(5)
        raise KeyboardInterrupt

    real_start = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", start)
    remaining = items()
    with pytest.raises(KeyboardInterrupt):
        next(Ahead(remaining, 1))
    remaining.close()  # would fail while it runs in the other thread


def test_a_signal_before_the_thread_is_alive_keeps_it_from_reading(monkeypatch):
    threads, read = [], []

    def items():
        read.append(0)
        yield 0

    def start(thread):
        threads.append(thread)
        raise KeyboardInterrupt

    real_start = threading.Thread.start
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(KeyboardInterrupt):
            next(Ahead(items(), 1))
    real_start(threads[0])
    threads[0].join()
    assert read == []


def test_results_come_in_order_while_others_are_made():
    both = threading.Barrier(2, timeout=5)

    def work(number):
        both.wait()  # passes only if two threads are at work
        time.sleep(0.02 if number % 2 == 0 else 0)  # the first of two is the slower one
        return 10 * number

    assert list(side_by_side(work, range(8), 2)) == [10 * number for number in range(8)]


@pytest.mark.parametrize(("at_once", "most_read"), [(1, 1), (2, 3)])
def test_items_are_read_only_so_far(at_once, most_read):
    read = []

    def items():
        for index in range(10):
            read.append(index)
            yield index

    with closing(side_by_side(str, items(), at_once)) as results:
        assert read == []
        assert next(results) == "0"
        assert len(read) == most_read
    assert len(read) == most_read


@pytest.mark.parametrize("at_once", [1, 2])
def test_an_error_comes_where_its_result_would_have_come(at_once):
    def work(number):
        return 1 / (2 - number)

    results = side_by_side(work, range(6), at_once)
    assert [next(results), next(results)] == [0.5, 1.0]
    with pytest.raises(ZeroDivisionError):
        next(results)
