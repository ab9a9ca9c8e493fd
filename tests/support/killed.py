"""What killed processes leave behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fnevr.media.leftovers import _sweep_once

NAME = "from fnevr.media.leftovers import temporary_name; print(temporary_name())"


def left_by_a_kill(folder: Path, suffix: str = "") -> Path:
    """Return the path of an unfinished file of a process that is no more."""
    done = subprocess.run([sys.executable, "-c", NAME], capture_output=True, text=True, check=True)
    _sweep_once.cache_clear()  # as in a new process
    return folder / f"{done.stdout.strip()}{suffix}"
