"""The systems of the paper whose checkpoints are in a folder, converted.

A checkpoint is recognized by what is in it, whatever it is called: its authors' file; of Bilayer, a
folder with a file for each part; or a weights folder of ours. DaGAN's depth network is a folder
with two files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fnevr.compat.checkpoint import DEPTH_FILES, convert, find_part_files
from fnevr.config.folder import CONFIG_NAME, WEIGHTS_NAME, read_config
from fnevr.config.presets import PRESETS, preset_of
from fnevr.data.sources import job_name
from fnevr.errors import CheckpointError, FnevrError, WriteError
from fnevr.media.files import file_sha256

SUFFIXES = frozenset({".pth", ".tar", ".pt", ".ckpt"})
NAMES = {preset.published_as: preset for preset in PRESETS if preset.published_as is not None}
"""The presets of the paper's systems, by its names for them."""


@dataclass(frozen=True)
class Checkpoints:
    """What a folder holds; nothing is read yet.

    Attributes:
        folder: the folder.
        files: what may be the authors' checkpoints: files, and folders with a file for each part.
        weights: weights folders of ours.
        depth: the folder with DaGAN's depth network; None without.
    """

    folder: Path
    files: list[Path]
    weights: list[Path]
    depth: Path | None


@dataclass(frozen=True)
class System:
    """A system to evaluate.

    Attributes:
        name: in the tables: the paper's, or that of its folder.
        weights: its weights folder.
        origin: what it was converted from.
    """

    name: str
    weights: Path
    origin: Path


@dataclass(frozen=True)
class Systems:
    """All systems to evaluate.

    Attributes:
        found: the paper's in its order, then others.
        unusable: what could not be converted, and why.
    """

    found: list[System]
    unusable: dict[str, str] = field(default_factory=dict)


def find_checkpoints(folder: Path, apart_from: Path) -> Checkpoints:
    """List what may be checkpoints in a folder and the folders in it.

    Args:
        folder: where they are.
        apart_from: a folder that is not looked into, since it is ours.

    Raises:
        FnevrError: if there are none, or two folders with DaGAN's depth network.
    """
    places = [path for path in (*folder.glob("*"), *folder.glob("*/*")) if path != apart_from]
    places = sorted(path for path in places if apart_from not in path.parents)
    folders = [folder, *(path for path in places if path.is_dir())]
    weights = [
        path
        for path in folders
        if (path / CONFIG_NAME).is_file() and (path / WEIGHTS_NAME).is_file()
    ]
    in_parts = [path for path in folders if find_part_files(path)]
    depth_files = [name for _, name in DEPTH_FILES]
    depths = [path for path in folders if all((path / name).is_file() for name in depth_files)]
    if len(depths) > 1:
        raise FnevrError(
            f"'{depths[0]}' and '{depths[1]}' both hold a depth network ({', '.join(depth_files)}):"
            " leave the one that is meant"
        )
    taken = {path / name for path in depths for name in depth_files}
    taken |= {path for one in in_parts for _, path in find_part_files(one)}
    files = [
        path
        for path in places
        if path.suffix.lower() in SUFFIXES and path.is_file() and path not in taken
    ]
    if not (files or in_parts or weights):
        raise FnevrError(
            f"'{folder}' holds no checkpoint: neither an authors' file "
            f"({' '.join(sorted(SUFFIXES))}), nor Bilayer's files, nor a weights folder\n"
            f"put there what you have of {', '.join(NAMES)}"
        )
    return Checkpoints(folder, [*files, *in_parts], weights, depths[0] if depths else None)


def convert_checkpoints(
    checkpoints: Checkpoints, out: Path, tell: Callable[[str], None]
) -> Systems:
    """Convert all checkpoints that are not converted yet.

    Args:
        checkpoints: what there is.
        out: gets a weights folder per checkpoint, named by the hash of what it was made of.
        tell: is told what is converted.

    Raises:
        FnevrError: if two are of one system, or none can be used.
        WriteError: if a folder cannot be written.
    """
    systems: dict[str, System] = {}
    unusable: dict[str, str] = {}
    for path in (*checkpoints.weights, *checkpoints.files):
        try:
            is_ours = path in checkpoints.weights
            weights = path if is_ours else _converted(path, checkpoints.depth, out, tell)
            system = System(_name(path, weights), weights, path)
        except CheckpointError as error:
            is_told = error.argument == "depth"
            unusable[str(path)] = _no_depth(checkpoints.folder) if is_told else str(error)
            continue
        other = systems.setdefault(system.name, system)
        if other is not system:
            raise FnevrError(
                f"'{other.origin}' and '{path}' are both checkpoints of {system.name}: leave the "
                "one that is meant"
            )
    if not systems:
        raise FnevrError(
            "no checkpoint can be used:\n"
            + "\n".join(f"{name}: {reason}" for name, reason in unusable.items())
        )
    order = [*NAMES, *sorted(set(systems) - set(NAMES))]
    return Systems([systems[name] for name in order if name in systems], unusable)


def _name(origin: Path, weights: Path) -> str:
    preset = preset_of(read_config(weights))
    if preset is not None and preset.published_as is not None:
        return preset.published_as
    return preset.name if preset is not None and origin != weights else origin.name


def _converted(path: Path, depth: Path | None, out: Path, tell: Callable[[str], None]) -> Path:
    """Convert a checkpoint, unless that was done before; with the depth network if it needs one.

    What needs none does not depend on it: a depth network that comes later changes nothing there.
    """
    parts = [part for _, part in find_part_files(path)] if path.is_dir() else [path]
    hashes = [file_sha256(part) for part in parts]
    alone = complete = _place(path, hashes, out)
    if _is_there(alone):
        return alone
    if depth is not None:
        complete = _place(
            path, hashes + [file_sha256(depth / name) for _, name in DEPTH_FILES], out
        )
        if _is_there(complete):
            return complete
    tell(f"converting '{path}'")
    try:
        return _convert(path, None, alone)
    except CheckpointError as error:
        if depth is None or error.argument != "depth":
            raise
    return _convert(path, depth, complete)


def _place(path: Path, hashes: list[str], out: Path) -> Path:
    """Return where a checkpoint is converted to: named by the hashes of what it is made of."""
    digest = hashlib.sha256("".join(hashes).encode()).hexdigest()
    return out / f"{job_name(Path(path.name))[:-7]}-{digest[:12]}"


def _is_there(folder: Path) -> bool:
    return (folder / WEIGHTS_NAME).is_file()


def _convert(path: Path, depth: Path | None, folder: Path) -> Path:
    try:
        convert(path, folder, depth=depth)
    except WriteError:
        if not _is_there(folder):  # made by another process at the same time
            raise
    return folder


def _no_depth(folder: Path) -> str:
    files = " and ".join(name for _, name in DEPTH_FILES)
    return f"DaGAN's depth network is missing: put the folder with its {files} into '{folder}'"
