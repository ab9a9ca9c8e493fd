"""Pairs of frames of one clip, augmented: source, driving picture and the landmarks of both.

Shapes: B pairs, N landmarks, H and W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fnevr.data.cache import Clip
from fnevr.geometry.flow import affine_view
from fnevr.geometry.patches import FacePatches
from fnevr.geometry.warps import invert_2x2

NEAR_SHARE, NEAR_FRAMES = 0.2, 8


@dataclass(frozen=True)
class Pairs:
    """A batch: pictures in [0, 1] and landmarks in [-1, 1] of sources and driving frames."""

    source_01: Float[Tensor, "B 3 H W"]
    driving_01: Float[Tensor, "B 3 H W"]
    source_landmarks: Float[Tensor, "B N 2"]
    driving_landmarks: Float[Tensor, "B N 2"]


class PairSampler:
    """Draws pairs: moving clips more often, identities with many clips less often.

    A clip is drawn in proportion to (0.4 + 8 min(motion, 0.2)) / sqrt(clips of its identity),
    motion in face heights. Every batch has its own generator, made from the seed and the step, so
    that a resumed run sees the pairs that the uninterrupted one would have seen.
    """

    def __init__(self, clips: list[Clip], patches: FacePatches, *, seed: int) -> None:
        """Keep the clips in which a face was found in at least two frames.

        Raises:
            ValueError: if there is none.
        """
        self.clips = [clip for clip in clips if len(clip.tracked) >= 2]
        if not self.clips:
            raise ValueError("no clip has a face in two frames or more: check the data folder")
        self.patches = patches
        self.seed = seed
        _, inverse, counts = np.unique(
            [clip.identity for clip in self.clips], return_inverse=True, return_counts=True
        )
        motion = np.array([min(clip.motion, 0.2) for clip in self.clips])
        weights = (0.4 + 8 * motion) / np.sqrt(counts[inverse])
        self.probabilities = weights / weights.sum()
        self.tracked = [clip.tracked for clip in self.clips]

    def sample(self, batch_size: int, step: int) -> Pairs:
        """Draw one augmented batch."""
        rng = np.random.default_rng((self.seed, step))
        frames, landmarks = [], []
        for index in rng.choice(len(self.clips), batch_size, p=self.probabilities):
            clip, tracked = self.clips[index], self.tracked[index]
            for frame in _two_frames(tracked, rng):
                frames.append(clip.frames[frame])
                landmarks.append(clip.landmarks[frame])
        images_01 = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float() / 255
        points = torch.from_numpy(np.stack(landmarks))
        images_01, points = flip(images_01, points, self.patches, rng)
        images_01, points = move(images_01, points, rng)
        images_01 = recolour(images_01, rng)
        return Pairs(images_01[0::2], images_01[1::2], points[0::2], points[1::2])


def _two_frames(tracked: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw two frames, now and then close ones: a model must also learn when to keep still."""
    if rng.random() >= NEAR_SHARE:
        return rng.choice(tracked, 2, replace=False)
    start = int(rng.integers(len(tracked)))
    return rng.choice(tracked[start : start + NEAR_FRAMES], 2, replace=True)


def flip(
    images_01: Tensor, points: Tensor, patches: FacePatches, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Mirror half of the pairs (rows 2i and 2i + 1 belong together)."""
    chosen = _per_pair(rng.random(len(images_01) // 2) < 0.5)
    images_01, points = images_01.clone(), points.clone()
    images_01[chosen] = images_01[chosen].flip(3)
    points[chosen] = patches.mirrored(points[chosen])
    return images_01, points


def move(
    images_01: Tensor, points: Tensor, rng: np.random.Generator, *, probability: float = 0.35
) -> tuple[Tensor, Tensor]:
    """Rotate, scale and shift both pictures of a pair alike (deviations 7 degrees, 10 %, 3 %)."""
    chosen = _per_pair(rng.random(len(images_01) // 2) < probability)
    count = int(chosen.sum()) // 2
    if count == 0:
        return images_01, points
    angle, log_scale = (_per_pair(rng.normal(0, sigma, count)) for sigma in (0.12, 0.1))
    shift = _per_pair(rng.normal(0, 0.06, (count, 2)))
    cosine, sine = angle.cos(), angle.sin()
    rotation = torch.stack([torch.stack([cosine, -sine], -1), torch.stack([sine, cosine], -1)], -2)
    matrix = rotation * log_scale.exp()[:, None, None]
    images_01, points = images_01.clone(), points.clone()
    images_01[chosen] = affine_view(images_01[chosen], matrix, shift)
    back = points[chosen] - shift[:, None]
    points[chosen] = torch.einsum("bij,bnj->bni", invert_2x2(matrix), back)
    return images_01, points


def recolour(images_01: Tensor, rng: np.random.Generator) -> Tensor:
    """Jitter gain (10 % common, 6 % per channel) and brightness (4 %), alike in a pair."""
    num_pairs = len(images_01) // 2
    log_gain = rng.normal(0, 0.1, (num_pairs, 1)) + rng.normal(0, 0.06, (num_pairs, 3))
    gain = _per_pair(np.exp(log_gain))[:, :, None, None]
    brightness = _per_pair(rng.normal(0, 0.04, num_pairs))[:, None, None, None]
    return (images_01 * gain + brightness).clamp(0, 1)


def _per_pair(values: np.ndarray) -> Tensor:
    """Repeat each pair's value for its two rows."""
    tensor = torch.from_numpy(np.repeat(values, 2, axis=0))
    return tensor.float() if tensor.is_floating_point() else tensor
