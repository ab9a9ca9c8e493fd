"""Pairs of frames of one clip, augmented: source, driving picture and the landmarks of both.

Of a still the driving picture is a photograph, and the source mostly a view that a model drew of
it: what is learned is to make a real picture of an imperfect one.

Shapes: B pairs, N landmarks, H and W pixels, R frames whose landmarks are known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from fnevr.data.augment import Augmentation, augment
from fnevr.data.clips import Clip
from fnevr.faces.expression import expressions
from fnevr.geometry.patches import FacePatches

NEAR_SHARE, NEAR_FRAMES = 0.15, 8
EXPRESSIVE_SHARE, NUM_CANDIDATES = 0.45, 12
STILLS_SHARE = 0.25
PHOTOGRAPH_SHARE = 0.5

Balance = Literal["motion", "identity"]


@runtime_checkable
class Describe(Protocol):
    """Computes of a pair what an objective needs beside the pictures and landmarks.

    Worker processes do it, so that training does not wait.

    Attributes:
        reach: how many frames before and after the driving one it wants the landmarks of.
    """

    reach: int

    def __call__(
        self, images: UInt8[Tensor, "2 3 H W"], landmarks: Float[Tensor, "R N 2"]
    ) -> Float[Tensor, " *shape"]:
        """Describe an augmented pair.

        Args:
            images: source and driving picture.
            landmarks: of both, in [-1, 1], and where there is a reach those of the driving frame's
                neighbours in order, itself in the middle.
        """
        ...


@dataclass(frozen=True)
class Pairs:
    """A batch: pictures in [0, 1] and landmarks in [-1, 1] of sources and driving frames.

    Attributes:
        described: what was computed of each pair besides; None where nothing was asked for.
    """

    source_01: Float[Tensor, "B 3 H W"]
    driving_01: Float[Tensor, "B 3 H W"]
    source_landmarks: Float[Tensor, "B N 2"]
    driving_landmarks: Float[Tensor, "B N 2"]
    described: Float[Tensor, "B ..."] | None = None

    def split(self, count: int) -> list[Pairs]:
        """Divide the batch evenly, in order."""
        parts = [rows.chunk(count) for rows in vars(self).values() if rows is not None]
        return [Pairs(*part) for part in zip(*parts, strict=True)]


@dataclass(frozen=True)
class RawPairs:
    """A batch before it is made float: a quarter of the memory to hand between processes.

    Pictures in 0 to 255; row 0 of the second axis is the source, row 1 the driving frame.
    """

    images: UInt8[Tensor, "B 2 3 H W"]
    landmarks: Float[Tensor, "B 2 N 2"]
    described: Float[Tensor, "B ..."] | None = None

    @classmethod
    def gather(cls, pairs: Iterable[tuple[Tensor, ...]], batch_size: int) -> RawPairs:
        """Make a batch of single pairs, as they come: pictures, landmarks, what was described."""
        batch: list[Tensor] = []
        for row, parts in enumerate(pairs):
            if not batch:
                batch = [part.new_empty(batch_size, *part.shape) for part in parts]
            for whole, part in zip(batch, parts, strict=True):
                whole[row] = part
        return cls(*batch)

    def finish(self, device: torch.device | None = None) -> Pairs:
        """Make the batch that a model takes.

        Args:
            device: where the batch goes; bytes are sent and become floats there. None is the CPU.
        """
        if device is None:
            source, driving = (_to_unit(self.images[:, row]) for row in (0, 1))
            return Pairs(
                source, driving, self.landmarks[:, 0], self.landmarks[:, 1], self.described
            )
        images = self.images.to(device, non_blocking=True)
        landmarks = self.landmarks.to(device, non_blocking=True)
        source, driving = (images[:, row].float().div_(255) for row in (0, 1))
        described = self.described
        if described is not None:
            described = described.to(device, non_blocking=True)
        return Pairs(source, driving, landmarks[:, 0], landmarks[:, 1], described)


class PairSampler:
    """Draws pairs of frames of one clip each.

    With the balance "motion" a clip is drawn in proportion to (0.4 + 8 min(motion, 0.2)) /
    sqrt(clips of its identity), motion in face heights: moving clips more often, identities with
    many clips less often. With "identity" every person is as likely, and so is every clip of a
    person: the id sampling of the released configuration. Either is multiplied by the clip's own
    weight. Stills, where there are some, have a fixed share of the pairs between them.

    Every pair has its own generator, made from the seed, the step and its row, so that a resumed
    run sees the pairs that the uninterrupted one would have seen, and a process that trains on
    some rows of a batch draws no others.
    """

    def __init__(
        self,
        clips: list[Clip],
        patches: FacePatches,
        *,
        seed: int,
        balance: Balance = "motion",
        stills_share: float | None = None,
        describe: Describe | None = None,
    ) -> None:
        """Keep the clips in which a face was found in at least two frames.

        Args:
            clips: to draw from, stills among them.
            patches: know the landmarks' mirror images.
            seed: decides over everything that is drawn.
            balance: which clips are drawn more often.
            stills_share: of the pairs, in (0, 1]; None is a quarter, where there are stills.
            describe: computes of each pair what an objective needs besides.

        Raises:
            ValueError: if there is none, or a share for stills and no still.
        """
        self.clips = [clip for clip in clips if clip.has_pair]
        if not self.clips:
            raise ValueError("no clip has a face in two frames or more: check the data folder")
        self.patches = patches
        self.seed = seed
        self.describe = describe
        _, inverse, counts = np.unique(
            [clip.identity for clip in self.clips], return_inverse=True, return_counts=True
        )
        if balance == "identity":
            weights = 1 / counts[inverse]
        else:
            motion = np.array([min(clip.motion, 0.2) for clip in self.clips])
            weights = (0.4 + 8 * motion) / np.sqrt(counts[inverse])
        weights = weights * [clip.weight for clip in self.clips]
        self.probabilities = weights / weights.sum()
        is_still = np.array([clip.real_frames is not None for clip in self.clips])
        if stills_share is not None and not is_still.any():
            raise ValueError("stills_share is of no use: no still has a view with a face")
        if is_still.any() and not is_still.all():
            share = STILLS_SHARE if stills_share is None else stills_share
            for group, part in ((is_still, share), (~is_still, 1 - share)):
                self.probabilities[group] *= part / self.probabilities[group].sum()
        self.tracked = [clip.tracked for clip in self.clips]

    @property
    def side_px(self) -> int:
        """Side of the pictures."""
        return self.clips[0].frames[0].shape[0]

    def sample(self, batch_size: int, step: int, rows: Sequence[int] | None = None) -> Pairs:
        """Draw one augmented batch, or some rows of it; None draws all."""
        return self.sample_raw(batch_size, step, rows).finish()

    def sample_raw(self, batch_size: int, step: int, rows: Sequence[int] | None = None) -> RawPairs:
        """Draw the same pairs, not made float yet."""
        rng = np.random.default_rng((self.seed, step))
        indices = rng.choice(len(self.clips), batch_size, p=self.probabilities)
        rows = range(batch_size) if rows is None else rows
        pairs = (self._draw(int(indices[row]), step, row) for row in rows)
        return RawPairs.gather(pairs, len(rows))

    def _draw(self, index: int, step: int, row: int) -> tuple[Tensor, ...]:
        # A zero at the end would not change the generator.
        rng = np.random.default_rng((self.seed, step, row + 1))
        clip, tracked = self.clips[index], self.tracked[index]
        if self.describe is None:
            return draw_pair(clip, tracked, self.patches, rng)
        images, points = draw_pair(clip, tracked, self.patches, rng, self.describe.reach)
        return images, points[:2], self.describe(images, points)


def _to_unit(images: UInt8[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
    """Take pictures to [0, 1], one at a time: that stays in the processor's caches."""
    images_01 = torch.empty(images.shape)
    for picture_01, picture in zip(images_01, images, strict=True):
        picture_01.copy_(picture).div_(255)
    return images_01


def draw_pair(
    clip: Clip,
    tracked: Int[np.ndarray, " F"],
    patches: FacePatches,
    rng: np.random.Generator,
    reach: int = 0,
) -> tuple[UInt8[Tensor, "2 3 H W"], Float[Tensor, "R N 2"]]:
    """Draw two frames of a clip and augment them.

    Args:
        clip: where from.
        tracked: its frames with a face, at least two.
        patches: know the landmarks' mirror images.
        rng: decides.
        reach: how many frames before and after the driving one the landmarks are wanted of; they
            follow those of the pair, the driving frame's in their middle.
    """
    if clip.real_frames is None:
        indices = two_frames(tracked, clip.landmarks, rng)
    else:
        indices = towards_photograph(tracked, clip.real_frames, rng)
    augmentation = Augmentation.draw(rng)
    source, driving = (torch.from_numpy(clip.frames[int(index)]) for index in indices)
    # Channels stay last in memory until the matrix product in `recolour` sorts them.
    images_255 = torch.stack((source, driving)).float().permute(0, 3, 1, 2)
    if reach:
        indices = np.concatenate((indices, neighbours(clip, tracked, int(indices[1]), reach)))
    return augment(images_255, torch.from_numpy(clip.landmarks[indices]), augmentation, patches)


def neighbours(
    clip: Clip, tracked: Int[np.ndarray, " F"], frame: int, reach: int
) -> Int[np.ndarray, " T"]:
    """Return the frames around a frame, itself in their middle.

    Before the first and after the last frame these repeat; the nearest frame with a face stands for
    one without. The frames of a still do not follow each other: there the frame itself repeats.
    """
    offsets = np.arange(-reach, reach + 1) if clip.real_frames is None else np.zeros(2 * reach + 1)
    wanted = frame + offsets.astype(int)
    return tracked[np.abs(tracked[None] - wanted[:, None]).argmin(axis=1)]


def two_frames(
    tracked: np.ndarray, landmarks: Float[np.ndarray, "T N 2"], rng: np.random.Generator
) -> np.ndarray:
    """Draw two frames, in one of three ways that chance decides.

    Expressive pairs are the two frames of a few drawn ones whose expressions differ most: most
    frames of a talking head look alike, and a model would never learn what is behind the lips.
    Near pairs are close in time and teach it when to keep still. The others are any two frames.
    """
    kind = rng.random()
    if kind < NEAR_SHARE:
        start = int(rng.integers(len(tracked)))
        return rng.choice(tracked[start : start + NEAR_FRAMES], 2, replace=True)
    if kind >= NEAR_SHARE + EXPRESSIVE_SHARE:
        return rng.choice(tracked, 2, replace=False)
    candidates = rng.choice(tracked, min(NUM_CANDIDATES, len(tracked)), replace=False)
    descriptors = expressions(landmarks[candidates])
    distances = np.square(descriptors[:, None] - descriptors[None]).sum(axis=-1)
    pair = np.array(np.unravel_index(distances.argmax(), distances.shape))
    if distances.max() == 0:  # all alike
        pair = np.array([0, 1])
    return candidates[rng.permutation(pair)]


def towards_photograph(
    tracked: np.ndarray, real_frames: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw a photograph of a still as the driving frame, and another frame as its source.

    Where there are several photographs, the source of half of the pairs is one too; otherwise it
    is a view. Views are never driving frames: nothing is to be learned from their faults.
    """
    photographs = tracked[tracked < real_frames]
    driving = rng.choice(photographs)
    others = photographs[photographs != driving]
    views = tracked[tracked >= real_frames]
    if len(others) and (not len(views) or rng.random() < PHOTOGRAPH_SHARE):
        views = others
    return np.array([rng.choice(views), driving])
