"""Validation while training: PSNR on held-out clips beside the still frame, and pictures.

Held-out stills have a number of their own: how well photographs are made of views.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt8

from fnevr.data.clips import Clip
from fnevr.evaluate.reconstruction import ClipScore, score_clip, score_still, summarize
from fnevr.media.arrays import to_images_01, to_pictures
from fnevr.models.lite import LiteGenerated
from fnevr.models.portrait import KeypointModel

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


def validate(model: KeypointModel, clips: Sequence[Clip], *, stride: int) -> Validation:
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
def picture_sheet(model: KeypointModel, clips: Sequence[Clip]) -> UInt8[np.ndarray, "H W 3"]:
    """Return a row per clip: source, driving, warped, decoded (`lite`) and final picture.

    The source is the first frame and the driving picture the one that differs most from it, of 32.
    """
    model.eval()
    device = next(model.parameters()).device
    rows = []
    for clip in clips[:SHEET_ROWS]:
        source, driving = clip.frames[0], _most_different(clip)
        pictures_01 = torch.from_numpy(to_images_01([source, driving])).to(device)
        out = model(pictures_01[:1], pictures_01[1:])
        decoded = [out.decoded] if isinstance(out, LiteGenerated) else []
        images_01 = torch.cat([out.warped, *decoded, out.image])
        pictures = to_pictures(images_01.cpu().numpy())
        rows.append(np.concatenate([source, driving, *pictures], axis=1))
    return np.concatenate(rows, axis=0)


def _most_different(clip: Clip) -> UInt8[np.ndarray, "H W 3"]:
    indices = np.linspace(0, len(clip.frames) - 1, 32).round().astype(int)
    candidates = [clip.frames[int(index)] for index in np.unique(indices)]
    first = candidates[0].astype(np.float32)
    distances = [np.abs(picture - first).mean() for picture in candidates]
    return candidates[int(np.argmax(distances))]
