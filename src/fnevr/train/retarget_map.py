"""Fit how a model's keypoints go with heads whose landmarks are known.

Shapes: F frames of a clip, K keypoints; F6 numbers of the face's, L6 of the lids'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from fnevr.animation.retargeting import Ride, in_head
from fnevr.data.clips import Clip
from fnevr.errors import FaceError
from fnevr.face3d.face_fit import FaceFit, Similarity
from fnevr.faces.landmarks import FaceMesh, Landmarks, landmarks_region
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.patches import FacePatches
from fnevr.media.arrays import to_images_01
from fnevr.models.portrait import KeypointModel
from fnevr.models.retarget_map import LIDS, RetargetMap
from fnevr.progress import Progress

NUM_FRAMES = 24  # of each clip
RIDGE = 100.0  # of the lids' regression, in units of the inputs' deviation
LEAST_DEVIATION = 1e-3
ROUNDS, OUTLIER = 8, 0.05  # of robust fits; in [-1, 1], where a keypoint has lost half its weight
LEAST_TURN = 0.1


@dataclass(frozen=True)
class SeenClip:
    """Frames of a clip: what the model's detector and what the landmarks say.

    Attributes:
        found: the detector's keypoints.
        expected: those of the landmarks, on the face.
        heads: where the head is, in [-1, 1].
    """

    found: Keypoints
    expected: Keypoints
    heads: list[Similarity]


def fit_retarget_map(
    model: KeypointModel, clips: Sequence[Clip], progress: Progress | None = None
) -> RetargetMap:
    """Compare keypoints and landmarks of frames of each clip.

    Args:
        model: whose first keypoints are those of `FacePatches`.
        clips: of a prepared folder; each shows a face.
        progress: is told after every clip.

    Raises:
        FaceError: if no clip shows a face.
    """
    seen, mesh = [], FaceMesh()
    for number, clip in enumerate(clips):
        frames = look(model, clip, mesh)
        if frames is not None:
            seen.append(frames)
        if progress is not None:
            progress("comparing keypoints", number + 1, len(clips))
    if not seen:
        raise FaceError("no face found in the clips; prepare clips that show faces")
    return RetargetMap(_fit_lids(seen), *_fit_beside(seen))


@torch.inference_mode()
def look(model: KeypointModel, clip: Clip, mesh: FaceMesh) -> SeenClip | None:
    """Find the keypoints and the head in some frames of a clip; None if there is no face."""
    device, patches = next(model.parameters()).device, FacePatches.packaged()
    chosen = clip.tracked[np.linspace(0, len(clip.tracked) - 1, NUM_FRAMES).round().astype(int)]
    pictures, landmarks, heads, fit = [], list[Landmarks](), list[Similarity](), FaceFit()
    for frame in np.unique(chosen):
        rgb = np.ascontiguousarray(clip.frames[int(frame)])
        half = len(rgb) / 2
        stored = np.pad(half * (clip.landmarks[frame] + 1), ((0, 0), (0, 1)))  # without depth
        region = landmarks_region(stored)
        face = mesh.mesh(rgb, region, num_passes=1)
        if face.is_face:
            signed = face.landmarks / half - np.array([1.0, 1.0, 0.0])
            fit.update(signed)
            heads.append(fit.similarity)
            landmarks.append(signed)
            pictures.append(rgb)
    if not pictures:
        return None
    found = model.keypoints(torch.from_numpy(to_images_01(pictures)).to(device)).numpy()
    expected = patches(np.stack(landmarks)[..., :2].astype(np.float32))
    return SeenClip(found, expected, heads)


def _fit_lids(clips: Sequence[SeenClip]) -> Float[np.ndarray, "F6 L6"]:
    """Return the ridge regression of what the detector adds to the lids' keypoints."""
    given, added = [], []
    for clip in clips:
        landmarks, detected = (
            _changes(keypoints, clip.expected) for keypoints in (clip.expected, clip.found)
        )
        given.append(landmarks.reshape(len(landmarks), -1))
        added.append((detected - landmarks)[:, list(LIDS)].reshape(len(landmarks), -1))
    inputs, outputs = np.concatenate(given), np.concatenate(added)
    deviation = inputs.std(axis=0) + LEAST_DEVIATION
    scaled = inputs / deviation
    matrix = scaled.T @ scaled + RIDGE * np.eye(scaled.shape[1])
    return (np.linalg.solve(matrix, scaled.T @ outputs) / deviation[:, None]).astype(np.float32)


def _changes(keypoints: Keypoints, heads: Keypoints) -> Float[np.ndarray, "F K 6"]:
    """Return the face's keypoints in the frame of each head, less their mean over the frames."""
    num_face = heads.num_keypoints
    face = Keypoints(keypoints.positions[:, :num_face], keypoints.jacobians[:, :num_face])
    frames = [slice(index, index + 1) for index in range(len(heads))]
    local = np.stack([in_head(face[frame], heads[frame]) for frame in frames])
    return local - local.mean(axis=0)


def _fit_beside(clips: Sequence[SeenClip]) -> tuple[Float[np.ndarray, " K"], ...]:
    """Return shifts, turns, depths and bends of the keypoints beside the face.

    A displacement is ``shift x shifted + turn x (turned + depth x deepened)``, which is linear in
    shift, turn and turn x depth. Displacements are from the clip's first and from its middle frame;
    what is far off (a hand before the shoulder) weighs less.
    """
    rides, went, bent = [], [], []
    for clip in clips:
        frames = [_beside(clip, index) for index in range(len(clip.heads))]
        for start in {0, len(frames) // 2}:
            here = frames[start]
            for head, there in zip(clip.heads, frames, strict=True):
                rides.append(Ride.between(clip.heads[start], head, here))
                went.append(there.positions[0] - here.positions[0])
                bent.append(there.jacobians[0] - here.jacobians[0])
    shifted, turned, deepened, bend = (
        np.stack([getattr(ride, name) for ride in rides])
        for name in ("shifted", "turned", "deepened", "bent")
    )
    displacements, changes = np.stack(went), np.stack(bent)
    solutions = np.array(
        [
            _robust(
                np.stack((shifted, turned[:, index], deepened), axis=-1), displacements[:, index]
            )
            for index in range(displacements.shape[1])
        ]
    )
    shifts, turns, deep = solutions.T
    bends = (bend * changes).sum(axis=(0, 2, 3)) / np.square(bend).sum(axis=(0, 2, 3))
    return shifts, turns, deep / np.maximum(turns, LEAST_TURN), bends


def _beside(clip: SeenClip, index: int) -> Keypoints:
    num_face = clip.expected.num_keypoints
    frame = clip.found[index : index + 1]
    return Keypoints(frame.positions[:, num_face:], frame.jacobians[:, num_face:])


def _robust(
    inputs: Float[np.ndarray, "F 2 3"], outputs: Float[np.ndarray, "F 2"]
) -> Float[np.ndarray, " 3"]:
    """Return the coefficients of the last axis that explain the outputs, outliers weighed down.

    Args:
        inputs: per frame, coordinate and coefficient.
        outputs: per frame and coordinate.
    """
    weights: np.ndarray = np.ones(len(inputs))
    solution = np.zeros(inputs.shape[-1])
    for _ in range(ROUNDS):
        rows = (inputs * weights[:, None, None]).reshape(-1, inputs.shape[-1])
        solution = np.linalg.lstsq(rows, (outputs * weights[:, None]).reshape(-1), rcond=None)[0]
        errors = np.linalg.norm(outputs - inputs @ solution, axis=-1)
        weights = 1 / np.sqrt(1 + np.square(errors / OUTLIER))
    return solution
