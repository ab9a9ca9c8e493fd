"""From a prepared source and a driver to the frames of the result, one batch at a time.

Shapes: H and W of the output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from typing import Any, TypeVar

from fnevr.animation.driver import Driver, keypoints_alone
from fnevr.animation.head_turn import HeadTurn
from fnevr.animation.keypoint_log import DrivingBatch, M
from fnevr.animation.reference_frame import (
    BestFrame,
    choose_reference,
    face_positions,
    num_face_keypoints,
)
from fnevr.animation.regions import Regions
from fnevr.animation.retargeting import Retargeting
from fnevr.animation.sliders import FaceSliders, added
from fnevr.animation.source import Scene, Source, draw
from fnevr.face3d.performance import Performance
from fnevr.geometry.driving import Driving
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.transfer import movement_scale, transfer_relative
from fnevr.media.arrays import to_pictures
from fnevr.media.image import Picture
from fnevr.models.encoded_source import EncodedSource
from fnevr.progress import Progress
from fnevr.runtime.ahead import side_by_side
from fnevr.runtime.engine import Engine

T = TypeVar("T")

Adjust = Callable[[Keypoints], Keypoints]
Frames = Iterator[tuple[Picture, Fraction]]
"""Pictures of the output, and when each is shown."""
DrawnBatch = list[tuple[Any, ...]]
"""Of each frame the pictures of all faces, and when it is shown."""

READING, ANIMATING = "reading the motion", "animating"


def render(
    engine: Engine,
    scene: Scene,
    driver: Driver[Driving],
    best_frame: BestFrame | None,
    progress: Progress | None = None,
    adjust: Adjust | None = None,
) -> tuple[int | None, Frames]:
    """Animate a picture by what drives its model, which is read as frames are asked for.

    Args:
        engine: the one that the picture was prepared with.
        scene: the picture and its faces.
        driver: the motion, not read yet.
        best_frame: where relative motion is measured from; None for absolute motion.
        progress: is called after every step.
        adjust: is applied last to moved keypoints, as a turn of the head; None changes nothing.

    Returns:
        The number of the reference frame (None for absolute motion), and the frames with the
        times at which they are shown.

    Raises:
        FnevrError: if the reference frame does not exist or cannot be used.
    """
    sources = scene.sources
    read = driver.read([source.encoded for source in sources])
    if best_frame is None and adjust is None:
        as_driven = [partial(draw, engine, source) for source in sources]
        return None, _frames(scene, driver.num_frames, read, as_driven, progress, engine.at_once)

    def show(source: Source, move: Adjust) -> Callable[[Keypoints], list[Picture]]:
        return lambda driving: draw(engine, source, move(driving))

    batches = keypoints_alone(read)
    if best_frame is None:
        assert adjust is not None
        shows = [show(source, adjust) for source in sources]
        return None, _frames(scene, driver.num_frames, batches, shows, progress, engine.at_once)
    if best_frame == "auto":
        batches = watched(batches, READING, driver.num_frames, progress, num_frames_of)
    num_face = num_face_keypoints(engine)
    own = [source.keypoints for source in sources]
    reference = choose_reference(batches, own, best_frame, num_face)
    shows = [
        show(source, _relative(source.keypoints, start, num_face, adjust))
        for source, start in zip(sources, reference.keypoints, strict=True)
    ]
    frames = _frames(scene, driver.num_frames, reference.batches, shows, progress, engine.at_once)
    return reference.index, frames


def _relative(
    source: Keypoints, reference: Keypoints, num_face: int | None, adjust: Adjust | None
) -> Callable[[Keypoints], Keypoints]:
    """Return what moves the keypoints of a source by the driver's changes since a reference."""
    scale = movement_scale(face_positions(source, num_face), face_positions(reference, num_face))

    def move(driving: Keypoints) -> Keypoints:
        moved = transfer_relative(source, driving, reference, scale)
        return moved if adjust is None else adjust(moved)

    return move


def render_performance(
    engine: Engine,
    scene: Scene,
    driver: Driver[Performance],
    progress: Progress | None = None,
    turn: HeadTurn | None = None,
    *,
    regions: Regions,
    sliders: FaceSliders,
) -> Frames:
    """Animate a picture by what the driver's faces do.

    Args:
        engine: the one that the picture was prepared with.
        scene: the picture and its faces.
        driver: the performance, not read yet.
        progress: is called after every step.
        turn: of the heads, further; None leaves them.
        regions: how much of it goes over.
        sliders: an expression on top.

    Raises:
        FaceError: if the picture shows no face.
        FnevrError: if several of the driver's faces are not as many as the picture's.
    """
    driver.check_faces(len(scene.sources))
    shows = []
    for source in scene.sources:
        retarget = Retargeting.of_source(engine, source)
        shows.append(performing(engine, source.encoded, retarget, regions, sliders, turn))
    return _frames(scene, driver.num_frames, driver.read([]), shows, progress, engine.at_once)


def performing(
    engine: Engine,
    source: EncodedSource,
    retarget: Retargeting,
    regions: Regions,
    sliders: FaceSliders,
    turn: HeadTurn | None,
) -> Callable[[Performance], list[Picture]]:
    """Return what draws a face with the performance of a driver; see `render_performance`."""
    changes = {} if sliders.is_none else sliders.changes(retarget)

    def show(driving: Performance) -> list[Picture]:
        wanted = added(regions.of(driving, retarget.own), changes)
        return list(to_pictures(retarget.draw(engine, source, wanted, turn)))

    return show


def _frames(
    scene: Scene,
    num_frames: int | None,
    batches: Iterator[DrivingBatch[M]],
    shows: Sequence[Callable[[M], list[Picture]]],
    progress: Progress | None,
    at_once: int,
) -> Frames:
    """Draw the faces of the picture, each by its own of `shows`, and put the frames together."""

    def draw_batch(batch: DrivingBatch[M]) -> DrawnBatch:
        faces = [show(batch.of(index)) for index, show in enumerate(shows)]
        return list(zip(*faces, batch.times, strict=True))

    drawn = side_by_side(draw_batch, batches, at_once)
    for frames in watched(drawn, ANIMATING, num_frames, progress, len):
        for *images, shown_at in frames:
            yield scene.finish(images), shown_at


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
