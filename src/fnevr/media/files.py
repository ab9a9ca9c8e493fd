"""Files that appear only when they are complete, and checks of a path before work starts."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tokenize
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path

from safetensors import SafetensorError

from fnevr.errors import MediaError, WriteError
from fnevr.media.leftovers import sweep, temporary_name

PathLike = str | os.PathLike[str]

# What damaged files make NumPy raise, which parses the headers of arrays as Python.
ARRAY_DAMAGE = (
    OSError, ValueError, TypeError, KeyError, IndexError, EOFError, AttributeError, MemoryError,
    OverflowError, RecursionError, SyntaxError, tokenize.TokenError,
)  # fmt: skip
# Full disk, quota, file size limit: Windows has no quota.
NO_ROOM = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


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
        if path.is_dir():
            raise MediaError(f"'{path}' is a folder, not a regular file; {kind} was expected")
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
        WriteError: if the folder is missing or cannot be written, or something that is not a
            regular file is in the way.
    """
    try:
        target = Path(path).resolve()
        if target.exists() and not target.is_file():
            raise WriteError(f"cannot write '{path}': it exists and is not a regular file")
        if not target.parent.is_dir():
            raise WriteError(
                f"cannot write '{path}': the folder '{target.parent}' does not exist; create it"
            )
        can_write = os.access(target.parent, os.W_OK | os.X_OK)
    except (OSError, ValueError, RuntimeError) as error:
        raise write_error(path, error) from error
    if not can_write:
        raise WriteError(
            f"cannot write '{path}': no permission to write in the folder '{target.parent}'"
        )
    return target


def check_folder_target(path: PathLike) -> None:
    """Say before any work whether a folder is there to be written into, or can be made.

    Raises:
        WriteError: if it cannot be written or made, or a file is in the way.
    """
    try:
        folder = Path(path).resolve()
        around = next(place for place in (folder, *folder.parents) if place.exists())
        is_folder, can_write = around.is_dir(), os.access(around, os.W_OK | os.X_OK)
    except (OSError, ValueError, RuntimeError) as error:
        raise write_error(path, error) from error
    if not is_folder:
        raise WriteError(f"cannot make the folder '{path}': '{around}' is a file")
    if not can_write:
        raise WriteError(
            f"cannot write into '{path}': no permission to write in the folder '{around}'"
        )


def is_same_file(one: PathLike, other: PathLike) -> bool:
    """Tell whether two paths lead to one file or folder, also by links and before it exists."""
    try:
        if Path(one).exists() and Path(other).exists():
            return Path(one).samefile(other)
        return os.path.normcase(Path(one).resolve()) == os.path.normcase(Path(other).resolve())
    except (OSError, ValueError, RuntimeError):
        return False  # one of them cannot be opened at all, and whoever does so says why


def check_apart(
    reads: Mapping[str, PathLike | None], writes: Mapping[str, PathLike | None]
) -> None:
    """Say before any work if something is to be written where an input or another output is.

    Args:
        reads: inputs, by what a message calls them; None stands for what is not given.
        writes: outputs, in the same way.

    Raises:
        MediaError: if two of them lead to one file, by another name or a link among others.
    """
    taken = {name: path for name, path in reads.items() if path is not None}
    for name, path in writes.items():
        if path is None:
            continue
        for other, other_path in taken.items():
            if is_same_file(path, other_path):
                role = "an input and an output" if other in reads else "two outputs"
                raise MediaError(
                    f"{name} and {other} are both '{path}': {role} cannot be one file; "
                    f"choose another {name}"
                )
        taken[name] = path


@contextmanager
def atomic_path(path: PathLike) -> Iterator[Path]:
    """Yield a hidden temporary path beside ``path``, renamed to it when the block ends well.

    After any exception, ``KeyboardInterrupt`` included, the temporary file is removed and what
    was at ``path`` before is untouched. What killed processes left beside it is removed too.

    Args:
        path: where the result goes; the temporary file has the same suffix.

    Yields:
        The path to write to. It exists already, empty.

    Raises:
        WriteError: if the folder is missing, or the file cannot be written in the block.
    """
    target = check_target(path)
    sweep(target.parent)
    temporary = target.parent / temporary_name(target.suffix)
    try:
        with writing(path, temporary):
            temporary.touch(exist_ok=False)
            mode = temporary.stat().st_mode
            yield temporary
            temporary.chmod(mode)  # safetensors makes its files private
            temporary.replace(target)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def writing(path: PathLike, place: Path | None = None) -> Iterator[None]:
    """Turn what the system refuses while a file or folder is written into one clear error.

    An error that names a file elsewhere is one of reading, and passes.

    Args:
        path: what is written, for the message.
        place: where it is written, if that is another path for the time being.

    Raises:
        WriteError: if it cannot be written, as when the disk is full.
    """
    place = Path(path) if place is None else place
    try:
        yield
    except (OSError, SafetensorError) as error:
        elsewhere = getattr(error, "filename", None)
        if elsewhere is not None and not os.fsdecode(elsewhere).startswith(str(place)):
            raise
        raise write_error(path, error) from error


@contextmanager
def partial_folder(folder: PathLike) -> Iterator[Path]:
    """Yield a hidden new folder beside ``folder``, to be moved there once it is filled.

    It has the usual permissions, and is removed with what is still in it when the block ends.

    Raises:
        WriteError: if it, or something in it, cannot be written in the block.
    """
    folder = Path(folder)
    make_folder(folder.parent)
    if folder.exists() and not folder.is_dir():
        raise WriteError(f"cannot make the folder '{folder}': a file is in the way")
    sweep(folder.parent)
    partial = folder.parent / temporary_name()
    try:
        with writing(folder, folder.parent):
            partial.mkdir()
            yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def make_folder(path: PathLike) -> Path:
    """Make a folder, and those around it, unless it exists.

    Raises:
        WriteError: if it cannot be made, or a file is in the way.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise WriteError(f"cannot make the folder '{path}': a file is in the way") from error
    except (OSError, ValueError) as error:
        raise WriteError(f"cannot make the folder '{path}': {_reason(error)}") from error
    return folder


def write_error(path: PathLike, error: Exception) -> WriteError:
    """Say that a path cannot be written, why, and what to do about a full disk."""
    reason = _reason(error)
    is_full = getattr(error, "errno", None) in NO_ROOM or any(
        os.strerror(number) in reason for number in NO_ROOM
    )
    remedy = "\nmake room, or write to another disk" if is_full else ""
    return WriteError(f"cannot write '{path}': {reason}{remedy}")


def home() -> Path:
    """Return the user's folder, or a place without files for users who have none."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(os.devnull)


def unpacked_bytes(file: Path | BytesIO) -> int:
    """Return how long the entries of a zip file are together; more than the file: compressed.

    Raises:
        BadZipFile: if it is none, or damaged.
    """
    with zipfile.ZipFile(file) as archive:
        return sum(entry.file_size for entry in archive.infolist())


def file_sha256(path: Path) -> str:
    """Return the hexadecimal sha256 of a file.

    Raises:
        MediaError: if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MediaError(f"cannot read '{path}': {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Return the operating system's words without the path, which the message already has."""
    return getattr(error, "strerror", None) or str(error)
