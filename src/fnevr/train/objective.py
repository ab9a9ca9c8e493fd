"""What is minimized, as modules: the model with its loss, and the discriminator with its own."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from fnevr.data.pairs import Pairs
from fnevr.errors import FnevrError
from fnevr.geometry.patches import FacePatches
from fnevr.losses import (
    FaceLoss,
    PerceptualLoss,
    discriminator_adversarial,
    feature_matching,
    generator_adversarial,
)
from fnevr.models.discriminator import MultiScaleDiscriminator, frozen
from fnevr.models.lite import FNeVRLite
from fnevr.models.perceptual import FaceRes, load_features
from fnevr.models.portrait import PortraitModel
from fnevr.train.recipe import Recipe
from fnevr.train.share import Share
from fnevr.train.step import loss_terms
from fnevr.train.step_reference import reference_terms

PERCEPTUAL_SCALES = (1, 2, 4, 8)


class Critics:
    """The terms of a picture that other networks judge, as far as the recipe weighs them.

    It is not a module: the model's module must not hold the discriminator's parameters.

    Attributes:
        discriminator: None where no term needs it.
        perceptual: frozen features; None where no term needs them.
        faces: frozen features of faces; None where no term needs them.
    """

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        weights = recipe.weights
        self.discriminator: MultiScaleDiscriminator | None = None
        self.perceptual: PerceptualLoss | None = None
        self.faces: FaceLoss | None = None
        if weights.generator or weights.feature_matching:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(recipe.seed)
                self.discriminator = MultiScaleDiscriminator().to(device)
        if weights.perceptual:
            network = load_features(recipe.features)
            fitting = [s for s in PERCEPTUAL_SCALES if network.min_side * s <= recipe.window]
            self.perceptual = PerceptualLoss(network, tuple(fitting)).to(device)
        if recipe.face_network is not None:
            self.faces = FaceLoss(FaceRes.load(recipe.face_network)).to(device)
        self.pictures: list[tuple[Tensor, Tensor]] = []

    def compare(self, image_01: Tensor, target_01: Tensor, landmarks: Tensor) -> dict[str, Tensor]:
        """Return the unweighted terms, and keep the pictures for the discriminator's turn."""
        terms = {}
        if self.perceptual is not None:
            terms["perceptual"] = self.perceptual(image_01, target_01)
        if self.faces is not None:
            identity, features = self.faces(image_01, target_01, landmarks)
            terms |= {"identity": identity, "face_features": features}
        if self.discriminator is not None:
            with frozen(self.discriminator):
                fake = self.discriminator(image_01)
                with torch.no_grad():
                    real = self.discriminator(target_01)
            terms["generator"] = generator_adversarial([judged.score for judged in fake])
            terms["feature_matching"] = feature_matching(
                [judged.features for judged in fake], [judged.features for judged in real]
            )
            self.pictures.append((image_01.detach(), target_01))
        return terms


class Objective(nn.Module):
    """The model and its loss in one forward pass, which is what data parallelism wraps."""

    def __init__(self, model: PortraitModel, recipe: Recipe) -> None:
        """Take the model over.

        Raises:
            FnevrError: if the recipe is for other models.
        """
        super().__init__()
        if isinstance(model, FNeVRLite) == (recipe.stage == "reference"):
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
        if isinstance(self.model, FNeVRLite):
            return loss_terms(
                self.model, self.patches, pairs, self.recipe, rng, step, share, critics.compare
            )
        return reference_terms(self.model, pairs, self.recipe, rng, share, critics.compare)


class DiscriminatorObjective(nn.Module):
    """The discriminator and its loss in one forward pass."""

    def __init__(self, discriminator: MultiScaleDiscriminator) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, generated_01: Tensor, target_01: Tensor) -> Tensor:
        """Return the least-squares loss; no gradient reaches the model."""
        fake, real = self.discriminator(generated_01), self.discriminator(target_01)
        return discriminator_adversarial(
            [judged.score for judged in real], [judged.score for judged in fake]
        )


def parameter_groups(model: PortraitModel, recipe: Recipe) -> list[dict]:
    """Group the parameters that the stage trains by learning rate; freeze the others.

    The groups are the motion, the widths and biases of its Gaussian blend, and the generator. The
    motion stage has no use for the occlusion, which is of the features.
    """
    groups: dict[str, list[nn.Parameter]] = {"motion": [], "prior": [], "generator": []}
    generator = ("encoder.", "renderer.", "decoder.", "motion.code.")
    unused = (*generator, "motion.occlusion.", "motion.context.")
    for name, parameter in model.named_parameters():
        is_trained = recipe.stage != "motion" or not name.startswith(unused)
        parameter.requires_grad_(is_trained)
        if not is_trained:
            continue
        if name in {"motion.log_widths", "motion.biases"}:
            groups["prior"].append(parameter)
        elif name.startswith(generator):
            groups["generator"].append(parameter)
        else:
            groups["motion"].append(parameter)
    rates = (recipe.motion_rate, recipe.prior_rate, recipe.generator_rate)
    return [
        {"params": parameters, "lr": rate}
        for parameters, rate in zip(groups.values(), rates, strict=True)
        if parameters
    ]
