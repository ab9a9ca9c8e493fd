"""What comes with extras of the package, and how to get it when it is asked for."""

from __future__ import annotations

from importlib.util import find_spec

from fnevr.errors import FnevrError

TORCH = "pip install 'fnevr[torch]'"


def has_torch() -> bool:
    """Return whether PyTorch is installed, without importing it."""
    return find_spec("torch") is not None


def need_torch(what: str) -> None:
    """Raise FnevrError unless PyTorch is installed.

    Args:
        what: needs it, as the beginning of the message: "the engine 'torch'".
    """
    if not has_torch():
        raise FnevrError(f"{what} needs PyTorch, which is not installed: {TORCH}")
