"""The loss of FNeVR (`base`) or FOMM: pictures that others judge, and keypoints that move along.

Siarohin et al., "First Order Motion Model for Image Animation", NeurIPS 2019, section 3.3; Zeng et
al., "FNeVR: Neural Volume Rendering for Face Animation", NeurIPS 2022. The recipe "reference" has
the weights of the released configuration; the terms that it leaves at 0 are those of `lite`, so
that architectures can be compared by one loss.
"""

from __future__ import annotations

from torch import Generator, Tensor

from fnevr.data.pairs import Pairs
from fnevr.losses import jacobian_equivariance, position_equivariance
from fnevr.models.lite import Window
from fnevr.models.portrait import Generated, KeypointModel
from fnevr.train.objectives.critics import Critics
from fnevr.train.objectives.density import density_distance
from fnevr.train.objectives.pictures import draw_warp, picture_terms
from fnevr.train.recipe import ReferenceRecipe
from fnevr.train.share import WHOLE, Share


def reference_terms(
    model: KeypointModel,
    pairs: Pairs,
    recipe: ReferenceRecipe,
    rng: Generator,
    share: Share = WHOLE,
    critics: Critics | None = None,
) -> dict[str, Tensor]:
    """Return the unweighted terms of the loss, by the names of `ReferenceWeights`.

    The driving picture is both what the keypoints come from and what the result is compared with.

    Args:
        model: what is trained; its batch statistics are updated.
        pairs: one batch, or a share of it.
        recipe: says how much more eyes and mouth weigh, and which of `lite`'s terms there are.
        rng: of the warps; of the CPU, so that all devices draw the same.
        share: which share of the batch the pairs are.
        critics: give the terms of the picture that other networks judge.
    """
    driving_01 = pairs.driving_01
    driving = model.keypoints(driving_01)
    generated = model.generate(pairs.source_01, model.keypoints(pairs.source_01), driving)
    terms = picture_terms(generated.image, pairs, recipe) | _rendered_terms(
        generated, pairs, recipe
    )
    if critics is not None:
        terms |= critics.compare(generated.image, driving_01, pairs.driving_landmarks)

    warp = draw_warp(driving_01, rng, share)
    warped = model.keypoints(warp.view(driving_01))
    terms["equivariance_position"] = position_equivariance(driving, warped, warp)
    terms["equivariance_jacobian"] = jacobian_equivariance(driving, warped, warp)
    return terms


def _rendered_terms(
    generated: Generated, pairs: Pairs, recipe: ReferenceRecipe
) -> dict[str, Tensor]:
    """Compare what the volume renderer made, in models that have one."""
    terms = {}
    if generated.rendered is not None:
        terms["auxiliary"] = (generated.rendered - pairs.driving_01).abs().mean()
    if recipe.weights.sigma and generated.density_features is not None:
        features, cells = generated.density_features, generated.density_features.shape[-1]
        whole = Window(0, 0, cells)
        terms["sigma"] = density_distance(features, pairs.driving_landmarks, whole, cells)
    return terms
