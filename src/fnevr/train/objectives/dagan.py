"""The loss of DaGAN: that of FOMM, and keypoints that keep their distance.

Hong et al., "Depth-Aware Generative Adversarial Network for Talking Head Video Generation", CVPR
2022, section 3.4. Its depth network is trained before, on videos without labels; here as there it
stays as it is.
"""

from __future__ import annotations

from torch import Generator, Tensor

from fnevr.data.pairs import Pairs
from fnevr.losses import jacobian_equivariance, keypoint_distance, position_equivariance
from fnevr.models.baselines.dagan import DaGAN
from fnevr.train.objectives.critics import Critics
from fnevr.train.objectives.pictures import draw_warp, picture_terms
from fnevr.train.recipe_baselines import DaGANRecipe
from fnevr.train.share import WHOLE, Share


def dagan_terms(
    model: DaGAN,
    pairs: Pairs,
    recipe: DaGANRecipe,
    rng: Generator,
    share: Share = WHOLE,
    critics: Critics | None = None,
) -> dict[str, Tensor]:
    """Return the unweighted terms of the loss, by the names of `DaGANWeights`.

    Args:
        model: what is trained; its batch statistics are updated, but for those of the depth
            network.
        pairs: one batch, or a share of it.
        recipe: says which of `lite`'s terms there are.
        rng: of the warps; of the CPU, so that all devices draw the same.
        share: which share of the batch the pairs are.
        critics: give the terms of the picture that other networks judge.
    """
    model.depth.eval()
    driving_01 = pairs.driving_01
    source, driving = model.read_source(pairs.source_01), model.keypoints(driving_01)
    image_01 = model.draw(source, driving)
    terms = picture_terms(image_01, pairs, recipe)
    if critics is not None:
        terms |= critics.compare(image_01, driving_01, pairs.driving_landmarks)

    warp = draw_warp(driving_01, rng, share)
    warped = model.keypoints(warp.view(driving_01))
    terms["equivariance_position"] = position_equivariance(driving, warped, warp)
    terms["equivariance_jacobian"] = jacobian_equivariance(driving, warped, warp)
    terms["keypoint_distance"] = keypoint_distance(source.keypoints.positions) + keypoint_distance(
        driving.positions
    )
    return terms
