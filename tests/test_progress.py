"""Progress where there is no terminal: a line now and then, none for short work."""

import re
import time

import pytest

from fnevr import progress
from fnevr.progress import left_text, progress_bar


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
    assert told[0].endswith(" s)")  # nothing of the stage is done, so nobody knows


def test_lines_say_how_long_a_stage_still_takes(often, capsys):
    with progress_bar("clips") as tell:
        tell("cutting", 0, 9)
        tell("scoring", 4, 10)  # those were done in an earlier run
        time.sleep(0.3)
        tell("scoring", 5, 10)
        time.sleep(0.12)
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("scoring: 4 of 10 clips (")
    assert "left" not in told[0]
    # A part took 0.3 s, and 5 are left.
    assert re.fullmatch(r"scoring: 5 of 10 clips \(\d s, about [12] s left\)", told[-1])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 s"), (119.0, "119 s"), (121.0, "2 min"), (7199.0, "120 min"), (36000.0, "10 h")],
)
def test_times_are_said_as_exactly_as_guesses_are(seconds, text):
    assert left_text(seconds) == f"about {text} left"


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
