"""A source video driven by another: each frame's own face takes on what the driver does then.

The two are matched by time: between two frames of the driver its performance is interpolated. The
result ends with the shorter of the two.

Shapes: S the side of what is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import partial

import numpy as np
from jaxtyping import UInt8

from fnevr.animation.detail import in_its_colours
from fnevr.animation.driver import Driver
from fnevr.animation.frames import ANIMATING, Frames, performing, watched
from fnevr.animation.gaze import Irises
from fnevr.animation.head_turn import HeadTurn
from fnevr.animation.keypoint_log import DrivingBatch
from fnevr.animation.open_mouth import OpenMouth
from fnevr.animation.regions import Regions
from fnevr.animation.retargeting import Extras, Retargeting
from fnevr.animation.shut_mouth import ShutMouth
from fnevr.animation.sliders import FaceSliders
from fnevr.animation.source_video import FrameFace, SourceFrame
from fnevr.face3d.performance import Performance, mixed
from fnevr.faces.paste import PasteBack
from fnevr.faces.territory import territory
from fnevr.media.arrays import to_images_01
from fnevr.media.image import Picture
from fnevr.models.encoded_source import Detail
from fnevr.progress import Progress
from fnevr.runtime.ahead import side_by_side
from fnevr.runtime.engine import Engine

WIDENED = 1.25  # how much wider than in the frame an eye may open: behind lids nothing is seen


class Timeline:
    """What the driver does at any time, one later than the other.

    Args:
        driver: is read as times are asked for.
    """

    def __init__(self, driver: Driver[Performance]) -> None:
        self.frames = _single_frames(driver.read([]))
        self.period = 1 / driver.frame_rate
        self.last = self.next = next(self.frames, None)

    def at(self, time: Fraction) -> DrivingBatch[Performance] | None:
        """Return what the driver does at a time, None when it has ended.

        Args:
            time: in seconds after the first frame; not before the last one that was asked for.
        """
        while self.next is not None and self.next.times[0] <= time:
            self.last, self.next = self.next, next(self.frames, None)
        if self.last is None or (self.next is None and time >= self.last.times[0] + self.period):
            return None
        start = self.last.times[0]
        if self.next is None or start >= time:
            return self.last
        share = float((time - start) / (self.next.times[0] - start))
        pairs = zip(self.last.motions, self.next.motions, strict=True)
        return DrivingBatch(tuple(mixed(a, b, share) for a, b in pairs), (time,))


def _single_frames(
    batches: Iterable[DrivingBatch[Performance]],
) -> Iterator[DrivingBatch[Performance]]:
    for batch in batches:
        for index, time in enumerate(batch.times):
            yield DrivingBatch(
                tuple(motion[index : index + 1] for motion in batch.motions), (time,)
            )


def matched(
    frames: Iterator[SourceFrame], timeline: Timeline
) -> Iterator[tuple[SourceFrame, DrivingBatch[Performance]]]:
    """Pair each frame with what the driver does then, until either ends."""
    for frame in frames:
        driving = timeline.at(frame.time)
        if driving is None:
            return
        yield frame, driving


def reanimate(
    engine: Engine,
    frames: Iterator[SourceFrame],
    driver: Driver[Performance],
    num_frames: int | None,
    progress: Progress | None = None,
    turn: HeadTurn | None = None,
    *,
    regions: Regions,
    sliders: FaceSliders,
) -> Frames:
    """Animate the faces of a source video by what the driver's do.

    Args:
        engine: draws.
        frames: of the source video.
        driver: the performance, not read yet.
        num_frames: of the source video, if known.
        progress: is called after every frame.
        turn: of the heads, further; None leaves them.
        regions: how much of the performance goes over.
        sliders: an expression on top.

    Raises:
        FnevrError: if several of the driver's faces are not as many as the source's.
    """
    draw = partial(_drawn, engine, regions, sliders, turn)

    def draw_frame(pair: tuple[SourceFrame, DrivingBatch[Performance]]) -> tuple[Picture, Fraction]:
        frame, driving = pair
        if frame.faces:
            driver.check_faces(len(frame.faces))
        result = frame.rgb.copy()
        for index, face in enumerate(frame.faces):
            if face is not None:
                image = draw(face, driving.of(index))
                _paste_back(frame, index, image, result)
        return result, frame.time

    drawn = side_by_side(draw_frame, matched(frames, Timeline(driver)), engine.at_once)
    yield from watched(drawn, ANIMATING, num_frames, progress, lambda _frame: 1)


def _drawn(
    engine: Engine,
    regions: Regions,
    sliders: FaceSliders,
    turn: HeadTurn | None,
    face: FrameFace,
    driving: Performance,
) -> UInt8[np.ndarray, "S S 3"]:
    """Draw the square of a face as the driver has it."""
    assert engine.retarget_map is not None, "only models that retarget come here"
    extras = Extras()
    if engine.config.uses_detail:
        detail = in_its_colours(Detail.opaque(to_images_01([face.square])))
        irises = Irises(detail, face.in_square) if regions.gaze else None
        in_view = face.box.to_view(face.landmarks, len(face.view))
        mouth = OpenMouth(face.view, in_view, float(face.own.lips[0, 0]))
        shut_mouth = ShutMouth(face.view, in_view, detail)
        extras = Extras(detail, irises, mouth=mouth, shut_mouth=shut_mouth)
    encoded = engine.read_source(to_images_01([face.view]), extras.layers)
    retarget = Retargeting(
        face.fit, face.own, face.open_eyes, encoded.keypoints.numpy(), engine.retarget_map, extras
    )
    driving = mixed(face.own, shown(driving, face.own), face.share)
    return performing(engine, encoded, retarget, regions, sliders, turn)(driving)[0]


def shown(driving: Performance, own: Performance) -> Performance:
    """Return a performance whose lids open no farther than the frame's own eyes show something."""
    widest = np.maximum(own.eyes, WIDENED * own.eyes)  # shut eyes may have less than nothing
    return replace(driving, eyes=np.minimum(driving.eyes, widest))


def _paste_back(
    frame: SourceFrame, index: int, image: UInt8[np.ndarray, "S S 3"], result: Picture
) -> None:
    """Put the square of a face into a copy of the frame."""
    face, side = frame.faces[index], len(image)
    assert face is not None, "it was drawn"
    others = [
        other.landmarks
        for number, other in enumerate(frame.faces)
        if other is not None and number != index
    ]
    mask = territory([face.landmarks, *others], 0, face.box, side) if others else None
    PasteBack(frame.rgb, face.box, side, mask).add(image, result)
