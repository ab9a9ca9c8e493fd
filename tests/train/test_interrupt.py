"""In processes of their own: with OpenVINO loaded, a handled signal has ended that of the tests."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import signal, sys
from fnevr.train.interrupt import stop_on_signals

number = signal.Signals[sys.argv[1]]
before = signal.getsignal(number)
with stop_on_signals() as should_stop:
    print(should_stop())
    signal.raise_signal(number)
    print(should_stop())
    try:
        signal.raise_signal(number)
    except KeyboardInterrupt:
        print("interrupted")
print(signal.getsignal(number) == before)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_the_first_signal_asks_and_the_second_interrupts(name):
    result = subprocess.run(
        [sys.executable, "-c", CODE, name], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout.split() == ["False", "True", "interrupted", "True"]
