"""The loss of PIRender: perceptual, of the warped source and of the result, and style.

Ren et al., "PIRenderer: Controllable Portrait Image Generation via Semantic Neural Rendering", ICCV
2021, section 3.4. The released code trains mapping and warping alone for its first 200,000 steps;
here all of the model trains from the start. It takes each pair in both directions; here a pair is
drawn in one of them.

Shapes: R frames of N landmarks.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from fnevr.data.pairs import Pairs
from fnevr.evaluate.clip_motion import coefficient_window
from fnevr.geometry.driving import WINDOW, Coefficients
from fnevr.models.baselines.pirender import PIRender
from fnevr.train.objectives.critics import Critics
from fnevr.train.objectives.pictures import picture_terms
from fnevr.train.recipe_baselines import PIRenderRecipe


class CoefficientWindow:
    """Describes a pair by the coefficients of the frames around the driving one."""

    reach = WINDOW // 2

    def __call__(
        self, images: UInt8[Tensor, "2 3 H W"], landmarks: Float[Tensor, "R N 2"]
    ) -> Float[Tensor, "73 27"]:
        """Fit the head to the landmarks of each frame."""
        del images
        return torch.from_numpy(coefficient_window(landmarks[2:].numpy()))


def pirender_terms(
    model: PIRender,
    pairs: Pairs,
    recipe: PIRenderRecipe,
    critics: Critics | None = None,
) -> dict[str, Tensor]:
    """Return the unweighted terms of the loss, by the names of `PIRenderWeights`.

    Args:
        model: what is trained.
        pairs: one batch, or a share of it, described by `CoefficientWindow`.
        recipe: says which terms there are.
        critics: give the terms of the picture that other networks judge.
    """
    assert pairs.described is not None
    edited = model.edit(model.read_source(pairs.source_01), Coefficients(pairs.described))
    terms = picture_terms(edited.image, pairs, recipe)
    if critics is None:
        return terms
    terms |= critics.compare(edited.image, pairs.driving_01, pairs.driving_landmarks)
    if critics.perceptual is not None:
        terms["perceptual_warped"] = critics.perceptual(edited.warped, pairs.driving_01)
    if critics.style is not None:
        terms["style"] = critics.style(edited.image, pairs.driving_01)
    return terms
