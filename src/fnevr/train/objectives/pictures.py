"""What the objectives of the published models share: terms of a picture, and warps to detect under.

The terms are those of `lite`, off by default, so that models can be compared by one loss.
"""

from __future__ import annotations

from torch import Generator, Tensor

from fnevr.data.pairs import Pairs
from fnevr.geometry.thin_plate import ThinPlateWarp
from fnevr.losses import log_squared, pyramid_l1, region_weights, weighted_l1
from fnevr.train.recipe import PictureRecipe
from fnevr.train.share import Share


def picture_terms(image_01: Tensor, pairs: Pairs, recipe: PictureRecipe) -> dict[str, Tensor]:
    """Compare a generated picture with the driving one, where a weight asks for it.

    Args:
        image_01: the picture.
        pairs: what it was made of.
        recipe: says which terms there are, and how much more eyes and mouth weigh.
    """
    driving_01, weights = pairs.driving_01, recipe.weights
    terms = {}
    if weights.image:
        terms["image"] = pyramid_l1(image_01, driving_01, levels=4)
    if weights.log_squared:
        terms["log_squared"] = log_squared(image_01, driving_01)
    if weights.regions:
        size = driving_01.shape[-1]
        attention = region_weights(pairs.driving_landmarks, size, recipe.region_gain)
        terms["regions"] = weighted_l1(image_01, driving_01, attention)
    return terms


def draw_warp(image_01: Tensor, rng: Generator, share: Share) -> ThinPlateWarp:
    """Draw a warp for each picture of the whole batch, and take those of this share."""
    warps = ThinPlateWarp.random(len(image_01) * share.count, rng, like=image_01)
    return ThinPlateWarp(
        share.of(warps.matrix),
        share.of(warps.offset),
        warps.control_points,
        share.of(warps.bending),
    )
