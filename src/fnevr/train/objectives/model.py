"""The loss of a model, in one forward pass, which is what data parallelism wraps."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from fnevr.data.pairs import Pairs
from fnevr.errors import FnevrError
from fnevr.geometry.patches import FacePatches
from fnevr.models.lite import FNeVRLite
from fnevr.models.portrait import KeypointModel
from fnevr.train.objectives.critics import Critics
from fnevr.train.objectives.lite import lite_terms
from fnevr.train.objectives.lite_motion import motion_terms
from fnevr.train.objectives.reference import reference_terms
from fnevr.train.recipe import AnyRecipe, LossWeights, MotionRecipe, ReferenceRecipe
from fnevr.train.share import Share


class Objective(nn.Module):
    """A model with the loss of its stage."""

    def __init__(self, model: KeypointModel, recipe: AnyRecipe) -> None:
        """Take the model over.

        Raises:
            FnevrError: if the recipe is for other models.
        """
        super().__init__()
        if isinstance(model, FNeVRLite) == isinstance(recipe, ReferenceRecipe):
            kind = "lite" if isinstance(model, FNeVRLite) else "base and FOMM"
            fitting = "full or motion" if isinstance(model, FNeVRLite) else "reference"
            raise FnevrError(
                f"the recipe's stage '{recipe.stage}' does not train {kind}\n"
                f"use the recipe {fitting}"
            )
        self.model, self.recipe = model, recipe
        self.patches = FacePatches.packaged()

    def forward(self, pairs: Pairs, step: int, share: Share, critics: Critics) -> dict[str, Tensor]:
        """Return the unweighted terms of a share of the batch of one step.

        What is drawn comes from the seed and the step, and is the same for all shares.
        """
        rng = Generator().manual_seed(self.recipe.seed * 1_000_003 + step)
        model, recipe = self.model, self.recipe
        if isinstance(recipe, ReferenceRecipe):
            return reference_terms(model, pairs, recipe, rng, share, critics.compare)
        assert isinstance(model, FNeVRLite)
        if isinstance(recipe, MotionRecipe):
            terms, _ = motion_terms(model, self.patches, pairs, recipe, rng, step, share)
            return terms
        return lite_terms(model, self.patches, pairs, recipe, rng, step, share, critics.compare)


def weigh(terms: dict[str, Tensor], weights: LossWeights) -> Tensor:
    """Return the weighted sum of the terms."""
    return torch.stack([getattr(weights, name) * term for name, term in terms.items()]).sum()
