"""Files that appear only when they are complete, and checks of a path before work starts."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fnevr.errors import MediaError

PathLike = str | os.PathLike[str]


def readable_file(path: PathLike, kind: str) -> Path:
    """Check that a path is a regular file with something in it.

    Args:
        path: the file.
        kind: what it should be, for the message: "an image", "a video".

    Returns:
        The path.

    Raises:
        MediaError: if it is missing, not a regular file, unreadable or empty.
    """
    path = Path(path)
    try:
        if not path.exists():
            raise MediaError(f"no such file: '{path}' ({kind} was expected); check the spelling")
        if not path.is_file():
            raise MediaError(f"'{path}' is not a regular file; {kind} was expected")
        with path.open("rb") as file:
            is_empty = not file.read(1)
    except (OSError, ValueError) as error:
        raise MediaError(f"cannot read '{path}': {_reason(error)}") from error
    if is_empty:
        raise MediaError(f"'{path}' is empty (0 bytes); {kind} was expected: copy it again")
    return path


def check_target(path: PathLike) -> Path:
    """Say before any work whether a file can be written at a path.

    Args:
        path: the file to be. A link is followed, so that the file it points to is replaced.

    Returns:
        The path that will be replaced.

    Raises:
        MediaError: if the folder is missing or cannot be written, or something that is not a
            regular file is in the way.
    """
    try:
        target = Path(path).resolve()
        if target.exists() and not target.is_file():
            raise MediaError(f"cannot write '{path}': it exists and is not a regular file")
        if not target.parent.is_dir():
            raise MediaError(
                f"cannot write '{path}': the folder '{target.parent}' does not exist; create it"
            )
        can_write = os.access(target.parent, os.W_OK | os.X_OK)
    except (OSError, ValueError, RuntimeError) as error:
        raise MediaError(f"cannot write '{path}': {_reason(error)}") from error
    if not can_write:
        raise MediaError(
            f"cannot write '{path}': no permission to write in the folder '{target.parent}'"
        )
    return target


@contextmanager
def atomic_path(path: PathLike) -> Iterator[Path]:
    """Yield a hidden temporary path beside ``path``, renamed to it when the block ends well.

    After any exception, ``KeyboardInterrupt`` included, the temporary file is removed and what
    was at ``path`` before is untouched.

    Args:
        path: where the result goes; the temporary file has the same suffix.

    Yields:
        The path to write to. It exists already, empty.

    Raises:
        MediaError: if the folder is missing or cannot be written.
    """
    target = check_target(path)
    temporary = target.parent / f".fnevr-{secrets.token_hex(8)}{target.suffix}"
    try:
        try:
            temporary.touch(exist_ok=False)
            mode = temporary.stat().st_mode
        except OSError as error:
            raise MediaError(f"cannot write '{path}': {_reason(error)}") from error
        yield temporary
        try:
            temporary.chmod(mode)  # safetensors makes its files private
            temporary.replace(target)
        except OSError as error:
            raise MediaError(f"cannot write '{path}': {_reason(error)}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def home() -> Path:
    """Return the user's folder, or a place without files for users who have none."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(os.devnull)


def file_sha256(path: Path) -> str:
    """Return the hexadecimal sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(error: Exception) -> str:
    """Return the operating system's words without the path, which the message already has."""
    return getattr(error, "strerror", None) or str(error)
