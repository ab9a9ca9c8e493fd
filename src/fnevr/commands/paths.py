"""The files of a command, named once: errors quote their option, and all are checked first.

Nothing slow is imported before the check.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fnevr.errors import MediaError, WriteError

ReadKind = Literal[
    "a file",
    "an image",
    "a source",
    "a driver",
    "a model",
    "a checkpoint",
    "clips",
    "a folder of videos",
    "a folder",
]
WriteKind = Literal[
    "a file",
    "a folder",
    "a keypoint track",
    "a mesh",
    "a picture",
    "a video or a picture",
    "a video",
]

FILES_ALONE = frozenset({"a file", "an image"})
# What may be a file or a folder, and what the file is.
EITHER = {"a source": "a picture or a video", "a driver": "a video", "a checkpoint": "a checkpoint"}
STDOUT = "-"


@dataclass(frozen=True)
class Reads:
    """An input of a command.

    Attributes:
        path: where it is; None where the option is not given. A model's may be a preset's name.
        kind: what is expected there.
    """

    path: Path | str | None
    kind: ReadKind = "a file"


@dataclass(frozen=True)
class Writes:
    """An output of a command.

    Attributes:
        path: where it goes; None where the option is not given, "-" for stdout.
        kind: what is written, which decides the endings that its name may have.
        is_new: the output is made anew; False: what is there is added to, or taken up.
    """

    path: Path | str | None
    kind: WriteKind = "a file"
    is_new: bool = True


Files = Mapping[str, Reads | Writes]
"""All files of a command, by their options."""


def check_files(files: Files, *, no_clobber: bool = False) -> None:
    """Say before any work which file cannot be read or written, or would be lost.

    Args:
        files: those of the command.
        no_clobber: refuse to replace what is there.

    Raises:
        FnevrError: if an input is missing, the folder of an output is, or cannot be written, a name
            has an unknown ending, or an output is also an input or another output.
    """
    from fnevr.media.files import check_apart

    reads = {name: use for name, use in files.items() if isinstance(use, Reads) and use.path}
    writes = {
        name: use
        for name, use in files.items()
        if isinstance(use, Writes) and use.path not in (None, STDOUT)
    }
    for read in reads.values():
        _check_read(read)
    for name, write in writes.items():
        _check_write(name, write, no_clobber=no_clobber)
    check_apart(
        {name: use.path for name, use in reads.items() if not _is_preset(use)},
        {name: use.path for name, use in writes.items()},
    )
    for name, write in writes.items():
        for other, read in reads.items():
            _check_outside(name, write, other, read)


def _is_preset(read: Reads) -> bool:
    from fnevr.config.presets import find_preset

    return read.kind == "a model" and find_preset(str(read.path)) is not None


def _check_read(read: Reads) -> None:
    from fnevr.config.presets import resolve_model
    from fnevr.media.files import readable_file

    path = Path(str(read.path))
    if read.kind == "a model":
        if not _is_preset(read):  # presets are looked at when they are loaded
            resolve_model(path)
    elif read.kind in FILES_ALONE or (read.kind in EITHER and not _is_folder(path)):
        readable_file(path, EITHER.get(read.kind, read.kind))
    elif not _is_folder(path):
        raise MediaError(f"no such folder: '{path}' ({read.kind} expected); check the spelling")


def _check_write(name: str, write: Writes, *, no_clobber: bool) -> None:
    path = Path(str(write.path))
    for check in _target_checks(write.kind):
        check(path)
    if no_clobber and write.is_new and path.exists() and not _is_empty_folder(path):
        raise WriteError(
            f"'{path}' exists already: choose another {name}, or leave --no-clobber out to "
            "replace it"
        )


def _target_checks(kind: WriteKind) -> list[Callable[[Path], object]]:
    """Return what looks at the place of an output; only what it needs is imported."""
    from fnevr.media.files import check_folder_target, check_target

    checks: list[Callable[[Path], object]] = [check_target]
    if kind == "a folder":
        checks = [check_folder_target]
    elif kind == "a keypoint track":
        from fnevr.animation.keypoint_track import check_track_name

        checks = [check_track_name, check_target]
    elif kind == "a picture":
        from fnevr.media.image import check_image_target

        checks = [check_image_target]
    elif kind == "a video":
        from fnevr.media.writer import check_video_target

        checks = [check_video_target]
    elif kind == "a video or a picture":
        from fnevr.animation.output import check_output

        checks = [check_output]
    elif kind == "a mesh":
        from fnevr.face3d.mesh_file import check_mesh_target

        checks = [check_mesh_target]
    return checks


def _check_outside(name: str, write: Writes, other: str, read: Reads) -> None:
    """Refuse to replace a file of an input folder; new files, and others, may stand there."""
    path, folder = Path(str(write.path)), Path(str(read.path))
    if write.kind == "a folder" or _is_preset(read) or not folder.is_dir() or not path.exists():
        return
    is_inside = path.resolve().is_relative_to(folder.resolve())
    if is_inside and path.suffix.lower() in _read_endings(read.kind):
        raise MediaError(
            f"{name} is '{path}', which may be a file of {other} '{folder}'; choose another {name}"
        )


def _read_endings(kind: ReadKind) -> frozenset[str]:
    """Return the endings of the files that are read in a folder of some kind."""
    from fnevr.data.sources import VIDEO_SUFFIXES
    from fnevr.media.stills import PICTURE_EXTENSIONS

    if kind == "a driver":
        return PICTURE_EXTENSIONS
    if kind == "a model":
        return frozenset({".json", ".safetensors", ".onnx"})
    return VIDEO_SUFFIXES | PICTURE_EXTENSIONS | {".jsonl", ".tsv", ".tar", ".txt", ".pth"}


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())
