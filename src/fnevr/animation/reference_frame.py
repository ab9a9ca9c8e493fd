"""The driver's reference frame, from which relative motion is measured.

It is the first frame, one that is named, or the one whose face looks most like the source's. For
the last the driver is read to its end, and only its keypoints are kept.

Shapes: N keypoints on the face.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from fnevr.animation.keypoint_log import DrivingBatch, KeypointLog
from fnevr.config.stages import KeypointConfig
from fnevr.errors import MediaError, counted
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.transfer import best_frame
from fnevr.runtime.engine import Engine

BestFrame = Literal["auto", "first"] | int


@dataclass(frozen=True)
class Reference:
    """The driver's frame from which relative motion is measured.

    Attributes:
        index: of the frame.
        keypoints: for each source in that frame, batch 1.
        batches: all of the driver, from its first frame.
    """

    index: int
    keypoints: tuple[Keypoints, ...]
    batches: Iterator[DrivingBatch[Keypoints]]


def num_face_keypoints(engine: Engine) -> int | None:
    """Return how many keypoints of a model, the first ones, lie on the face; None: all."""
    config = engine.config
    return config.num_face_keypoints if isinstance(config, KeypointConfig) else None


def face_positions(keypoints: Keypoints, num_face: int | None) -> Float[np.ndarray, "N 2"]:
    """Return where in the picture the keypoints on the face are (the first ones; None: all)."""
    return keypoints.positions[0, :num_face, :2]


def choose_reference(
    batches: Iterator[DrivingBatch[Keypoints]],
    sources: Sequence[Keypoints],
    choice: BestFrame,
    num_face: int | None = None,
) -> Reference:
    """Choose the driver's reference frame, reading no further than needed.

    Args:
        batches: the driver; read to its end for "auto".
        sources: keypoints of the source's faces, batch 1 each.
        choice: "first", a frame's number counted from 0, or "auto" for the frame whose face is
            most like the source's first one.
        num_face: how many keypoints, the first ones, lie on the face; None means all.

    Raises:
        MediaError: if the driver has no frame, or none of that number.
        FaceError: if no frame can be compared with the source.
    """
    if choice == "auto":
        logs = _read(batches, None, len(sources))
        faces = (positions[:num_face] for positions in logs[0].positions())
        index = best_frame(face_positions(sources[0], num_face), faces) if len(logs[0]) else 0
    else:
        index = 0 if choice == "first" else choice
        if index < 0:
            raise MediaError(
                f"there is no frame {index}: frames count from 0", argument="best_frame"
            )
        logs = _read(batches, index, len(sources))
    if index >= len(logs[0]):
        raise MediaError(
            f"there is no frame {index}: the driver has {counted(len(logs[0]), 'frame')}, counted "
            "from 0",
            argument="best_frame",
        )
    keypoints = tuple(log.frame(index) for log in logs)
    return Reference(index, keypoints, itertools.chain(_joined(logs), batches))


def _read(
    batches: Iterator[DrivingBatch[Keypoints]], last: int | None, num_faces: int
) -> list[KeypointLog]:
    """Read batches until this frame is among them, or until they end; a log for each face."""
    logs = [KeypointLog(face) for face in range(num_faces)]
    while last is None or len(logs[0]) <= last:
        batch = next(batches, None)
        if batch is None:
            break
        for log in logs:
            log.append(batch)
    return logs


def _joined(logs: Sequence[KeypointLog]) -> Iterator[DrivingBatch[Keypoints]]:
    for parts in zip(*(log.batches() for log in logs), strict=True):
        yield DrivingBatch(tuple(part.motions[0] for part in parts), parts[0].times)
