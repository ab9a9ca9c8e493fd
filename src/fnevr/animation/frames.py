"""From a prepared source and a driver to the frames of the result, one batch at a time.

Shapes: H and W of the output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

import torch

from fnevr.animation.driver import Driver
from fnevr.animation.keypoint_log import DrivingBatch
from fnevr.animation.reference_frame import BestFrame, choose_reference, face_positions
from fnevr.animation.source import Source, generate
from fnevr.errors import FnevrError
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.transfer import movement_scale, transfer_relative
from fnevr.media.image import Picture
from fnevr.runtime.engine import Engine

Progress = Callable[[str, int, int | None], None]
"""Called with the stage, the frames done in it, and how many there are if that is known."""

Move = Callable[[Keypoints], Keypoints]

READING, ANIMATING = "reading the motion", "animating"


def render(
    model: Engine,
    source: Source,
    driver: Driver,
    best_frame: BestFrame | None,
    progress: Progress | None = None,
    adjust: Move | None = None,
) -> tuple[int | None, Iterator[tuple[Picture, Fraction]]]:
    """Animate the source; the driver is read as frames are asked for.

    Args:
        model: what made the source ready.
        source: the picture.
        driver: the motion, not read yet.
        best_frame: where relative motion is measured from; None for absolute motion.
        progress: is told after every step.
        adjust: what is done to the moved keypoints in the end; None for nothing.

    Returns:
        The number of the reference frame (None for absolute motion), and the frames with the
        times at which they are shown.

    Raises:
        FnevrError: if the reference frame does not exist or cannot be used.
    """
    if best_frame is None:
        return None, _frames(model, source, driver, driver.batches, adjust or _as_driven, progress)
    batches = driver.batches
    if best_frame == "auto":
        batches = _watched(batches, READING, driver.num_frames, progress)
    num_face = model.config.num_face_keypoints
    reference = choose_reference(batches, source.keypoints, best_frame, num_face)
    scale = movement_scale(
        face_positions(source.keypoints, num_face), face_positions(reference.keypoints, num_face)
    )
    start = reference.keypoints.to(source.image_01.device)

    def move(driving: Keypoints) -> Keypoints:
        moved = transfer_relative(source.keypoints, driving, start, scale)
        return moved if adjust is None else adjust(moved)

    return reference.index, _frames(model, source, driver, reference.batches, move, progress)


def check_device(device: str) -> str:
    """Return the device if it can be used.

    Raises:
        FnevrError: if it is not one of cpu, cuda and mps, or not available here.
    """
    try:
        kind = torch.device(device).type
    except RuntimeError:
        kind = ""
    if kind not in {"cpu", "cuda", "mps"}:
        raise FnevrError(f"the device must be cpu, cuda or mps, got '{device}'", argument="device")
    has_cuda = (torch.device(device).index or 0) < torch.cuda.device_count()
    is_available = {"cpu": True, "cuda": has_cuda, "mps": torch.backends.mps.is_available()}
    if not is_available[kind]:
        raise FnevrError(f"there is no {device} on this machine; use `device='cpu'`")
    return device


def _as_driven(driving: Keypoints) -> Keypoints:
    return driving


@torch.inference_mode()
def _moved(move: Move, driving: Keypoints) -> Keypoints:
    return move(driving)


def _frames(
    model: Engine,
    source: Source,
    driver: Driver,
    batches: Iterator[DrivingBatch],
    move: Move,
    progress: Progress | None,
) -> Iterator[tuple[Picture, Fraction]]:
    for batch in _watched(batches, ANIMATING, driver.num_frames, progress):
        moved = _moved(move, batch.keypoints.to(source.image_01.device))
        for image, shown_at in zip(generate(model, source, moved), batch.times, strict=True):
            yield source.finish(image), shown_at


def _watched(
    batches: Iterator[DrivingBatch], stage: str, num_frames: int | None, progress: Progress | None
) -> Iterator[DrivingBatch]:
    """Tell about each batch when it is done, which is when the next one is asked for."""
    num_done = 0
    for batch in batches:
        if progress is not None:
            progress(stage, num_done, num_frames)
        yield batch
        num_done += len(batch.times)
    if progress is not None:
        progress(stage, num_done, num_done)
