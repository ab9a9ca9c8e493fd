"""The residual SPADE decoder that Face vid2vid-S and DaGAN share.

Park et al., "Semantic Image Synthesis with Spatially-Adaptive Normalization", CVPR 2019, with the
sizes of the two baselines' released code.

Shapes: B batch, C channels, M channels of the modulation map, H and W pixels.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from fnevr.models.decoder import Spade

SLOPE = 0.2  # of the leaky ReLU


class ResidualSpadeBlock(nn.Module):
    """Twice: SPADE, leaky ReLU, convolution; a skip connection, itself normalized if it is learned.

    The convolutions are divided by their largest singular values.
    """

    def __init__(
        self, in_width: int, out_width: int, modulation_width: int, hidden_width: int
    ) -> None:
        super().__init__()
        middle = min(in_width, out_width)
        self.norm1 = Spade(in_width, modulation_width, hidden_width)
        self.conv1 = spectral_norm(nn.Conv2d(in_width, middle, 3, padding=1))
        self.norm2 = Spade(middle, modulation_width, hidden_width)
        self.conv2 = spectral_norm(nn.Conv2d(middle, out_width, 3, padding=1))
        self.has_learned_skip = in_width != out_width
        if self.has_learned_skip:
            self.skip_norm = Spade(in_width, modulation_width, hidden_width)
            self.skip = spectral_norm(nn.Conv2d(in_width, out_width, 1, bias=False))

    def forward(
        self, x: Float[Tensor, "B C H W"], modulation: Float[Tensor, "B M h w"]
    ) -> Float[Tensor, "B C2 H W"]:
        """Return features of the block's output width."""
        skip = self.skip(self.skip_norm(x, modulation)) if self.has_learned_skip else x
        x = self.conv1(F.leaky_relu(self.norm1(x, modulation), SLOPE))
        return skip + self.conv2(F.leaky_relu(self.norm2(x, modulation), SLOPE))


class ResidualSpadeDecoder(nn.Module):
    """Blocks at low resolution, then two that follow a doubling each, then the image."""

    def __init__(
        self,
        in_width: int,
        last_width: int,
        num_middle_blocks: int,
        modulation_width: int,
        hidden_width: int,
    ) -> None:
        super().__init__()
        wide = 2 * in_width
        self.expand = nn.Conv2d(in_width, wide, 3, padding=1)
        self.middle = nn.ModuleList(
            ResidualSpadeBlock(wide, wide, modulation_width, hidden_width)
            for _ in range(num_middle_blocks)
        )
        self.up = nn.ModuleList(
            ResidualSpadeBlock(before, after, modulation_width, hidden_width)
            for before, after in ((wide, in_width), (in_width, last_width))
        )
        self.to_image = nn.Conv2d(last_width, 3, 3, padding=1)

    def forward(
        self, features: Float[Tensor, "B C h w"], modulation: Float[Tensor, "B M H W"]
    ) -> Float[Tensor, "B 3 H2 W2"]:
        """Return the image, in (0, 1), at 4 times the resolution of the features."""
        x = self.expand(features)
        for block in self.middle:
            x = block(x, modulation)
        for block in self.up:
            x = block(F.interpolate(x, scale_factor=2.0, mode="nearest"), modulation)
        return self.to_image(F.leaky_relu(x, SLOPE)).sigmoid()
