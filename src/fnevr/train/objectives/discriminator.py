"""The loss of the discriminator, in one forward pass, which is what data parallelism wraps."""

from __future__ import annotations

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

    def forward(self, generated_01: Tensor, target_01: Tensor) -> Tensor:
        """Return the loss; no gradient reaches the model."""
        fake, real = self.discriminator(generated_01), self.discriminator(target_01)
        return self.loss([judged.score for judged in real], [judged.score for judged in fake])
