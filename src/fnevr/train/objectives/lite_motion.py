"""The loss of detector and dense motion of `lite`: keypoints near their targets, a warp that fits.

Shapes: B pictures, K keypoints, h and w pixels of the flow.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from fnevr.data.pairs import Pairs
from fnevr.geometry.flow import affine_view, flow_to_grid, sample
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.patches import FacePatches
from fnevr.losses import affine_equivariance, jacobian_distance, position_distance, pyramid_l1
from fnevr.models.lite import FNeVRLite
from fnevr.models.lite.motion import LiteMotion
from fnevr.train.recipe import LiteRecipe
from fnevr.train.share import WHOLE, Share


def motion_terms(
    model: FNeVRLite,
    patches: FacePatches,
    pairs: Pairs,
    recipe: LiteRecipe,
    rng: Generator,
    step: int,
    share: Share = WHOLE,
) -> tuple[dict[str, Tensor], LiteMotion]:
    """Return the unweighted terms, by the names of `MotionWeights`, and the motion.

    Args:
        model: what is trained; its batch statistics are updated.
        patches: where the keypoints' targets come from.
        pairs: one batch, or a share of it.
        recipe: says how often there is which term.
        rng: of the warps and what is left out; of the CPU, so that all devices draw the same.
        step: equivariance is a term of some steps only.
        share: which share of the batch the pairs are.
    """
    images_01 = torch.cat([pairs.source_01, pairs.driving_01])
    landmarks = torch.cat([pairs.source_landmarks, pairs.driving_landmarks])
    detected, target = model.keypoints(images_01), patches(landmarks)
    terms = {
        "position": position_distance(detected, target),
        "jacobian": jacobian_distance(detected, target),
    }
    has_free_keypoints = detected.num_keypoints > target.num_keypoints
    if has_free_keypoints and step % recipe.equivariance_every == 0:
        terms["equivariance"] = _equivariance(
            model, pairs.driving_01, detected, patches.num_keypoints, rng, share
        )
    if torch.rand((), generator=rng) < recipe.target_keypoints:
        detected = _with_targets(detected, target)

    half = len(pairs.source_01)
    source, driving = detected[:half], detected[half:]
    gain = dropout_gain(half, model.motion.width, recipe.motion_dropout, rng, share)
    motion = model.motion(pairs.source_01, source, driving, gain.to(pairs.source_01))
    terms["warped"] = _warped_distance(pairs, motion.flow)
    terms["smoothness"] = _roughness(motion.flow)
    return terms, motion


def dropout_gain(
    count: int, channels: int, probability: float, rng: Generator, share: Share
) -> Tensor:
    """Draw which channels of each pair are left out: 0 for those, 1 / (1 - p) for the others.

    Args:
        count: pairs of this share.
        channels: of the features.
        probability: p, of each channel to be left out.
        rng: where the draw comes from.
        share: which share of the batch the pairs are.
    """
    drawn = torch.rand(count * share.count, channels, 1, 1, generator=rng)
    return share.of((drawn >= probability) / (1 - probability))


def _warped_distance(pairs: Pairs, flow: Tensor) -> Tensor:
    """Compare the warped source with the driving picture at half size."""
    source_01 = F.avg_pool2d(pairs.source_01, kernel_size=2)
    driving_01 = F.avg_pool2d(pairs.driving_01, kernel_size=2)
    warped = sample(source_01, flow_to_grid(flow, *source_01.shape[-2:]))
    return pyramid_l1(warped, driving_01, levels=4)


def _roughness(flow: Tensor) -> Tensor:
    down = (flow[:, :, 1:] - flow[:, :, :-1]).abs().mean()
    right = (flow[:, :, :, 1:] - flow[:, :, :, :-1]).abs().mean()
    return down + right


def _with_targets(detected: Keypoints, target: Keypoints) -> Keypoints:
    """Put the targets in the place of the first keypoints, which have one."""
    count = target.num_keypoints
    return Keypoints(
        torch.cat([target.positions, detected.positions[:, count:]], dim=1),
        torch.cat([target.jacobians, detected.jacobians[:, count:]], dim=1),
    )


def _equivariance(
    model: FNeVRLite,
    driving_01: Tensor,
    detected: Keypoints,
    first: int,
    rng: Generator,
    share: Share,
) -> Tensor:
    """Warp up to 8 driving pictures of the batch by random affine maps and detect again."""
    count = min(max(1, 8 // share.count), len(driving_01))
    total = count * share.count
    matrix = torch.eye(2) + 0.08 * torch.randn(total, 2, 2, generator=rng)
    offset = 0.08 * torch.randn(total, 2, generator=rng)
    matrix, offset = share.of(matrix).to(driving_01), share.of(offset).to(driving_01)
    warped_01 = affine_view(driving_01[:count], matrix, offset)
    original = detected[len(driving_01) : len(driving_01) + count]
    return affine_equivariance(original, model.keypoints(warped_01), matrix, offset, first=first)
