"""One training step: the loss of one batch of pairs."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from fnevr.data.pairs import Pairs
from fnevr.geometry.flow import affine_view, flow_to_grid, sample
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.patches import FacePatches
from fnevr.losses import (
    affine_equivariance,
    jacobian_distance,
    log_squared,
    position_distance,
    pyramid_l1,
    region_weights,
    weighted_l1,
)
from fnevr.models.lite import CELL, FNeVRLite, Window
from fnevr.models.lite.motion import LiteMotion
from fnevr.train.density import density_distance
from fnevr.train.recipe import Recipe
from fnevr.train.share import WHOLE, Share

Compare = Callable[[Tensor, Tensor, Tensor], dict[str, Tensor]]


def loss_terms(
    model: FNeVRLite,
    patches: FacePatches,
    pairs: Pairs,
    recipe: Recipe,
    rng: Generator,
    step: int,
    share: Share = WHOLE,
    compare: Compare | None = None,
) -> dict[str, Tensor]:
    """Return the unweighted terms of the loss, by the names of `LossWeights`.

    Args:
        model: what is trained; its batch statistics are updated.
        patches: where the keypoints' targets come from.
        pairs: one batch, or a share of it.
        recipe: says which terms there are.
        rng: of the window and the warps; of the CPU, so that all devices draw the same.
        step: equivariance is a term of some steps only.
        share: which share of the batch the pairs are.
        compare: gives further terms of the final picture, the expected one and the landmarks in it
            (stage "full").
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
    if recipe.stage == "full":
        terms |= _picture_terms(model, pairs, motion, recipe, rng, compare)
    return terms


def _picture_terms(
    model: FNeVRLite,
    pairs: Pairs,
    motion: LiteMotion,
    recipe: Recipe,
    rng: Generator,
    compare: Compare | None,
) -> dict[str, Tensor]:
    """Generate a window of the pictures and compare it with the driving ones."""
    size = pairs.driving_01.shape[-1]
    window = draw_window(size // CELL, recipe.window // CELL, rng)
    features = model.encode(pairs.source_01)
    generated = model.compose(pairs.source_01, features, motion, window, details=True)
    expected = window.of_image(pairs.driving_01)
    attention = region_weights(pairs.driving_landmarks, size, recipe.region_gain)
    attention = window.of_image(attention)
    terms = {
        "image": pyramid_l1(generated.image, expected, levels=4),
        "log_squared": log_squared(generated.image, expected),
        "regions": weighted_l1(generated.image, expected, attention),
        "decoded": pyramid_l1(generated.decoded, expected, levels=2),
        "decoded_regions": weighted_l1(generated.decoded, expected, attention),
    }
    if generated.rendered is not None:
        terms["auxiliary"] = pyramid_l1(generated.rendered, expected, levels=2)
    if recipe.weights.sigma and generated.density_features is not None:
        terms["sigma"] = density_distance(
            generated.density_features, pairs.driving_landmarks, window, size // CELL
        )
    if compare is not None:
        landmarks = window.of_points(pairs.driving_landmarks, size // CELL)
        terms |= compare(generated.image, expected, landmarks)
    return terms


def weigh(terms: dict[str, Tensor], recipe: Recipe) -> Tensor:
    """Return the weighted sum of the terms."""
    weights = recipe.weights
    return torch.stack([getattr(weights, name) * term for name, term in terms.items()]).sum()


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


def draw_window(cells: int, size: int, rng: Generator) -> Window:
    """Draw a square window, mostly around the middle, where the face is.

    Args:
        cells: side of the picture, in cells.
        size: side of the window, in cells.
        rng: where the draw comes from.

    Raises:
        ValueError: if the window is larger than the picture.
    """
    free = cells - size
    if free < 0:
        raise ValueError(
            f"the recipe's window of {CELL * size} pixels does not fit pictures of "
            f"{CELL * cells} pixels"
        )
    offsets = torch.randn(2, generator=rng) * 0.28 * free + 0.5 * free
    top, left = offsets.round().long().clamp(0, free).tolist()
    return Window(top, left, size)


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
