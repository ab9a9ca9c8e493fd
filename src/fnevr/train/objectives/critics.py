"""The terms of a picture that other networks judge: perceptual features, faces, a discriminator."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fnevr.losses import GANS, FaceLoss, PerceptualLoss, StyleLoss, feature_matching
from fnevr.models.discriminator import MultiScaleDiscriminator, frozen
from fnevr.models.perceptual import FaceRes, load_features
from fnevr.train.recipe import ComposedRecipe, JudgedRecipe, PictureRecipe, Recipe

PERCEPTUAL_SCALES = (1, 2, 4, 8)
MOST_SCALED = 60.0  # a discriminator that knows nothing yet is not amplified by more

# Takes the generated picture, the expected one and the landmarks in it; returns terms.
Compare = Callable[[Tensor, Tensor, Tensor], dict[str, Tensor]]


class Critics:
    """The terms of a picture that other networks judge, as far as the recipe weighs them.

    It is not a module: the model's module must not hold the discriminator's parameters.

    Attributes:
        discriminator: None where no term needs it.
        perceptual: frozen features; None where no term needs them.
        style: the same, for their Gram matrices.
        faces: frozen features of faces; None where no term needs them.
        shared: the recipe, where it says what share of the gradient the generator's term gets.
        pictures: what was compared and not taken yet: generated and expected.
    """

    def __init__(self, recipe: Recipe, side_px: int, device: torch.device) -> None:
        """Make the networks that the recipe's weights ask for.

        Args:
            recipe: says which; that of the motion stage needs none.
            side_px: of the pictures that are compared.
            device: where the networks run.
        """
        self.discriminator: MultiScaleDiscriminator | None = None
        self.perceptual: PerceptualLoss | None = None
        self.style: StyleLoss | None = None
        self.faces: FaceLoss | None = None
        self.pictures: list[tuple[Tensor, Tensor]] = []
        self.shared: ComposedRecipe | None = None
        if not isinstance(recipe, JudgedRecipe):
            return
        if isinstance(recipe, ComposedRecipe) and recipe.generator_share:
            self.shared = recipe
        self.gan = GANS[recipe.gan]
        weights = recipe.weights
        if weights.generator or weights.feature_matching:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(recipe.seed)
                self.discriminator = MultiScaleDiscriminator().to(device)
        asked_for = weights.model_dump()
        if asked_for.get("style"):
            self.style = StyleLoss(load_features(recipe.features)).to(device)
        if weights.perceptual or asked_for.get("perceptual_warped"):
            network = load_features(recipe.features)
            fitting = [s for s in PERCEPTUAL_SCALES if network.min_side * s <= side_px]
            self.perceptual = PerceptualLoss(network, tuple(fitting)).to(device)
        if isinstance(recipe, PictureRecipe) and recipe.face_network is not None:
            self.faces = FaceLoss(FaceRes.load(recipe.face_network)).to(device)

    def compare(self, image_01: Tensor, target_01: Tensor, landmarks: Tensor) -> dict[str, Tensor]:
        """Return the unweighted terms, and keep the pictures for the discriminator's turn.

        With a `generator_share`, the generator's term is scaled so that its gradient by the picture
        has that share of the norm of what it stands beside (as the adaptive weight of Esser et al.,
        "Taming transformers", CVPR 2021, Eq. 7, which takes the gradient by the last layer).
        """
        terms = self.features(image_01, target_01, landmarks) | self.game(image_01, target_01)
        if self.shared is not None:
            terms["generator"] = terms["generator"] * _scale(self.shared, terms, image_01)
        return terms

    def take_pictures(self) -> list[tuple[Tensor, Tensor]]:
        """Hand over what was compared; a turn may compare several pictures."""
        taken, self.pictures = self.pictures, []
        return taken

    def features(self, image_01: Tensor, target_01: Tensor, landmarks: Tensor) -> dict[str, Tensor]:
        """Return the terms of the frozen networks alone."""
        terms = {}
        if self.perceptual is not None:
            terms["perceptual"] = self.perceptual(image_01, target_01)
        if self.faces is not None:
            identity, features = self.faces(image_01, target_01, landmarks)
            terms |= {"identity": identity, "face_features": features}
        return terms

    def game(self, image_01: Tensor, target_01: Tensor) -> dict[str, Tensor]:
        """Return the discriminator's terms, and keep the pictures for its turn."""
        if self.discriminator is None:
            return {}
        with frozen(self.discriminator):
            fake = self.discriminator(image_01)
            with torch.no_grad():
                real = self.discriminator(target_01)
        self.pictures.append((image_01.detach(), target_01.detach()))
        return {
            "generator": self.gan.generator(
                [judged.score for judged in real], [judged.score for judged in fake]
            ),
            "feature_matching": feature_matching(
                [judged.features for judged in fake], [judged.features for judged in real]
            ),
        }


def _scale(recipe: ComposedRecipe, terms: dict[str, Tensor], image_01: Tensor) -> Tensor:
    """Return what the generator's term is to be multiplied by, for its share of the gradient."""
    weights = recipe.weights
    beside = {"perceptual": weights.perceptual, "feature_matching": weights.feature_matching}
    judged = [weight * terms[name] for name, weight in beside.items() if weight]
    wanted, heard = (
        torch.autograd.grad(term, image_01, retain_graph=True)[0].float().norm()
        for term in (torch.stack(judged).sum(), weights.generator * terms["generator"])
    )
    return (recipe.generator_share * wanted / heard.clamp(min=1e-12)).clamp(max=MOST_SCALED)
