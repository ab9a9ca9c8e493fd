"""Where a run starts: new weights (those of `lite` are the geometric warp), or saved ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from fnevr.config.models import AnyConfig, LiteConfig
from fnevr.geometry.patches import FacePatches
from fnevr.models import ARCHITECTURES, load_model
from fnevr.models.lite import FNeVRLite
from fnevr.models.portrait import PortraitModel

NUM_EYELIDS = 4
PATCH_WIDTH, EYELID_WIDTH, HEAD_WIDTH, FREE_WIDTH = 0.09, 0.04, 0.45, 0.25
BACKGROUND_BIAS, HEAD_BIAS, FREE_BIAS = -5.0, -5.0, -3.0
# Where the free keypoints are looked for, in a picture in the training framing: crown and sides of
# the hair, cheeks, neck, shoulders, collar; then further out: arms, chest, background.
FREE_ANCHORS = (
    *((0.0, -0.8), (-0.5, -0.5), (0.5, -0.5), (-0.6, 0.1), (0.6, 0.1), (0.0, 0.75)),
    *((-0.65, 0.8), (0.65, 0.8), (-0.3, 0.95), (0.3, 0.95), (-0.85, -0.7), (0.85, -0.7)),
    *((-0.9, 0.95), (0.9, 0.95), (-0.4, 1.1), (0.4, 1.1)),
    *((-1.0, -0.2), (1.0, -0.2), (-1.0, -1.0), (1.0, -1.0)),
)


def start_anew(config: AnyConfig, patches: FacePatches, seed: int) -> PortraitModel:
    """Make a model with new weights; that of `lite` starts as the geometric warp.

    Raises:
        ValueError: if the config does not fit the patches (`lite`).
    """
    if isinstance(config, LiteConfig):
        return new_model(config, patches, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ARCHITECTURES[config.architecture](config)


def new_model(config: LiteConfig, patches: FacePatches, seed: int) -> FNeVRLite:
    """Make a model whose Gaussian blend is the geometric warp.

    Widths are in face heights, which are about 1 in [-1, 1] coordinates. The patches are narrow,
    the eyelids (the last patches) narrower, the whole head wide but behind the patches, the
    free keypoints wide and between the two, around their anchors; the background wins beyond.

    Args:
        config: what to build.
        patches: which keypoints have targets, in what order.
        seed: of the weights; torch's own random state is left as it was.

    Raises:
        ValueError: if the config has another number of face keypoints than there are patches, or
            more free ones than there are anchors.
    """
    num_face, num_free = patches.num_keypoints, config.num_free_keypoints
    if config.num_face_keypoints != num_face:
        raise ValueError(
            f"num_keypoints less num_free_keypoints must be {num_face}, the number of patches, got "
            f"{config.num_keypoints} - {num_free}"
        )
    if num_free > len(FREE_ANCHORS):
        raise ValueError(f"num_free_keypoints must be {len(FREE_ANCHORS)} at most, got {num_free}")
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
        model.detector.anchors.copy_(torch.tensor(FREE_ANCHORS[:num_free]).reshape(num_free, 2))
    return model


def with_new_generator(model: FNeVRLite, changes: dict[str, Any], seed: int) -> FNeVRLite:
    """Keep a model's detector and dense motion; start encoder, renderer and decoder anew.

    For ablations: variants of the generator that differ in nothing else train from here on.

    Args:
        model: where the motion comes from.
        changes: fields of the configuration that are to differ, such as ``volume_rendering``.
        seed: of the new weights; variants that share a part start it alike.

    Raises:
        ValidationError: if the changed configuration is not valid.
        RuntimeError: if the changes concern detector or motion.
    """
    config = LiteConfig.model_validate(model.config.model_dump() | changes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        variant = FNeVRLite(config)
    for part in ("detector", "motion"):
        variant.get_submodule(part).load_state_dict(model.get_submodule(part).state_dict())
    return variant


def saved_model(folder: Path) -> PortraitModel:
    """Load a saved model to train it further.

    Raises:
        CheckpointError: if the folder does not hold a whole model.
    """
    return load_model(folder).requires_grad_(True)
