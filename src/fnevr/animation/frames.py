"""From a prepared source and a driver to the frames of the result, one batch at a time.

Shapes: H and W of the output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

from fnevr.animation.driver import Driver
from fnevr.animation.keypoint_log import DrivingBatch
from fnevr.animation.reference_frame import BestFrame, choose_reference, face_positions
from fnevr.animation.source import Source, draw
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.transfer import movement_scale, transfer_relative
from fnevr.media.image import Picture
from fnevr.progress import Progress
from fnevr.runtime.engine import Engine

Move = Callable[[Keypoints], Keypoints]

READING, ANIMATING = "reading the motion", "animating"


def render(
    engine: Engine,
    source: Source,
    driver: Driver,
    best_frame: BestFrame | None,
    progress: Progress | None = None,
    adjust: Move | None = None,
) -> tuple[int | None, Iterator[tuple[Picture, Fraction]]]:
    """Animate the source; the driver is read as frames are asked for.

    Args:
        engine: the one that the source was prepared with.
        source: the picture.
        driver: the motion, not read yet.
        best_frame: where relative motion is measured from; None for absolute motion.
        progress: is called after every step.
        adjust: is applied last to the moved keypoints, as a turn of the head; None changes nothing.

    Returns:
        The number of the reference frame (None for absolute motion), and the frames with the
        times at which they are shown.

    Raises:
        FnevrError: if the reference frame does not exist or cannot be used.
    """
    batches = driver.read(source.encoded)
    if best_frame is None:
        return None, _frames(engine, source, driver, batches, adjust or _as_driven, progress)
    if best_frame == "auto":
        batches = watched(batches, READING, driver.num_frames, progress)
    num_face = engine.config.num_face_keypoints
    reference = choose_reference(batches, source.keypoints, best_frame, num_face)
    scale = movement_scale(
        face_positions(source.keypoints, num_face), face_positions(reference.keypoints, num_face)
    )

    def move(driving: Keypoints) -> Keypoints:
        moved = transfer_relative(source.keypoints, driving, reference.keypoints, scale)
        return moved if adjust is None else adjust(moved)

    return reference.index, _frames(engine, source, driver, reference.batches, move, progress)


def _as_driven(driving: Keypoints) -> Keypoints:
    return driving


def _frames(
    engine: Engine,
    source: Source,
    driver: Driver,
    batches: Iterator[DrivingBatch],
    move: Move,
    progress: Progress | None,
) -> Iterator[tuple[Picture, Fraction]]:
    for batch in watched(batches, ANIMATING, driver.num_frames, progress):
        images = draw(engine, source, move(batch.keypoints))
        for image, shown_at in zip(images, batch.times, strict=True):
            yield source.finish(image), shown_at


def watched(
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
