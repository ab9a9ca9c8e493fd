"""Where a run starts: a model whose motion is the geometric warp, or a saved one."""

from __future__ import annotations

from pathlib import Path

import torch

from fnevr.config import LiteConfig
from fnevr.geometry.patches import FacePatches
from fnevr.models.lite import FNeVRLite

NUM_EYELIDS = 4
PATCH_WIDTH, EYELID_WIDTH, HEAD_WIDTH, FREE_WIDTH = 0.09, 0.04, 0.45, 0.4
BACKGROUND_BIAS, HEAD_BIAS, FREE_BIAS = -5.0, -5.0, -9.0


def new_model(config: LiteConfig, patches: FacePatches, seed: int) -> FNeVRLite:
    """Make a model whose Gaussian blend is the geometric warp.

    Widths are in face heights, which are about 1 in [-1, 1] coordinates. The patches are narrow,
    the eyelids (the last patches) narrower, the whole head wide but behind the patches, the
    keypoints without targets further behind; the background wins beyond them all.

    Args:
        config: what to build.
        patches: which keypoints have targets, in what order.
        seed: of the weights; torch's own random state is left as it was.

    Raises:
        ValueError: if the config has fewer keypoints than there are patches.
    """
    num_face = patches.num_keypoints
    if config.num_keypoints < num_face:
        raise ValueError(f"num_keypoints must be at least {num_face}, got {config.num_keypoints}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = FNeVRLite(config)
    widths = torch.full((config.num_keypoints,), PATCH_WIDTH)
    widths[num_face - 1 - NUM_EYELIDS : num_face - 1] = EYELID_WIDTH
    widths[num_face - 1] = HEAD_WIDTH
    widths[num_face:] = FREE_WIDTH
    biases = torch.zeros(config.num_keypoints + 1)
    biases[0] = BACKGROUND_BIAS
    biases[num_face] = HEAD_BIAS
    biases[num_face + 1 :] = FREE_BIAS
    with torch.no_grad():
        model.motion.log_widths.copy_(widths.log())
        model.motion.biases.copy_(biases)
    return model


def saved_model(folder: Path) -> FNeVRLite:
    """Load a saved model to train it further.

    Raises:
        CheckpointError: if the folder does not hold a whole `lite` model.
    """
    return FNeVRLite.from_pretrained(folder).requires_grad_(True)
