"""The processor time and memory of whole commands, each in a process of its own."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

LIMIT_SECONDS = 20
LIMIT_BYTES = 1_200_000_000
# Not getrusage: its peak includes that of the process which started this one.
STATUS = Path("/proc/self/status")
RUN = """
import re
from pathlib import Path
from fnevr.cli import main
try:
    main()
finally:
    print(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


class Measured(NamedTuple):
    """What a command did; its seconds are those of processors, user and system."""

    code: int
    seconds: float
    peak_bytes: int
    errors: str


def measured(*arguments: Any, folder: Path | None = None) -> Measured:
    """Run a command in a folder, and measure it."""
    if not STATUS.exists():
        pytest.skip("peak memory is measured on Linux only")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", RUN, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured(done.returncode, seconds, int(done.stdout.split()[-1]) * 1024, done.stderr)
