"""What moves a model, found in pictures: one way for each kind of driver.

`motion_of(engine)` is the only place that asks by what a model is driven. All else handles what it
returns: how a face is framed, what a model has to be told of a source's face, and what a driver's
frames say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from fnevr.animation.face_crops import ViewedFace, face_crops, faces_in_view, resized
from fnevr.animation.keypoint_log import DrivingBatch, in_batches
from fnevr.config.stages import DrivenBy
from fnevr.face3d.coefficients import CoefficientReader, matched_scale
from fnevr.faces.crop import CropBox, crop_box
from fnevr.faces.landmarks import Landmarks
from fnevr.faces.parts import PersonParts
from fnevr.faces.points68 import in_view, points_68, points_box
from fnevr.geometry.driving import WINDOW, Coefficients, Driving, Landmarks68
from fnevr.geometry.keypoints import Keypoints
from fnevr.media.arrays import to_images_01
from fnevr.media.image import Picture
from fnevr.media.reader import VideoFrame
from fnevr.models.encoded_source import EncodedSource, SourceFace
from fnevr.runtime.engine import Engine


@runtime_checkable
class Motion(Protocol):
    """What moves one kind of model."""

    def box(self, landmarks: Landmarks) -> CropBox:
        """Frame a face, in pixels of its picture, as the models of this kind expect it."""
        ...

    def of_source(self, view: Picture, find: Callable[[], Landmarks]) -> SourceFace | None:
        """Return what the model has to be told of a source's face; None where it sees it itself.

        Args:
            view: the picture as the model sees it.
            find: finds the landmarks, in pixels of the view.
        """
        ...

    def follow(
        self,
        engine: Engine,
        frames: Iterable[VideoFrame],
        *,
        crop: bool,
        face: int = 0,
        lost: list[Fraction] | None = None,
    ) -> Iterator[Any]:
        """Bring a driver's frames to what `batches` takes; videos do this in a thread of their own.

        Args:
            engine: runs the model.
            frames: of the driver.
            crop: look for the face; False takes whole pictures.
            face: which face, the largest being 0.
            lost: gets the times of frames in which a face is looked for and not seen.
        """
        ...

    def batches(
        self,
        engine: Engine,
        followed: Iterable[Any],
        sources: Sequence[EncodedSource],
        batch_size: int,
    ) -> Iterator[DrivingBatch[Driving]]:
        """Return what drives the model, so many frames at a time.

        Args:
            engine: runs the model.
            followed: what `follow` gave.
            sources: the faces to be animated; empty where there are none, as in recording.
            batch_size: frames at a time.
        """
        ...


class KeypointMotion:
    """Keypoints, which the model's own detector finds in the frames, and in the source."""

    def box(self, landmarks: Landmarks) -> CropBox:
        """Frame the face as the training clips do."""
        return crop_box(landmarks)

    def of_source(self, view: Picture, find: Callable[[], Landmarks]) -> None:
        """Tell it nothing: the detector sees the source as well."""

    def follow(
        self,
        engine: Engine,
        frames: Iterable[VideoFrame],
        *,
        crop: bool,
        face: int = 0,
        lost: list[Fraction] | None = None,
    ) -> Iterator[VideoFrame]:
        """Bring frames to the model's size, cropped around the face or whole."""
        size = engine.config.image_size
        return face_crops(frames, size, face, lost) if crop else resized(frames, size)

    def batches(
        self,
        engine: Engine,
        followed: Iterable[VideoFrame],
        sources: Sequence[EncodedSource],
        batch_size: int,
    ) -> Iterator[DrivingBatch[Driving]]:
        """Detect the keypoints of each batch, for each face where they depend on it."""

        def find(pictures: list[Picture]) -> tuple[Keypoints, ...]:
            if not engine.config.uses_source_keypoints:
                return (driving_keypoints(engine, pictures, next(iter(sources), None)),)
            return tuple(driving_keypoints(engine, pictures, source) for source in sources)

        return video_batches(followed, find, batch_size)


class LandmarkMotion:
    """68 landmarks, which the face mesh gives; the shape of the driver's head goes over with them.

    Bilayer's authors take those of the package face-alignment instead, and a mask of the person
    from Graphonomy; ours is the part map's.
    """

    def box(self, landmarks: Landmarks) -> CropBox:
        """Frame the face as Bilayer's authors do."""
        return points_box(landmarks)

    def of_source(self, view: Picture, find: Callable[[], Landmarks]) -> SourceFace:
        """Return the source's landmarks, and where it shows the person."""
        points = in_view(points_68(find()), len(view))
        person = PersonParts().parts(view).person.astype(np.float32)
        return SourceFace(Landmarks68(points[None]), person[None, None])

    def follow(
        self,
        engine: Engine,
        frames: Iterable[VideoFrame],
        *,
        crop: bool,
        face: int = 0,
        lost: list[Fraction] | None = None,
    ) -> Iterator[ViewedFace]:
        """Follow the face."""
        size = engine.config.image_size
        return faces_in_view(frames, size, self.box if crop else None, face, lost)

    def batches(
        self,
        engine: Engine,
        followed: Iterable[ViewedFace],
        sources: Sequence[EncodedSource],
        batch_size: int,
    ) -> Iterator[DrivingBatch[Driving]]:
        """Take the 68 points of each frame."""
        del sources
        size = engine.config.image_size
        for batch in in_batches(followed, batch_size):
            mesh = np.stack([face.landmarks for face in batch])
            points = Landmarks68(in_view(points_68(mesh), size))
            yield DrivingBatch((points,), tuple(face.time for face in batch))


class CoefficientMotion:
    """Windows of 3DMM coefficients, which the fit of the open head model gives.

    A window reaches 13 frames ahead, and the size of the driver's head is matched at the frame that
    is most like the source, so a driver is read to its end before the first frame is drawn. Only
    its coefficients are kept.
    """

    def box(self, landmarks: Landmarks) -> CropBox:
        """Frame the face as the training clips do."""
        return crop_box(landmarks)

    def of_source(self, view: Picture, find: Callable[[], Landmarks]) -> SourceFace:
        """Return the source's coefficients; all of the picture is the person's."""
        row = CoefficientReader(len(view)).update(find())
        everywhere = np.ones((1, 1, *view.shape[:2]), np.float32)
        return SourceFace(Coefficients.of_frames(row[None]), everywhere)

    def follow(
        self,
        engine: Engine,
        frames: Iterable[VideoFrame],
        *,
        crop: bool,
        face: int = 0,
        lost: list[Fraction] | None = None,
    ) -> Iterator[tuple[Float[np.ndarray, " 73"], Fraction]]:
        """Follow the face, and fit the head to it frame by frame."""
        size = engine.config.image_size
        reader = CoefficientReader(size)
        for seen in faces_in_view(frames, size, self.box if crop else None, face, lost):
            yield reader.update(seen.landmarks), seen.time

    def batches(
        self,
        engine: Engine,
        followed: Iterable[tuple[Float[np.ndarray, " 73"], Fraction]],
        sources: Sequence[EncodedSource],
        batch_size: int,
    ) -> Iterator[DrivingBatch[Driving]]:
        """Take windows out of the whole driver, of the size of each face that is animated."""
        del engine
        rows = list(followed)
        frames = np.stack([row for row, _ in rows])
        middles = [
            source.own.numpy().windows[0, :, WINDOW // 2]
            for source in sources
            if isinstance(source.own, Coefficients)
        ]
        sized = [matched_scale(frames, middle) for middle in middles] or [frames]
        clips = [Coefficients.of_frames(clip) for clip in sized]
        for start in range(0, len(rows), batch_size):
            part = slice(start, start + batch_size)
            times = tuple(time for _, time in rows[part])
            yield DrivingBatch(tuple(windows[part] for windows in clips), times)


MOTIONS: dict[DrivenBy, Motion] = {
    "keypoints": KeypointMotion(),
    "landmarks": LandmarkMotion(),
    "coefficients": CoefficientMotion(),
}


def video_batches(
    frames: Iterable[VideoFrame],
    find_keypoints: Callable[[list[Picture]], tuple[Keypoints, ...]],
    batch_size: int,
) -> Iterator[DrivingBatch[Driving]]:
    """Find the keypoints of frames that have the model's size, a batch at a time."""
    for batch in in_batches(frames, batch_size):
        keypoints = find_keypoints([frame.rgb for frame in batch])
        yield DrivingBatch(keypoints, tuple(frame.time for frame in batch))


def motion_of(engine: Engine) -> Motion:
    """Return what moves an engine's model."""
    return MOTIONS[engine.config.driven_by]


def driving_keypoints(
    engine: Engine, pictures: list[Picture], source: EncodedSource | None = None
) -> Keypoints:
    """Find the keypoints of driving pictures that have the model's size.

    Args:
        engine: finds them.
        pictures: a batch.
        source: the source to be animated; None where there is none, as in recording.
    """
    images_01 = to_images_01(pictures)
    if source is None:
        return engine.keypoints(images_01)
    return engine.driving_keypoints(images_01, source)
