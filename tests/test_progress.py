"""Progress where there is no terminal: a line now and then, none for short work."""

import time

import pytest

from fnevr import progress
from fnevr.progress import progress_bar


@pytest.fixture
def often(monkeypatch):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.05)


def test_lines_come_while_one_part_takes_long(often, capsys):
    with progress_bar("graphs") as tell:
        tell("exporting draw", 2, 4)
        time.sleep(0.3)
        tell("exporting blend", 3, 4)
        time.sleep(0.3)
    told = capsys.readouterr().err.splitlines()
    assert sum(line.startswith("exporting draw: 2 of 4 graphs (") for line in told) >= 2
    assert sum(line.startswith("exporting blend: 3 of 4 graphs (") for line in told) >= 2
    assert told[-1].endswith(" s)")


def test_nothing_is_told_before_work_or_after_it(often, capsys):
    with progress_bar():
        time.sleep(0.2)
    with progress_bar() as tell:
        tell("animating", 1, None)
    time.sleep(0.2)
    assert capsys.readouterr().err == ""


def test_short_work_prints_no_line(capsys):
    with progress_bar() as tell:
        for index in range(100):
            tell("animating", index, 100)
    assert capsys.readouterr() == ("", "")
