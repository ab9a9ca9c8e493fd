"""What moves a model, from the frames and landmarks that a prepared clip stores.

Animation finds the same in pictures (`animation.motions`): keypoints by the model's own detector,
68 landmarks by a table of the mesh's points, coefficients by the head fit.

Shapes: N landmarks, T frames of a window, H and W pixels.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from fnevr.data.clips import Clip
from fnevr.data.pairs import neighbours
from fnevr.face3d.coefficients import REFERENCE_SIDE, CoefficientReader
from fnevr.faces.parts import PersonParts
from fnevr.faces.points68 import points_68
from fnevr.geometry.driving import WINDOW, Coefficients, Driving, Landmarks68
from fnevr.media.arrays import to_images_01
from fnevr.models.encoded_source import EncodedSource, SourceFace
from fnevr.models.portrait import KeypointModel, PortraitModel


def images_of(clip: Clip, indices: Int[np.ndarray, " T"], like: Tensor) -> Tensor:
    """Return frames of a clip as images in [0, 1], on the device of a tensor."""
    images_01 = to_images_01([clip.frames[int(index)] for index in indices])
    return torch.from_numpy(images_01).to(like.device)


def read_frames(model: PortraitModel, clip: Clip, indices: Int[np.ndarray, " T"]) -> EncodedSource:
    """Read frames of a clip as sources, with the detail that engines draw with."""
    source_01 = images_of(clip, indices, next(model.parameters()))
    face = None
    if model.config.driven_by == "landmarks":
        masks = np.stack([person_of(clip.frames[int(index)]) for index in indices])
        person_01 = torch.from_numpy(masks)[:, None].to(source_01)
        face = SourceFace(_points(clip, indices, source_01), person_01)
    return model.read_detailed(source_01, face=face)


def drive(
    model: PortraitModel, clip: Clip, indices: Int[np.ndarray, " T"], source: EncodedSource
) -> Driving:
    """Return what moves a source as frames of a clip move.

    A frame without a face has the landmarks of the nearest frame that shows one.
    """
    if isinstance(model, KeypointModel):
        driving_01 = images_of(clip, indices, source.image_01)
        return model.driving_keypoints(driving_01, source.keypoints)
    if model.config.driven_by == "landmarks":
        return _points(clip, indices, source.image_01)
    reach, tracked = WINDOW // 2, clip.tracked
    frames = [neighbours(clip, tracked, int(index), reach) for index in indices]
    windows = np.stack([coefficient_window(clip.landmarks[window]) for window in frames])
    return Coefficients(torch.from_numpy(windows).to(source.image_01))


def coefficient_window(landmarks: Float[np.ndarray, "T N 2"]) -> Float[np.ndarray, "73 T"]:
    """Return the coefficients of frames that follow each other.

    Args:
        landmarks: in [-1, 1].
    """
    reader = CoefficientReader(REFERENCE_SIDE)
    rows = [reader.update((points + 1) * (REFERENCE_SIDE / 2)) for points in landmarks]
    return np.stack(rows, axis=1)


def person_of(rgb: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, "H W"]:
    """Return how much of each pixel shows the person, in [0, 1]."""
    return _parts().parts(rgb).person.astype(np.float32)


@cache
def _parts() -> PersonParts:
    return PersonParts(num_threads=1)


def _points(clip: Clip, indices: Int[np.ndarray, " T"], like: Tensor) -> Landmarks68:
    tracked = clip.tracked
    frames = [int(neighbours(clip, tracked, int(index), 0)[0]) for index in indices]
    return Landmarks68(torch.from_numpy(points_68(clip.landmarks[frames])).to(like))
