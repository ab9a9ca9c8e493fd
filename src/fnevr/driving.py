"""The driver: where the motion comes from, as keypoints frame by frame.

A video is read once, cropped around the face it shows, and forgotten frame by frame; only its
keypoints are kept where the best reference frame has to be looked for first.

Shapes: H and W of the frames, S the side of the model's image, B frames at a time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from fnevr.errors import FaceError, MediaError
from fnevr.faces.tracker import FaceTracker
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.transfer import best_frame
from fnevr.media.crop import CropSmoother, crop, crop_box
from fnevr.media.video import VideoFrame
from fnevr.motion_log import DrivingBatch, MotionLog
from fnevr.motion_track import MotionTrack

BestFrame = Literal["auto", "first"] | int
Picture = UInt8[np.ndarray, "H W 3"]


@dataclass
class Driver:
    """A motion about to be read.

    Attributes:
        batches: its keypoints, readable once.
        frame_rate: frames per second, nominal where times vary.
        num_frames: if known; files are sometimes wrong.
        audio_from: the file whose sound belongs to it, if any.
        warnings: what was noticed about it.
    """

    batches: Iterator[DrivingBatch]
    frame_rate: Fraction
    num_frames: int | None
    audio_from: Path | None = None
    warnings: list[str] = field(default_factory=list)


def face_crops(frames: Iterable[VideoFrame], size: int) -> Iterator[VideoFrame]:
    """Crop a video around its largest face, the box smoothed over time.

    While the face is hidden the box stays where it was. Frames before its first appearance show
    that first appearance, so that the motion stays in time with the sound.

    Args:
        frames: the video.
        size: side of the crops, in pixels.

    Raises:
        FaceError: at the end, if no frame shows a face.
    """
    # One thread: this runs beside the drawing, which takes the others.
    tracker, smoother = FaceTracker(num_threads=1), CropSmoother()
    waiting: list[Fraction] = []
    last_time = Fraction(0)
    for frame in frames:
        track = tracker.update(frame.rgb)
        if track is not None:
            smoother.update(crop_box(track.landmarks), float(frame.time - last_time))
            last_time = frame.time
        if smoother.box is None:
            waiting.append(frame.time)
            continue
        rgb = crop(frame.rgb, smoother.box, size)
        for time in waiting:
            yield VideoFrame(rgb, time)
        waiting.clear()
        yield VideoFrame(rgb, frame.time)
    if waiting:
        raise FaceError(
            f"no face found in any of the {len(waiting)} frames of the driving video; use one that "
            "shows a face from the front, or --no-crop if it is cropped already"
        )


def resized(frames: Iterable[VideoFrame], size: int) -> Iterator[VideoFrame]:
    """Bring whole frames to the model's size, whatever their shape."""
    return (VideoFrame(resize(frame.rgb, size, size), frame.time) for frame in frames)


def resize(rgb: Picture, width: int, height: int) -> UInt8[np.ndarray, "h w 3"]:
    """Resize a picture, bicubic and without aliasing; unchanged if it has the size."""
    if rgb.shape[:2] == (height, width):
        return rgb
    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.BICUBIC))


def video_batches(
    frames: Iterable[VideoFrame],
    find_keypoints: Callable[[list[Picture]], Keypoints],
    batch_size: int,
) -> Iterator[DrivingBatch]:
    """Find the keypoints of frames that have the model's size, a batch at a time."""
    remaining = iter(frames)
    while batch := list(itertools.islice(remaining, batch_size)):
        keypoints = find_keypoints([frame.rgb for frame in batch])
        yield DrivingBatch(keypoints, tuple(frame.time for frame in batch))


def track_batches(track: MotionTrack, batch_size: int) -> Iterator[DrivingBatch]:
    """Cut a keypoint track into batches."""
    for start in range(0, len(track), batch_size):
        keypoints = track.keypoints[start : start + batch_size]
        times = (Fraction(start + i) / track.frame_rate for i in range(len(keypoints)))
        yield DrivingBatch(keypoints, tuple(times))


@dataclass(frozen=True)
class Reference:
    """The driver's frame from which relative motion is measured.

    Attributes:
        index: of the frame.
        keypoints: in that frame, batch 1.
        batches: all of the driver, from its first frame.
    """

    index: int
    keypoints: Keypoints
    batches: Iterator[DrivingBatch]


def face_positions(keypoints: Keypoints, num_face: int | None) -> Float[np.ndarray, "N 2"]:
    """Return where in the picture the keypoints on the face are (the first ones; None: all)."""
    return keypoints.positions[0, :num_face, :2].float().cpu().numpy()


def choose_reference(
    batches: Iterator[DrivingBatch],
    source: Keypoints,
    choice: BestFrame,
    num_face: int | None = None,
) -> Reference:
    """Choose the driver's reference frame, reading no further than needed.

    Args:
        batches: the driver; read to its end for "auto".
        source: keypoints of the source, batch 1.
        choice: "first", a frame's number counted from 0, or "auto" for the frame whose face is
            most like the source's.
        num_face: how many keypoints, the first ones, lie on the face; None means all.

    Raises:
        MediaError: if the driver has no frame, or none of that number.
        FaceError: if no frame can be compared with the source.
    """
    if choice == "auto":
        log = _read(batches, None)
        faces = (positions[:num_face] for positions in log.positions())
        index = best_frame(face_positions(source, num_face), faces) if len(log) else 0
    else:
        index = 0 if choice == "first" else choice
        log = _read(batches, index)
    if not 0 <= index < len(log):
        raise MediaError(
            f"--best-frame {index} does not exist: the driver has {len(log)} frame(s), "
            "counted from 0"
        )
    return Reference(index, log.frame(index), itertools.chain(log.batches(), batches))


def _read(batches: Iterator[DrivingBatch], last: int | None) -> MotionLog:
    """Read batches until this frame is among them, or until they end."""
    log = MotionLog()
    while last is None or len(log) <= last:
        batch = next(batches, None)
        if batch is None:
            break
        log.append(batch)
    return log
