"""The loss of a model, in one forward pass, which is what data parallelism wraps.

`OBJECTIVES` is the one table of what the stages minimize.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn

from fnevr.data.pairs import Describe, Pairs
from fnevr.errors import FnevrError
from fnevr.geometry.patches import FacePatches
from fnevr.models.portrait import PortraitModel
from fnevr.train.objectives.bilayer import PersonMasks, bilayer_terms
from fnevr.train.objectives.composed import composed_terms
from fnevr.train.objectives.critics import Critics
from fnevr.train.objectives.dagan import dagan_terms
from fnevr.train.objectives.face_vid2vid import HeadRotation, face_vid2vid_terms
from fnevr.train.objectives.inner_face import inner_face_terms
from fnevr.train.objectives.lite import lite_terms
from fnevr.train.objectives.lite_motion import motion_terms
from fnevr.train.objectives.pirender import CoefficientWindow, pirender_terms
from fnevr.train.objectives.reference import reference_terms
from fnevr.train.recipe import LossWeights
from fnevr.train.recipe_table import AnyRecipe, stage_of
from fnevr.train.share import Share


@dataclass(frozen=True)
class Turn:
    """One turn of a step.

    Attributes:
        step: its number.
        rng: of what is drawn, the same for all shares; of the CPU.
        share: of the batch.
        critics: give the terms that other networks judge.
        patches: where targets of keypoints come from.
    """

    step: int
    rng: Generator
    share: Share
    critics: Critics
    patches: FacePatches


# Takes model, pairs, recipe and turn, each of the stage's own kind; returns the unweighted terms,
# by the names of the recipe's weights.
Terms = Callable[[Any, Pairs, Any, Turn], dict[str, Tensor]]


@dataclass(frozen=True)
class Kind:
    """What a stage minimizes.

    Attributes:
        terms: computes it.
        describe: computes what it wants to know of a pair beside pictures and landmarks.
    """

    terms: Terms
    describe: Describe | None = None


def _motion(model: Any, pairs: Pairs, recipe: Any, turn: Turn) -> dict[str, Tensor]:
    return motion_terms(model, turn.patches, pairs, recipe, turn.rng, turn.step, turn.share)[0]


def _full(model: Any, pairs: Pairs, recipe: Any, turn: Turn) -> dict[str, Tensor]:
    patches, compare = turn.patches, turn.critics.compare
    return lite_terms(model, patches, pairs, recipe, turn.rng, turn.step, turn.share, compare)


def _inner_face(model: Any, pairs: Pairs, recipe: Any, turn: Turn) -> dict[str, Tensor]:
    del recipe  # its weights are all that it says
    return inner_face_terms(model, pairs, turn.critics.compare)


def _composed(model: Any, pairs: Pairs, recipe: Any, turn: Turn) -> dict[str, Tensor]:
    return composed_terms(model, pairs, recipe, turn.rng, turn.share, turn.critics.compare)


def _published(terms: Callable[..., dict[str, Tensor]]) -> Terms:
    """Call what needs neither the step nor targets of keypoints."""

    def of_turn(model: Any, pairs: Pairs, recipe: Any, turn: Turn) -> dict[str, Tensor]:
        return terms(model, pairs, recipe, turn.rng, turn.share, turn.critics)

    return of_turn


def _undrawn(terms: Callable[..., dict[str, Tensor]]) -> Terms:
    """Call what draws nothing, so that it needs neither a generator nor its share."""

    def of_turn(model: Any, pairs: Pairs, recipe: Any, turn: Turn) -> dict[str, Tensor]:
        return terms(model, pairs, recipe, turn.critics)

    return of_turn


OBJECTIVES = {
    "motion": Kind(_motion),
    "inner-face": Kind(_inner_face),
    "composed": Kind(_composed),
    "full": Kind(_full),
    "reference": Kind(_published(reference_terms)),
    "face-vid2vid": Kind(_published(face_vid2vid_terms), HeadRotation()),
    "dagan": Kind(_published(dagan_terms)),
    "pirender": Kind(_undrawn(pirender_terms), CoefficientWindow()),
    "bilayer": Kind(_undrawn(bilayer_terms), PersonMasks()),
}
"""What is minimized, by the recipe's stage."""


class Objective(nn.Module):
    """A model with the loss of its stage."""

    def __init__(self, model: PortraitModel, recipe: AnyRecipe) -> None:
        """Take the model over.

        Raises:
            FnevrError: if the recipe is for other models.
        """
        super().__init__()
        if model.architecture not in recipe.architectures:
            raise FnevrError(
                f"the recipe '{recipe.stage}' does not train a model of architecture "
                f"'{model.architecture}'\nuse the recipe '{stage_of(model.architecture)}'"
            )
        self.model, self.recipe = model, recipe
        self.kind = OBJECTIVES[recipe.stage]
        self.patches = FacePatches.packaged()

    def forward(self, pairs: Pairs, step: int, share: Share, critics: Critics) -> dict[str, Tensor]:
        """Return the unweighted terms of a share of the batch of one step.

        What is drawn comes from the seed and the step, and is the same for all shares.
        """
        rng = Generator().manual_seed(self.recipe.seed * 1_000_003 + step)
        turn = Turn(step, rng, share, critics, self.patches)
        return self.kind.terms(self.model, pairs, self.recipe, turn)


def weigh(terms: dict[str, Tensor], weights: LossWeights) -> Tensor:
    """Return the weighted sum of the terms."""
    return torch.stack([getattr(weights, name) * term for name, term in terms.items()]).sum()
