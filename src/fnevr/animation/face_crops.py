"""Frames of a driving video brought to the model's view: cropped around the face, or whole.

Shapes: S the side of the model's image.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

from fnevr.errors import FaceError
from fnevr.faces.crop import CropSmoother, crop, crop_box
from fnevr.faces.tracker import FaceTracker
from fnevr.media.reader import VideoFrame
from fnevr.media.resize import resize


def face_crops(frames: Iterable[VideoFrame], size: int) -> Iterator[VideoFrame]:
    """Crop a video around its largest face, the box smoothed over time.

    While no face is seen, the last picture of it stands still: keypoints of a picture without a
    face would tear the portrait. Frames before its first appearance show that first appearance. So
    the motion stays in time with the sound.

    Args:
        frames: the video.
        size: side of the crops, in pixels.

    Raises:
        FaceError: at the end, if no frame shows a face.
    """
    # One thread: this runs beside the drawing, which takes the others.
    tracker, smoother = FaceTracker(num_threads=1), CropSmoother()
    waiting: list[Fraction] = []
    last_time, rgb = Fraction(0), None
    for frame in frames:
        track = tracker.update(frame.rgb)
        if track is not None:
            smoother.update(crop_box(track.landmarks), float(frame.time - last_time))
            last_time = frame.time
        if track is not None and track.status != "held" and smoother.box is not None:
            rgb = crop(frame.rgb, smoother.box, size)
        if rgb is None:
            waiting.append(frame.time)
            continue
        for time in waiting:
            yield VideoFrame(rgb, time)
        waiting.clear()
        yield VideoFrame(rgb, frame.time)
    if waiting:
        raise FaceError(
            f"no face found in any of the {len(waiting)} frames of the driving video; use one that "
            "shows a face from the front, or `crop=False` if it is cropped already"
        )


def resized(frames: Iterable[VideoFrame], size: int) -> Iterator[VideoFrame]:
    """Bring whole frames to the model's size, whatever their shape."""
    return (VideoFrame(resize(frame.rgb, size, size), frame.time) for frame in frames)
