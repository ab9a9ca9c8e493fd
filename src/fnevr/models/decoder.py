"""The SPADE decoder: warped and rendered features to the image.

Shapes: B batch, C channels, H and W pixels.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

EPSILON = 1e-5


class Spade(nn.Module):
    """Instance normalization whose scale and shift are maps: ``IN(x) (1 + gamma) + beta``."""

    def __init__(self, width: int, modulation_width: int, hidden_width: int) -> None:
        super().__init__()
        self.shared = nn.Conv2d(modulation_width, hidden_width, 3, padding=1)
        self.gamma = nn.Conv2d(hidden_width, width, 3, padding=1)
        self.beta = nn.Conv2d(hidden_width, width, 3, padding=1)

    def forward(
        self, x: Float[Tensor, "B C H W"], modulation: Float[Tensor, "B M h w"]
    ) -> Float[Tensor, "B C H W"]:
        """Normalize `x` under a map of any resolution, resized to that of `x`."""
        if modulation.shape[-2:] != x.shape[-2:]:
            modulation = F.interpolate(modulation, size=x.shape[-2:], mode="nearest")
        hidden = F.relu(self.shared(modulation))
        return F.instance_norm(x, eps=EPSILON) * (1 + self.gamma(hidden)) + self.beta(hidden)


class SpadeBlock(nn.Module):
    """Twice: SPADE, ReLU, convolution. There is no skip connection, as in the released code."""

    def __init__(
        self, in_width: int, out_width: int, modulation_width: int, hidden_width: int
    ) -> None:
        super().__init__()
        self.norm1 = Spade(in_width, modulation_width, hidden_width)
        self.conv1 = nn.Conv2d(in_width, in_width, 3, padding=1)
        self.norm2 = Spade(in_width, modulation_width, hidden_width)
        self.conv2 = nn.Conv2d(in_width, out_width, 3, padding=1)

    def forward(
        self, x: Float[Tensor, "B C H W"], modulation: Float[Tensor, "B M h w"]
    ) -> Float[Tensor, "B C2 H W"]:
        """Return features of the block's output width."""
        x = self.conv1(F.relu(self.norm1(x, modulation)))
        return self.conv2(F.relu(self.norm2(x, modulation)))


class SpadeDecoder(nn.Module):
    """SPADE blocks, the first `num_ups` of them followed by a bilinear doubling, then the image."""

    def __init__(
        self,
        in_width: int,
        widths: tuple[int, ...],
        num_ups: int,
        modulation_width: int,
        spade_width: int,
    ) -> None:
        super().__init__()
        self.num_ups = num_ups
        self.modulation = nn.Conv2d(in_width, modulation_width, 3, padding=1)
        self.blocks = nn.ModuleList(
            SpadeBlock(block_in, block_out, modulation_width, spade_width)
            for block_in, block_out in zip((in_width, *widths[:-1]), widths, strict=True)
        )
        self.to_image = nn.Conv2d(widths[-1], 3, 7, padding=3)

    def forward(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B 3 H W"]:
        """Return the image, in (0, 1), at ``2**num_ups`` times the resolution of the features."""
        modulation = F.relu(self.modulation(features))
        x = features
        for index, block in enumerate(self.blocks):
            x = block(x, modulation)
            if index < self.num_ups:
                x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        return self.to_image(x).sigmoid()
