"""The loss of all of `lite`: that of its motion, and of a window of the generated picture."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from fnevr.data.pairs import Pairs
from fnevr.geometry.patches import FacePatches
from fnevr.losses import log_squared, pyramid_l1, region_weights, weighted_l1
from fnevr.models.lite import CELL, FNeVRLite, Window
from fnevr.models.lite.motion import LiteMotion
from fnevr.train.objectives.critics import Compare
from fnevr.train.objectives.density import density_distance
from fnevr.train.objectives.lite_motion import motion_terms
from fnevr.train.recipe import FullRecipe
from fnevr.train.share import WHOLE, Share


def lite_terms(
    model: FNeVRLite,
    patches: FacePatches,
    pairs: Pairs,
    recipe: FullRecipe,
    rng: Generator,
    step: int,
    share: Share = WHOLE,
    compare: Compare | None = None,
) -> dict[str, Tensor]:
    """Return the unweighted terms, by the names of `FullWeights`.

    Args:
        model: what is trained; its batch statistics are updated.
        patches: where the keypoints' targets come from.
        pairs: one batch, or a share of it.
        recipe: says how often there is which term, how large the window is and how it is compared.
        rng: of the warps, what is left out and the window; of the CPU, so that all devices draw the
            same.
        step: equivariance is a term of some steps only.
        share: which share of the batch the pairs are.
        compare: gives the terms of the final picture that other networks judge.
    """
    terms, motion = motion_terms(model, patches, pairs, recipe, rng, step, share)
    return terms | _picture_terms(model, pairs, motion, recipe, rng, compare)


def _picture_terms(
    model: FNeVRLite,
    pairs: Pairs,
    motion: LiteMotion,
    recipe: FullRecipe,
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
    mask = generated.composite_mask
    if recipe.weights.hedging and mask is not None:
        terms["hedging"] = (4 * mask * (1 - mask)).mean()
    if recipe.weights.sigma and generated.density_features is not None:
        terms["sigma"] = density_distance(
            generated.density_features, pairs.driving_landmarks, window, size // CELL
        )
    if compare is not None:
        landmarks = window.of_points(pairs.driving_landmarks, size // CELL)
        terms |= compare(generated.image, expected, landmarks)
    return terms


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
