"""Keypoint tracks: a motion without the video it came from, as a small safetensors file.

The file holds ``positions`` (T, K, 2), ``jacobians`` (T, K, 2, 2) and, as metadata, the frame
rate as an exact fraction and the model whose keypoints these are: another model's mean something
else. What the face does (`face3d.performance`) is there too, where the model can be driven by it;
that means the same to every such model.

Shapes: T frames, K keypoints. Coordinates span [-1, 1], x first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from fnevr.errors import MediaError, printable
from fnevr.face3d.face_fit import FaceBasis
from fnevr.face3d.performance import Performance
from fnevr.geometry.keypoints import Keypoints
from fnevr.media.files import PathLike, atomic_path, readable_file
from fnevr.media.reader import exact_rate

SUFFIX = ".safetensors"
FORMATS = ("fnevr-motion-1", "fnevr-motion-2")  # without a performance, with one
MAX_FRAME_RATE = 1000
LARGEST = 100.0  # of a performance's numbers; real ones are below 10
MAX_POSITION = 16.0  # eight widths of the picture from its middle
MAX_JACOBIAN = 1e3
MIN_DETERMINANT = 1e-6  # of a Jacobian, which motion transfer inverts


@dataclass(frozen=True)
class KeypointTrack:
    """The keypoints of every frame of a driving video.

    Attributes:
        keypoints: one batch entry per frame.
        frame_rate: frames per second.
        model: name of the model that found the keypoints.
        performance: what the face does, in the same frames; None where nobody asked.
        warnings: what was not as it should be in the video; not stored.
    """

    keypoints: Keypoints
    frame_rate: Fraction
    model: str
    performance: Performance | None = None
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.keypoints)


def save_track(path: PathLike, track: KeypointTrack) -> None:
    """Write a track; the file appears when it is complete.

    Raises:
        MediaError: if the name does not end in .safetensors, the folder cannot be written, or
            `load_track` would refuse the numbers.
    """
    check_track_name(path)
    tensors = {
        "positions": np.ascontiguousarray(track.keypoints.positions, np.float32),
        "jacobians": np.ascontiguousarray(track.keypoints.jacobians, np.float32),
    }
    _check_numbers(f"cannot write '{path}': the motion", **tensors)
    rate = str(exact_rate(track.frame_rate))
    _frame_rate(path, rate)
    if track.performance is not None:
        for name, values in track.performance.arrays().items():
            tensors[name] = np.ascontiguousarray(values, np.float32)
    mark = FORMATS[track.performance is not None]
    metadata = {"format": mark, "frame_rate": rate, "model": printable(track.model)}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def load_track(path: PathLike) -> KeypointTrack:
    """Read a track and check that it can move a face.

    Raises:
        MediaError: if the file is missing, damaged, or not a keypoint track.
    """
    path = readable_file(path, "a keypoint track")
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            missing = {"positions", "jacobians"} - set(file.keys())
            if missing or metadata.get("format") not in FORMATS:
                raise MediaError(
                    f"'{path}' is not a keypoint track (missing: "
                    f"{', '.join(sorted(missing)) or f'the mark {FORMATS[0]!r}'}); "
                    "was it made by fnevr, or is it a weights file?"
                )
            positions, jacobians = file.get_tensor("positions"), file.get_tensor("jacobians")
            performance = None
            if metadata["format"] == FORMATS[1]:
                performance = _performance(path, file, len(positions))
    except (SafetensorError, OSError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise MediaError(f"'{path}' is damaged or no safetensors file: {error}") from error
    _check_tensors(path, positions, jacobians)
    with np.errstate(over="ignore"):
        positions, jacobians = positions.astype(np.float32), jacobians.astype(np.float32)
    _check_numbers(f"'{path}'", positions, jacobians)
    return KeypointTrack(
        Keypoints(positions, jacobians),
        _frame_rate(path, metadata.get("frame_rate", "")),
        metadata.get("model", ""),
        performance,
    )


def record_track(
    frames: Iterable[tuple[Keypoints, Performance | None]],
    frame_rate: Callable[[], Fraction],
    model: str,
) -> KeypointTrack:
    """Join what was read of consecutive frames to a track.

    Args:
        frames: keypoints, and what the face does.
        frame_rate: is asked once all frames are read.
        model: name of the model that found the keypoints.

    Raises:
        MediaError: if there is no frame.
    """
    parts = list(frames)
    if not parts:
        raise MediaError("there is no frame to record")
    keypoints = Keypoints.concatenate([keypoints for keypoints, _ in parts])
    seen = [performance for _, performance in parts if performance is not None]
    performance = Performance.concatenate(seen) if len(seen) == len(parts) else None
    return KeypointTrack(keypoints, frame_rate(), model, performance)


def is_track(path: PathLike) -> bool:
    """Return whether a path names a keypoint track rather than a video."""
    return str(path).lower().endswith(SUFFIX)


def check_track_name(path: PathLike) -> None:
    """Raise MediaError now if `save_track` would not accept the name later."""
    if not is_track(path):
        raise MediaError(f"cannot write '{path}': a keypoint track's name must end in {SUFFIX}")


def _check_tensors(path: PathLike, positions: np.ndarray, jacobians: np.ndarray) -> None:
    frames, keypoints = (*positions.shape, 0, 0)[:2]
    if positions.shape != (frames, keypoints, 2) or jacobians.shape != (frames, keypoints, 2, 2):
        raise MediaError(
            f"'{path}' holds positions {tuple(positions.shape)} and jacobians "
            f"{tuple(jacobians.shape)}; wanted (frames, keypoints, 2) and (frames, keypoints, 2, 2)"
        )
    if not (positions.dtype.kind == jacobians.dtype.kind == "f"):
        raise MediaError(f"'{path}' holds {positions.dtype} and {jacobians.dtype}; wanted floats")
    if frames < 1 or keypoints < 1:
        raise MediaError(f"'{path}' holds {frames} frames of {keypoints} keypoints; nothing moves")


def _check_numbers(what: str, positions: np.ndarray, jacobians: np.ndarray) -> None:
    """Check the numbers as they are used, in float32: whether a face can be moved by them."""
    if not (np.isfinite(positions).all() and np.isfinite(jacobians).all()):
        raise MediaError(f"{what} holds values that are not finite numbers; record it again")
    if np.abs(positions).max() > MAX_POSITION or np.abs(jacobians).max() > MAX_JACOBIAN:
        raise MediaError(
            f"{what} holds positions up to {np.abs(positions).max():.3g} and Jacobians up to "
            f"{np.abs(jacobians).max():.3g}; at most {MAX_POSITION:g} and {MAX_JACOBIAN:g} can "
            "move a face: record it again"
        )
    determinants = np.abs(np.linalg.det(jacobians.astype(np.float64)))
    if determinants.min() < MIN_DETERMINANT:
        frame = int(determinants.min(axis=1).argmin())
        raise MediaError(
            f"{what} holds Jacobians that cannot be inverted (the first in frame {frame}: its "
            f"determinant is {determinants[frame].min():.3g}); record it again"
        )


def _performance(path: PathLike, file: Any, frames: int) -> Performance:
    names = [field.name for field in fields(Performance)]
    missing = set(names) - set(file.keys())
    if missing:
        raise MediaError(f"'{path}' is damaged: it lacks {', '.join(sorted(missing))}")
    arrays = {name: file.get_tensor(name) for name in names}
    widths = {**Performance.WIDTHS, "expressions": FaceBasis.packaged().num_expression}
    for name, values in arrays.items():
        numbers = values.astype(np.float64)
        if values.shape != (frames, widths[name]) or values.dtype.kind != "f":
            raise MediaError(
                f"'{path}' holds {name} {values.shape} of {values.dtype}; wanted floats "
                f"({frames}, {widths[name]}): record it again"
            )
        if not np.abs(numbers).max() <= LARGEST:  # also false for not-a-number
            raise MediaError(f"'{path}' holds {name} that no face has; record it again")
    return Performance(**{name: values.astype(np.float32) for name, values in arrays.items()})


def _frame_rate(path: PathLike, text: str) -> Fraction:
    # Not what Fraction takes besides: it would compute all digits of 1e999999999.
    has_form = re.fullmatch(r"[0-9]{1,15}([./][0-9]{1,15})?", text)
    try:
        rate = Fraction(text if has_form else 0)
    except ZeroDivisionError:
        rate = Fraction(0)
    if not 0 < rate <= MAX_FRAME_RATE:
        raise MediaError(
            f"'{path}' states the frame rate {text!r}; wanted frames per second as '30000/1001'"
        )
    return rate
