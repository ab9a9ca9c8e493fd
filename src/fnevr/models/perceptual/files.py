"""Files of networks that others publish: where they lie, and whether they are the right ones."""

from __future__ import annotations

from pathlib import Path

import torch

from fnevr.errors import CheckpointError, MediaError
from fnevr.media.files import file_sha256


def hub_file(name: str) -> Path:
    """Return where torch.hub keeps a file of this name."""
    return Path(torch.hub.get_dir()) / "checkpoints" / name


def check_file(path: Path, sha256: str, remedy: str) -> str:
    """Check what file it is, and return its SHA-256.

    Args:
        path: the file.
        sha256: its SHA-256 in hexadecimal digits, or the first of them; "" takes any file.
        remedy: what to do about a wrong file, for the message.

    Raises:
        CheckpointError: if the file cannot be read or is another one.
    """
    try:
        actual = file_sha256(path)
    except MediaError as error:
        reason = f"{path}: cannot read the weights ({error})"
        if not path.exists():
            reason = f"no such file: '{path}'"
        raise CheckpointError(f"{reason}.\n{remedy}") from error
    if not actual.startswith(sha256):
        raise CheckpointError(
            f"{path}: not the file that is wanted: its SHA-256 begins with {actual[:8]}, wanted "
            f"{sha256[:8]}.\n{remedy}"
        )
    return actual
