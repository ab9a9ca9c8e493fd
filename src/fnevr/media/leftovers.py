"""Unfinished files and folders that a killed process left, and the names that tell whose they are.

A name holds its process and the machine that it runs on. What is of this machine, and of a process
that is no more, is removed by the next one that writes into the same folder. All else stays: it may
be of a process elsewhere, in a container or on another machine that shares the folder.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import re
import secrets
import shutil
from contextlib import suppress
from functools import cache
from pathlib import Path

PREFIX = ".fnevr-"
NAME = re.compile(r"\.fnevr-(\d+)-([0-9a-f]{12})-[0-9a-f]{16}(\..*)?", re.DOTALL)

logger = logging.getLogger(__name__)


def temporary_name(suffix: str = "") -> str:
    """Return a new hidden name of this process, with the ending of the file to be."""
    return f"{PREFIX}{os.getpid()}-{machine()}-{secrets.token_hex(8)}{suffix}"


@cache
def machine() -> str:
    """Return what tells apart machines, their starts, and containers with their own processes."""
    parts = [platform.node()]
    with suppress(OSError):  # these are of Linux
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def sweep(folder: Path) -> None:
    """Remove what killed processes left in a folder; a process looks once into each."""
    _sweep_once(folder, os.getpid())


@cache
def _sweep_once(folder: Path, _process: int) -> None:
    if os.name == "nt":  # no harmless way to ask for a process
        return
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = NAME.fullmatch(entry.name)
            if match and match[2] == machine() and not _is_running(int(match[1])):
                _remove(Path(entry.path), is_folder=entry.is_dir(follow_symlinks=False))


def _remove(path: Path, *, is_folder: bool) -> None:
    logger.info("removing '%s', which a process left that was killed", path)
    if is_folder:
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's, or no number of a process
        return True
    return True
