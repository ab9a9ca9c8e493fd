"""Same-identity reconstruction: frame 0 is the source, every later frame is driven and scored.

Two predictions of each frame are scored side by side by PSNR: ``still`` repeats frame 0, ``model``
is the model's picture. A clip's score is the mean over its frames 1, 2, ... (frame 0 is the
source); a table's score is the mean over its clips. Identical pictures score `MAX_PSNR_DB`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from fnevr.data.clips import Clip
from fnevr.evaluate.clip_motion import drive, images_of, read_frames
from fnevr.evaluate.metrics.psnr import psnr
from fnevr.models.portrait import PortraitModel

MOVING_BELOW_DB = 21.0


@dataclass(frozen=True)
class ClipScore:
    """Mean PSNR of one clip's frames, in dB."""

    name: str
    frames: int
    still: float
    model: float

    @property
    def is_moving(self) -> bool:
        """Whether repeating frame 0 is a bad prediction (below 21 dB)."""
        return self.still < MOVING_BELOW_DB


@dataclass(frozen=True)
class Summary:
    """Means over clips, in dB; gains are over ``still``."""

    clips: int
    moving_clips: int
    still: float
    model_gain: float
    model_gain_moving: float
    worst_gain: float


@torch.inference_mode()
def score_clip(
    model: PortraitModel, clip: Clip, *, stride: int = 1, batch_size: int = 8
) -> ClipScore:
    """Score the frames ``stride``, ``2 stride``, ... of one clip.

    Raises:
        ValueError: if the clip has no such frame.
    """
    if len(clip.frames) <= stride:
        raise ValueError(f"{clip.name} has {len(clip.frames)} frames: too few for stride {stride}")
    source = read_frames(model, clip, np.zeros(1, int))
    source_01, scores = source.image_01, []
    indices = np.arange(stride, len(clip.frames), stride)
    for start in range(0, len(indices), batch_size):
        batch = indices[start : start + batch_size]
        target_01 = images_of(clip, batch, source_01)
        image_01 = model.draw(source, drive(model, clip, batch, source))
        predictions = (source_01.expand_as(target_01), image_01)
        scores.append(torch.stack([psnr(image.clamp(0, 1), target_01) for image in predictions]))
    means = torch.cat(scores, dim=1).mean(dim=1).tolist()
    return ClipScore(clip.name, len(indices), *means)


@torch.inference_mode()
def score_still(model: PortraitModel, still: Clip) -> ClipScore:
    """Score how the first photograph of a still is made of each of its other frames.

    Raises:
        ValueError: if it has no other frame.
    """
    if len(still.frames) < 2:
        raise ValueError(f"{still.name} has no frame beside the photograph")
    views = np.arange(1, len(still.frames))
    sources = read_frames(model, still, views)
    photograph = np.zeros(len(views), int)
    target_01 = images_of(still, photograph, sources.image_01)
    image_01 = model.draw(sources, drive(model, still, photograph, sources))
    predictions = (sources.image_01, image_01)
    means = [float(psnr(image.clamp(0, 1), target_01).mean()) for image in predictions]
    return ClipScore(still.name, len(views), *means)


def summarize(scores: list[ClipScore]) -> Summary:
    """Average over clips.

    Raises:
        ValueError: if there is none.
    """
    if not scores:
        raise ValueError("no clips to average over: is the split right?")
    still, model = np.array([[s.still, s.model] for s in scores]).T
    moving = np.array([s.is_moving for s in scores])
    gain = model - still
    return Summary(
        clips=len(scores),
        moving_clips=int(moving.sum()),
        still=float(still.mean()),
        model_gain=float(gain.mean()),
        model_gain_moving=float(gain[moving].mean()) if moving.any() else float("nan"),
        worst_gain=float(gain.min()),
    )
