"""Validation while training: PSNR on held-out clips beside the still frame, and pictures.

Held-out stills have a number of their own: how well photographs are made of views.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from fnevr.data.clips import Clip
from fnevr.evaluate.clip_motion import drive, read_frames
from fnevr.evaluate.reconstruction import ClipScore, score_clip, score_still, summarize
from fnevr.geometry.driving import Driving
from fnevr.geometry.keypoints import Keypoints
from fnevr.media.arrays import to_pictures
from fnevr.models.encoded_source import EncodedSource
from fnevr.models.lite import LiteGenerated
from fnevr.models.portrait import KeypointModel, PortraitModel

SHEET_ROWS = 4


@dataclass(frozen=True)
class Validation:
    """Mean PSNR over the clips, in dB; `still` repeats the first frame.

    Attributes:
        stills_psnr: that of the photographs of stills, made of their views; None without stills.
    """

    psnr: float
    still: float
    gain_moving: float
    worst_gain: float
    clips: tuple[ClipScore, ...]
    stills_psnr: float | None = None


def validate(model: PortraitModel, clips: Sequence[Clip], *, stride: int) -> Validation:
    """Score a model on clips, every `stride` frames; shorter clips on their last frame.

    Stills among them count for `stills_psnr` alone.

    Raises:
        ValueError: if there is no clip, or one has a single frame.
    """
    model.eval()
    stills = [score_still(model, clip) for clip in clips if clip.real_frames is not None]
    scores = [
        score_clip(model, clip, stride=min(stride, len(clip.frames) - 1))
        for clip in clips
        if clip.real_frames is None
    ]
    summary = summarize(scores)
    return Validation(
        psnr=summary.still + summary.model_gain,
        still=summary.still,
        gain_moving=summary.model_gain_moving,
        worst_gain=summary.worst_gain,
        clips=tuple(scores),
        stills_psnr=float(np.mean([each.model for each in stills])) if stills else None,
    )


@torch.inference_mode()
def picture_sheet(model: PortraitModel, clips: Sequence[Clip]) -> UInt8[np.ndarray, "H W 3"]:
    """Return a row per clip: source, driving and final picture.

    Before the last are those of models with keypoints that led to it: warped, and decoded (`lite`).

    The source is the first frame and the driving picture the one that differs most from it, of 32.
    """
    model.eval()
    rows = []
    for clip in clips[:SHEET_ROWS]:
        index = _most_different(clip)
        source = read_frames(model, clip, np.zeros(1, int))
        images_01 = torch.cat(_drawn(model, source, drive(model, clip, index, source)))
        pictures = to_pictures(images_01.cpu().numpy())
        rows.append(np.concatenate([clip.frames[0], clip.frames[int(index[0])], *pictures], axis=1))
    return np.concatenate(rows, axis=0)


def _drawn(model: PortraitModel, source: EncodedSource, driving: Driving) -> list[Tensor]:
    """Return what led to a picture, as far as that is a picture, and the picture."""
    if not isinstance(model, KeypointModel):
        return [model.draw(source, driving)]
    out = model.generate(
        source.image_01, source.keypoints, model.expect(driving, Keypoints), source.features
    )
    decoded = [out.decoded] if isinstance(out, LiteGenerated) else []
    assert out.warped is not None
    return [out.warped, *decoded, model.draw(source, driving)]


def _most_different(clip: Clip) -> Int[np.ndarray, 1]:
    """Return the frame, of 32, that differs most from the first."""
    indices = np.unique(np.linspace(0, len(clip.frames) - 1, 32).round().astype(int))
    first = clip.frames[0].astype(np.float32)
    distances = [np.abs(clip.frames[int(index)] - first).mean() for index in indices]
    return indices[[int(np.argmax(distances))]]
