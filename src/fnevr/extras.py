"""What comes with extras of the package, and how to get it when it is asked for."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from fnevr.errors import FnevrError

SOURCES = Path(__file__).resolve().parents[2]  # where the package runs from a checkout


def how_to_install(extra: str) -> str:
    """Return the command that installs an extra, from the sources: no package index has fnevr."""
    if (SOURCES / "pyproject.toml").is_file():
        return f"pip install -e '{SOURCES}[{extra}]'"
    return f"in the folder with fnevr's sources, pip install '.[{extra}]'"


def has_torch() -> bool:
    """Return whether PyTorch is installed, without importing it."""
    return find_spec("torch") is not None


def need_torch(what: str) -> None:
    """Raise FnevrError unless PyTorch is installed.

    Args:
        what: needs it, as the beginning of the message: "the engine 'torch'".
    """
    if not has_torch():
        raise FnevrError(f"{what} needs PyTorch, which is not installed: {how_to_install('torch')}")
