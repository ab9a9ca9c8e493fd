"""The SPADE decoders, folded: every modulation at the resolution of its map.

Shapes: B batch, C channels, M channels of the map, H and W pixels.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fnevr.models import decoder
from fnevr.models.baselines.face_vid2vid import SelfGuidedSpadeDecoder
from fnevr.models.baselines.spade import SLOPE, ResidualSpadeBlock
from fnevr.models.lite import decoder as lite_decoder
from fnevr.runtime.folding.constants import (
    frozen_conv,
    kept_conv,
    of_kind,
    scale_and_shift,
    stacked,
)
from fnevr.runtime.folding.upsampled import WHOLE, UpsampledConv
from fnevr.runtime.folding.winograd import WinogradConv, WinogradTiles, winograd_conv

# Where Winograd's convolutions were quicker in OpenVINO: from 128 output channels, up to twice the
# size of the map. At four times the size moving the tiles costs more than their products save.
LARGEST_WINOGRAD_FACTOR, LEAST_WINOGRAD_WIDTH = 2, 128


class FoldedSpade(nn.Module):
    """`Spade` at a known size: its hidden map at the map's resolution, the 1 in a bias.

    Gamma and beta stay two convolutions: one for both would have to be split again, which engines
    do by copying.
    """

    def __init__(self, spade: decoder.Spade, factor: int, *, winograd: bool) -> None:
        super().__init__()
        shared = kept_conv(spade.shared)
        self.shared: nn.Module = shared
        if factor > 1:
            self.shared = UpsampledConv(shared.weight, shared.bias, factor)
        assert spade.gamma.bias is not None
        gain = frozen_conv(spade.gamma, spade.gamma.weight, spade.gamma.bias + 1)
        beta = kept_conv(spade.beta)
        self.tiles = WinogradTiles(gain.in_channels) if winograd else nn.Identity()
        self.gain: nn.Module = WinogradConv(gain) if winograd else gain
        self.beta: nn.Module = WinogradConv(beta) if winograd else beta

    def forward(
        self, x: Float[Tensor, "B C H W"], views: list[Float[Tensor, "B M h w"]]
    ) -> Float[Tensor, "B C H W"]:
        """Return the normalized and modulated features.

        Args:
            x: the features.
            views: `UpsampledConv.views` of the map.
        """
        if isinstance(self.shared, UpsampledConv):
            hidden = self.shared.from_views(views, rectified=True)
        else:
            hidden = F.relu(self.shared(views[WHOLE]))
        tiles = self.tiles(hidden)
        x = F.instance_norm(x, eps=decoder.EPSILON)
        return x * self.gain(tiles) + self.beta(tiles)


class FoldedSpadeDecoder(nn.Module):
    """`SpadeDecoder` whose layers share the differences of their map."""

    def __init__(self, plain: decoder.SpadeDecoder, *, winograd: bool) -> None:
        super().__init__()
        self.num_ups = plain.num_ups
        modulation = plain.modulation
        self.modulation = winograd_conv(modulation) if winograd else kept_conv(modulation)
        self.norms, self.convs = nn.ModuleList(), nn.ModuleList()
        for index, block in enumerate(of_kind(plain.blocks, decoder.SpadeBlock)):
            factor = 2 ** min(index, plain.num_ups)
            is_fast = winograd and factor <= LARGEST_WINOGRAD_FACTOR
            for spade in (block.norm1, block.norm2):
                self.norms.append(FoldedSpade(spade, factor, winograd=is_fast))
            for conv in (block.conv1, block.conv2):
                is_wide = conv.out_channels >= LEAST_WINOGRAD_WIDTH
                self.convs.append(winograd_conv(conv) if is_fast and is_wide else kept_conv(conv))
        self.to_image = kept_conv(plain.to_image)

    def forward(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B 3 H W"]:
        """Return the image, in (0, 1)."""
        views = UpsampledConv.views(F.relu(self.modulation(features)))
        x = features
        for index, (norm, conv) in enumerate(zip(self.norms, self.convs, strict=True)):
            x = conv(F.relu(norm(x, views)))
            if index % 2 and index // 2 < self.num_ups:
                x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        return self.to_image(x).sigmoid()


class FoldedResidualBlock(nn.Module):
    """`ResidualSpadeBlock` at a known size, its spectral norms divided out."""

    def __init__(self, block: ResidualSpadeBlock, factor: int) -> None:
        super().__init__()
        self.norm1 = FoldedSpade(block.norm1, factor, winograd=False)
        self.norm2 = FoldedSpade(block.norm2, factor, winograd=False)
        self.conv1, self.conv2 = (
            kept_conv(conv) for conv in of_kind((block.conv1, block.conv2), nn.Conv2d)
        )
        self.has_learned_skip = block.has_learned_skip
        if self.has_learned_skip:
            self.skip_norm = FoldedSpade(block.skip_norm, factor, winograd=False)
            (self.skip,) = (kept_conv(conv) for conv in of_kind((block.skip,), nn.Conv2d))

    def forward(
        self, x: Float[Tensor, "B C H W"], views: list[Float[Tensor, "B M h w"]]
    ) -> Float[Tensor, "B C2 H W"]:
        """Return features of the block's output width."""
        skip = self.skip(self.skip_norm(x, views)) if self.has_learned_skip else x
        x = self.conv1(F.leaky_relu(self.norm1(x, views), SLOPE))
        return skip + self.conv2(F.leaky_relu(self.norm2(x, views), SLOPE))


class FoldedSelfGuidedDecoder(nn.Module):
    """`SelfGuidedSpadeDecoder` whose layers share the differences of their map."""

    def __init__(self, plain: SelfGuidedSpadeDecoder) -> None:
        super().__init__()
        self.expand, self.to_image = kept_conv(plain.expand), kept_conv(plain.to_image)
        middle, up = (
            of_kind(plain.middle, ResidualSpadeBlock),
            of_kind(plain.up, ResidualSpadeBlock),
        )
        self.middle = nn.ModuleList(FoldedResidualBlock(block, 1) for block in middle)
        self.up = nn.ModuleList(
            FoldedResidualBlock(block, 2 ** (index + 1)) for index, block in enumerate(up)
        )

    def forward(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B 3 H W"]:
        """Return the image, in (0, 1)."""
        views = UpsampledConv.views(features)
        x = self.expand(features)
        for block in self.middle:
            x = block(x, views)
        for block in self.up:
            x = block(F.interpolate(x, scale_factor=2.0, mode="nearest"), views)
        return self.to_image(F.leaky_relu(x, SLOPE)).sigmoid()


class FoldedLiteSpade(nn.Module):
    """`lite` Spade whose hidden map is at hand: its batch statistics are in the convolution.

    With norm(x) = s x + t, norm(x) (1 + gamma) + beta is x times s (1 + gamma), plus
    t (1 + gamma) + beta: two maps, each linear in gamma and beta.
    """

    def __init__(self, spade: lite_decoder.Spade) -> None:
        super().__init__()
        scale, shift = scale_and_shift(spade.norm)
        conv = spade.gamma_beta
        assert conv.bias is not None
        (of_gamma, of_beta), (gamma, beta) = conv.weight.chunk(2), conv.bias.chunk(2)
        by_channel = (slice(None), None, None, None)
        weight = torch.cat((scale[by_channel] * of_gamma, shift[by_channel] * of_gamma + of_beta))
        bias = torch.cat((scale * (1 + gamma), shift * (1 + gamma) + beta))
        self.gain_and_offset = frozen_conv(conv, weight, bias)

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        """Return the normalized and modulated features, activated."""
        gain, offset = self.gain_and_offset(hidden).chunk(2, dim=1)
        return F.relu(x * gain + offset)


class FoldedLiteDecoder(nn.Module):
    """`LiteDecoder`: what reads the same input is one convolution."""

    def __init__(self, plain: lite_decoder.LiteDecoder) -> None:
        super().__init__()
        self.split = (plain.modulation.out_channels, plain.reduce.out_channels)
        self.entrance = stacked([plain.modulation, plain.reduce])
        spades = [
            spade
            for block in (plain.block_0, plain.block_1)
            for spade in (block.spade_0, block.spade_1)
        ]
        self.shared = stacked([spade.shared for spade in spades])
        self.spades = nn.ModuleList(FoldedLiteSpade(spade) for spade in spades)
        convs = [
            conv
            for block in (plain.block_0, plain.block_1)
            for conv in (block.conv_0, block.conv_1)
        ]
        self.convs = nn.ModuleList(kept_conv(conv) for conv in convs)
        self.up, self.refine, self.out = (
            kept_conv(conv) for conv in (plain.up, plain.refine, plain.out)
        )

    def forward(
        self, features: Float[Tensor, "B C h w"]
    ) -> tuple[Float[Tensor, "B 3 H W"], Float[Tensor, "B M H W"], Float[Tensor, "B D h w"]]:
        """Return the decoded picture, one mask or none, and the features that they come from."""
        modulation, x = self.entrance(features).split(self.split, dim=1)
        shared = self.shared(F.relu(modulation))
        # Activated after the split: engines move bytes then, where the convolution gives bytes.
        hidden = [F.relu(part) for part in shared.chunk(len(self.spades), dim=1)]
        for index in (0, 2):
            y = self.convs[index](self.spades[index](x, hidden[index]))
            x = x + self.convs[index + 1](self.spades[index + 1](y, hidden[index + 1]))
        features = F.relu(x)
        x = F.relu(F.pixel_shuffle(self.up(features), upscale_factor=2))
        x = F.pixel_shuffle(self.out(F.relu(self.refine(x))), upscale_factor=2).sigmoid()
        return x[:, :3], x[:, 3:], features
