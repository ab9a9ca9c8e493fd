"""The loss of Bilayer, whose pictures show the person on black.

Zakharov et al., "Fast Bi-layer Neural Synthesis of One-Shot Realistic Head Avatars", ECCV 2020,
section 3.2 and the released configuration: pixelwise on the low-frequency picture, perceptual on
the picture (to the texture alone), GAN (relativistic hinge, with feature matching), segmentation,
and how far the texture is warped. The authors' masks are Graphonomy's; ours are the part map's.

Shapes: R frames of N landmarks, H and W pixels.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from fnevr.data.pairs import Pairs
from fnevr.evaluate.clip_motion import person_of
from fnevr.faces.points68 import OF_MESH
from fnevr.geometry.driving import Landmarks68
from fnevr.models.baselines.bilayer import Bilayer, on_black
from fnevr.models.encoded_source import SourceFace
from fnevr.train.objectives.critics import Critics
from fnevr.train.objectives.pictures import picture_terms
from fnevr.train.recipe_baselines import BilayerRecipe


class PersonMasks:
    """Describes a pair by the masks of the person in source and driving picture."""

    reach = 0

    def __call__(
        self, images: UInt8[Tensor, "2 3 H W"], landmarks: Float[Tensor, "R N 2"]
    ) -> Float[Tensor, "2 H W"]:
        """Find the person in both pictures."""
        del landmarks
        pictures = images.permute(0, 2, 3, 1).contiguous().numpy()
        return torch.stack([torch.from_numpy(person_of(picture)) for picture in pictures])


def bilayer_terms(
    model: Bilayer,
    pairs: Pairs,
    recipe: BilayerRecipe,
    critics: Critics | None = None,
) -> dict[str, Tensor]:
    """Return the unweighted terms of the loss, by the names of `BilayerWeights`.

    All pictures are compared on black outside of the mask that the model draws, which learns of the
    segmentation alone.

    Args:
        model: what is trained; its batch statistics are updated.
        pairs: one batch, or a share of it, described by `PersonMasks`.
        recipe: says which terms there are.
        critics: give the terms of the picture that other networks judge.
    """
    assert pairs.described is not None
    source_person, driving_person = pairs.described.unbind(dim=1)
    face = SourceFace(_points(pairs.source_landmarks), source_person[:, None])
    source = model.read_source(pairs.source_01, face)
    composed = model.compose(source, _points(pairs.driving_landmarks))
    low, person = composed.inferred.low_frequency, composed.inferred.person
    mask = person.detach()

    target = on_black(2 * pairs.driving_01 - 1, mask)
    terms = {
        "low_frequency": (on_black(low, mask) - target).abs().mean(),
        "segmentation": F.binary_cross_entropy(person, driving_person[:, None]),
    }
    if recipe.weights.offset:
        offset = composed.inferred.grid - model.inference.identity_grid
        terms["offset"] = offset.abs().mean()
    image_01, target_01 = _unit(on_black(composed.image, mask)), _unit(target)
    terms |= picture_terms(image_01, replace(pairs, driving_01=target_01), recipe)
    if critics is not None:
        texture_alone = on_black(low.detach() + composed.high_frequency, mask)
        terms |= critics.features(_unit(texture_alone), target_01, pairs.driving_landmarks)
        terms |= critics.game(image_01, target_01)
    return terms


def _points(landmarks: Float[Tensor, "B N 2"]) -> Landmarks68:
    return Landmarks68(landmarks[:, list(OF_MESH)])


def _unit(image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
    return (image + 1) / 2
