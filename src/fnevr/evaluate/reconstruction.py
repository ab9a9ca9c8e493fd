"""Same-identity reconstruction: frame 0 is the source, every later frame is driven and scored.

Four predictions of each frame are scored side by side by PSNR:

- ``still``: frame 0 repeated;
- ``geometry``: frame 0 warped by the keypoints of dense landmarks, nothing trained;
- ``detector``: the same warp by the model's own keypoints;
- ``model``: the model's picture.

A clip's score is the mean over its frames 1, 2, ... (frame 0 would score infinity for ``still``); a
table's score is the mean over its clips.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fnevr.data.clips import Clip
from fnevr.evaluate.psnr import psnr
from fnevr.geometry.flow import flow_to_grid, sample
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.patches import FacePatches
from fnevr.models.lite import CELL, FNeVRLite
from fnevr.models.lite.motion import LiteDenseMotion
from fnevr.train.start import new_model

MOVING_BELOW_DB = 21.0


@dataclass(frozen=True)
class ClipScore:
    """Mean PSNR of one clip's frames, in dB."""

    name: str
    frames: int
    still: float
    geometry: float
    detector: float
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
    geometry_gain: float
    detector_gain: float
    model_gain: float
    model_gain_moving: float
    worst_gain: float


@torch.inference_mode()
def score_clip(
    model: FNeVRLite, clip: Clip, patches: FacePatches, *, stride: int = 1, batch_size: int = 8
) -> ClipScore:
    """Score the frames ``stride``, ``2 stride``, ... of one clip.

    Where no frame has landmarks, ``geometry`` keeps still.

    Raises:
        ValueError: if the clip has no such frame.
    """
    if len(clip.frames) <= stride:
        raise ValueError(f"{clip.name} has {len(clip.frames)} frames: too few for stride {stride}")
    device = next(model.parameters()).device
    source_01 = _pictures(clip, np.zeros(1, int), device)
    source = model.keypoints(source_01)
    features = model.encode(source_01)
    targets = _patches_of(clip, patches, device)
    num_face = patches.num_keypoints
    untrained = new_model(model.config, patches, seed=0).motion.to(device)
    scores = []
    indices = np.arange(stride, len(clip.frames), stride)
    for start in range(0, len(indices), batch_size):
        batch = indices[start : start + batch_size]
        target_01 = _pictures(clip, batch, device)
        driving = model.keypoints(target_01)
        generated = model.generate(source_01, source, driving, source_features=features)
        still = geometry = source_01.expand_as(target_01)
        if targets:
            moved = targets[torch.from_numpy(batch)]
            geometry = geometric_warp(untrained, source_01, targets[0], moved)
        predictions = (
            still,
            geometry,
            geometric_warp(
                untrained, source_01, _first(source, num_face), _first(driving, num_face)
            ),
            generated.image,
        )
        scores.append(torch.stack([psnr(image.clamp(0, 1), target_01) for image in predictions]))
    means = torch.cat(scores, dim=1).mean(dim=1).tolist()
    return ClipScore(clip.name, len(indices), *means)


def geometric_warp(
    motion: LiteDenseMotion, source_01: Tensor, source: Keypoints, driving: Keypoints
) -> Tensor:
    """Warp the source by the Gaussian blend of its keypoints' motions alone, no network."""
    height, width = source_01.shape[-2:]
    count = driving.batch_size
    flow = motion.prior_flow(source.expand(count), driving, height // CELL, width // CELL)
    return sample(source_01.expand(count, -1, -1, -1), flow_to_grid(flow, height, width))


def summarize(scores: list[ClipScore]) -> Summary:
    """Average over clips.

    Raises:
        ValueError: if there is none.
    """
    if not scores:
        raise ValueError("no clips to average over: is the split right?")
    still, geometry, detector, model = np.array(
        [[s.still, s.geometry, s.detector, s.model] for s in scores]
    ).T
    moving = np.array([s.is_moving for s in scores])
    gain = model - still
    return Summary(
        clips=len(scores),
        moving_clips=int(moving.sum()),
        still=float(still.mean()),
        geometry_gain=float((geometry - still).mean()),
        detector_gain=float((detector - still).mean()),
        model_gain=float(gain.mean()),
        model_gain_moving=float(gain[moving].mean()) if moving.any() else float("nan"),
        worst_gain=float(gain.min()),
    )


def score_clips(
    model: FNeVRLite, clips: list[Clip], *, stride: int, progress: Callable[[ClipScore], None]
) -> list[ClipScore]:
    """Score every clip, reporting each as it is done."""
    model.eval()
    patches = FacePatches.packaged()
    scores = []
    for clip in clips:
        scores.append(score_clip(model, clip, patches, stride=stride))
        progress(scores[-1])
    return scores


def _first(keypoints: Keypoints, count: int) -> Keypoints:
    return Keypoints(keypoints.positions[:, :count], keypoints.jacobians[:, :count])


def _pictures(clip: Clip, indices: np.ndarray, device: torch.device) -> Tensor:
    frames = torch.from_numpy(np.stack([clip.frames[int(index)] for index in indices]))
    return frames.to(device).permute(0, 3, 1, 2).float() / 255


def _patches_of(clip: Clip, patches: FacePatches, device: torch.device) -> Keypoints | None:
    """Fit keypoints to every frame's landmarks; where none were found, to the last ones before.

    Before the first face, its landmarks serve; without any face there is None.
    """
    found = clip.tracked
    if not len(found):
        return None
    last = np.searchsorted(found, np.arange(len(clip.frames)), side="right") - 1
    keypoints = patches(torch.from_numpy(clip.landmarks[found[np.clip(last, 0, None)]]))
    return Keypoints(keypoints.positions.to(device), keypoints.jacobians.to(device))
