"""From a prepared source and a driver to the frames of the result, one batch at a time.

Shapes: H and W of the output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import TypeVar

from fnevr.animation.driver import Driver
from fnevr.animation.keypoint_log import DrivingBatch, M
from fnevr.animation.reference_frame import BestFrame, choose_reference, face_positions
from fnevr.animation.retargeting import Regions, Retargeting
from fnevr.animation.sliders import FaceSliders, added
from fnevr.animation.source import Source, draw
from fnevr.face3d.performance import Performance
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.transfer import movement_scale, transfer_relative
from fnevr.media.image import Picture
from fnevr.progress import Progress
from fnevr.runtime.engine import Engine

T = TypeVar("T")

Adjust = Callable[[Keypoints], Keypoints]
Frames = Iterator[tuple[Picture, Fraction]]
"""Pictures of the output, and when each is shown."""

READING, ANIMATING = "reading the motion", "animating"


def render(
    engine: Engine,
    source: Source,
    driver: Driver[Keypoints],
    best_frame: BestFrame | None,
    progress: Progress | None = None,
    adjust: Adjust | None = None,
) -> tuple[int | None, Frames]:
    """Animate the source by keypoints; the driver is read as frames are asked for.

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

    def show(move: Adjust) -> Callable[[Keypoints], list[Picture]]:
        return lambda driving: draw(engine, source, move(driving))

    batches = driver.read(source.encoded)
    if best_frame is None:
        return None, _frames(source, driver, batches, show(adjust or _as_driven), progress)
    if best_frame == "auto":
        batches = watched(batches, READING, driver.num_frames, progress, num_frames_of)
    num_face = engine.config.num_face_keypoints
    reference = choose_reference(batches, source.keypoints, best_frame, num_face)
    scale = movement_scale(
        face_positions(source.keypoints, num_face), face_positions(reference.keypoints, num_face)
    )

    def move(driving: Keypoints) -> Keypoints:
        moved = transfer_relative(source.keypoints, driving, reference.keypoints, scale)
        return moved if adjust is None else adjust(moved)

    return reference.index, _frames(source, driver, reference.batches, show(move), progress)


def render_performance(
    engine: Engine,
    source: Source,
    driver: Driver[Performance],
    progress: Progress | None = None,
    adjust: Adjust | None = None,
    *,
    regions: Regions,
    sliders: FaceSliders,
) -> Frames:
    """Animate the source by what the driver's face does.

    Args:
        engine: the one that the source was prepared with.
        source: the picture.
        driver: the performance, not read yet.
        progress: is called after every step.
        adjust: as in `render`.
        regions: how much of it goes over.
        sliders: an expression on top.

    Raises:
        FaceError: if the source shows no face.
    """
    retarget = Retargeting.of_source(engine, source)
    changes = {} if sliders.is_none else sliders.changes(retarget)

    def show(driving: Performance) -> list[Picture]:
        wanted = added(regions.of(driving, retarget.own), changes)
        return retarget.draw(engine, source, wanted, adjust)

    return _frames(source, driver, driver.read(source.encoded), show, progress)


def _as_driven(driving: Keypoints) -> Keypoints:
    return driving


def _frames(
    source: Source,
    driver: Driver[M],
    batches: Iterator[DrivingBatch[M]],
    show: Callable[[M], list[Picture]],
    progress: Progress | None,
) -> Frames:
    for batch in watched(batches, ANIMATING, driver.num_frames, progress, num_frames_of):
        for image, shown_at in zip(show(batch.motion), batch.times, strict=True):
            yield source.finish(image), shown_at


def num_frames_of(batch: DrivingBatch[M]) -> int:
    """Return how many frames a batch has."""
    return len(batch.times)


def watched(
    batches: Iterator[T],
    stage: str,
    num_frames: int | None,
    progress: Progress | None,
    count: Callable[[T], int],
) -> Iterator[T]:
    """Tell about each batch when it is done, which is when the next one is asked for.

    Args:
        batches: of frames.
        stage: what is being done.
        num_frames: of all batches, if known.
        progress: is told; None tells nobody.
        count: says how many frames a batch has.
    """
    num_done = 0
    for batch in batches:
        if progress is not None:
            progress(stage, num_done, num_frames)
        yield batch
        num_done += count(batch)
    if progress is not None:
        progress(stage, num_done, num_done)
