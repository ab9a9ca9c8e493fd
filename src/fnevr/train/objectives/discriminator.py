"""The loss of the discriminator, in one forward pass, which is what data parallelism wraps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fnevr.losses import GANS
from fnevr.models.discriminator import MultiScaleDiscriminator
from fnevr.train.recipe import GanName


class DiscriminatorObjective(nn.Module):
    """The discriminator with its loss."""

    def __init__(self, discriminator: MultiScaleDiscriminator, gan: GanName) -> None:
        super().__init__()
        self.loss = GANS[gan].discriminator
        self.discriminator = discriminator

    def forward(self, *compared: tuple[Tensor, Tensor]) -> Tensor:
        """Return the sum of the losses of these pictures; no gradient reaches the model.

        Args:
            compared: generated and expected pictures, each two of one size.
        """
        losses = []
        for generated_01, target_01 in compared:
            fake, real = self.discriminator(generated_01), self.discriminator(target_01)
            scores = ([judged.score for judged in judges] for judges in (real, fake))
            losses.append(self.loss(*scores))
        return torch.stack(losses).sum()
