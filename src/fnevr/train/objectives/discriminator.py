"""The loss of the discriminator, in one forward pass, which is what data parallelism wraps."""

from __future__ import annotations

from torch import Tensor, nn

from fnevr.losses import discriminator_adversarial
from fnevr.models.discriminator import MultiScaleDiscriminator


class DiscriminatorObjective(nn.Module):
    """The discriminator with its loss."""

    def __init__(self, discriminator: MultiScaleDiscriminator) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, generated_01: Tensor, target_01: Tensor) -> Tensor:
        """Return the least-squares loss; no gradient reaches the model."""
        fake, real = self.discriminator(generated_01), self.discriminator(target_01)
        return discriminator_adversarial(
            [judged.score for judged in real], [judged.score for judged in fake]
        )
