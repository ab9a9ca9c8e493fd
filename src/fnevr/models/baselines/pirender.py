"""PIRender: 3DMM coefficients become a descriptor that warps the source and edits the result.

Ren et al., "PIRenderer: Controllable Portrait Image Generation via Semantic Neural Rendering", ICCV
2021. The released network, whose checkpoints load; the driver is a window of coefficients around
each frame (`geometry.driving`).

Shapes: S sources (one, or one per frame), B driving frames, C channels, F coefficients, T frames of
a window, Z numbers of the descriptor, H and W pixels. RGB in [0, 1]; the networks see [-1, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fnevr.config.face_driven import PIRenderConfig
from fnevr.geometry.driving import NUM_COEFFICIENTS, Coefficients, Driving
from fnevr.geometry.grids import coordinate_grid
from fnevr.geometry.warps import warp
from fnevr.models.encoded_source import EncodedSource, SourceFace
from fnevr.models.portrait import PortraitModel

SLOPE, EPSILON = 0.1, 1e-5
FIRST_KERNEL, DILATION = 7, 3  # of the convolutions over time


@dataclass(frozen=True)
class Edited:
    """One batch of frames, and what led to them.

    Attributes:
        image: the result, in [0, 1].
        warped: the source under the flow, in [0, 1] where it is inside the source; 0.5 outside.
        flow: in pixels of its own resolution, x first.
        descriptor: z, what the windows say.
    """

    image: Float[Tensor, "B 3 H W"]
    warped: Float[Tensor, "B 3 H W"]
    flow: Float[Tensor, "B 2 h w"]
    descriptor: Float[Tensor, "B Z"]


class Mapping(nn.Module):
    """Window of coefficients to descriptor: convolutions over time without padding, then a mean."""

    def __init__(self, num_coefficients: int, width: int, num_layers: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(num_coefficients, width, FIRST_KERNEL)
        self.layers = nn.ModuleList(
            nn.Conv1d(width, width, 3, dilation=DILATION) for _ in range(num_layers)
        )

    def forward(self, windows: Float[Tensor, "B F T"]) -> Float[Tensor, "B Z"]:
        """Return z."""
        x = self.first(windows)
        for layer in self.layers:
            x = layer(F.leaky_relu(x, SLOPE)) + x[..., DILATION:-DILATION]
        return x.mean(dim=-1)


class AdaptiveNorm(nn.Module):
    """Instance normalization, scaled and shifted as the descriptor says (AdaIN)."""

    def __init__(self, width: int, descriptor_width: int, hidden_width: int) -> None:
        super().__init__()
        self.shared = nn.Linear(descriptor_width, hidden_width)
        self.gamma = nn.Linear(hidden_width, width)
        self.beta = nn.Linear(hidden_width, width)

    def forward(
        self, x: Float[Tensor, "B C H W"], descriptor: Float[Tensor, "B Z"]
    ) -> Float[Tensor, "B C H W"]:
        """Return ``(1 + gamma) norm(x) + beta``."""
        hidden = F.relu(self.shared(descriptor))
        gamma, beta = (layer(hidden)[..., None, None] for layer in (self.gamma, self.beta))
        return F.instance_norm(x, eps=EPSILON) * (1 + gamma) + beta


class LayerNorm(nn.Module):
    """Normalization over channels and places of each sample, weighted channel by channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width, 1, 1))
        self.bias = nn.Parameter(torch.zeros(width, 1, 1))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return the normalized features."""
        return F.group_norm(x, 1, eps=EPSILON) * self.weight + self.bias


class Halving(nn.Module):
    """Twice: AdaIN, leaky ReLU, convolution; the first one halves the resolution."""

    def __init__(self, in_width: int, out_width: int, norm: tuple[int, int]) -> None:
        super().__init__()
        self.norm1 = AdaptiveNorm(in_width, *norm)
        self.conv1 = nn.Conv2d(in_width, out_width, 4, stride=2, padding=1)
        self.norm2 = AdaptiveNorm(out_width, *norm)
        self.conv2 = nn.Conv2d(out_width, out_width, 3, padding=1)

    def forward(
        self, x: Float[Tensor, "B C H W"], descriptor: Float[Tensor, "B Z"]
    ) -> Float[Tensor, "B C2 h w"]:
        """Return features at half the resolution."""
        x = self.conv1(F.leaky_relu(self.norm1(x, descriptor), SLOPE))
        return self.conv2(F.leaky_relu(self.norm2(x, descriptor), SLOPE))


class Doubling(nn.Module):
    """The same on the way up, by transposed convolutions, with a skip connection of its own."""

    def __init__(self, in_width: int, out_width: int, norm: tuple[int, int]) -> None:
        super().__init__()
        self.norm1 = AdaptiveNorm(in_width, *norm)
        self.conv1 = nn.Conv2d(in_width, out_width, 3, padding=1)
        self.norm2 = AdaptiveNorm(out_width, *norm)
        self.conv2 = _doubling(out_width, out_width)
        self.skip_norm = AdaptiveNorm(in_width, *norm)
        self.skip = _doubling(in_width, out_width)

    def forward(
        self, x: Float[Tensor, "B C H W"], descriptor: Float[Tensor, "B Z"]
    ) -> Float[Tensor, "B C2 H2 W2"]:
        """Return features at twice the resolution."""
        skip = self.skip(F.leaky_relu(self.skip_norm(x, descriptor), SLOPE))
        x = self.conv1(F.leaky_relu(self.norm1(x, descriptor), SLOPE))
        return skip + self.conv2(F.leaky_relu(self.norm2(x, descriptor), SLOPE))


class WarpingNetwork(nn.Module):
    """Source and descriptor to flow: an hourglass whose way up ends early."""

    def __init__(
        self,
        width: int,
        max_width: int,
        num_downs: int,
        num_ups: int,
        norm: tuple[int, int],
    ) -> None:
        super().__init__()
        widths = [min(max_width, width * 2**level) for level in range(num_downs + 1)]
        self.stem = nn.Conv2d(3, width, 7, padding=3)
        self.down = nn.ModuleList(
            Halving(widths[level], widths[level + 1], norm) for level in range(num_downs)
        )
        self.up = nn.ModuleList(
            Doubling(widths[level + 1] * (1 if index == 0 else 2), widths[level], norm)
            for index, level in enumerate(range(num_downs - 1, num_downs - 1 - num_ups, -1))
        )
        last_width = 2 * widths[num_downs - num_ups]
        self.flow_norm = LayerNorm(last_width)
        self.flow = nn.Conv2d(last_width, 2, 7, padding=3)

    def hourglass(
        self, stem: Float[Tensor, "B C H W"], descriptor: Float[Tensor, "B Z"]
    ) -> Float[Tensor, "B C2 h w"]:
        """Return what the flow is read from."""
        x, skips = stem, []
        for halve in self.down:
            x = halve(x, descriptor)
            skips.append(x)
        skips.pop()
        for double in self.up:
            x = torch.cat((double(x, descriptor), skips.pop()), dim=1)
        return x

    def forward(
        self, stem: Float[Tensor, "B C H W"], descriptor: Float[Tensor, "B Z"]
    ) -> Float[Tensor, "B 2 h w"]:
        """Return the flow of an encoded source, in pixels of its own resolution."""
        x = self.hourglass(stem, descriptor)
        return self.flow(F.leaky_relu(self.flow_norm(x), SLOPE))


class NormalizedConv(nn.Module):
    """Convolution, layer normalization, leaky ReLU."""

    def __init__(self, in_width: int, out_width: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_width, out_width, kernel_size, padding=kernel_size // 2)
        self.norm = LayerNorm(out_width)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C2 H W"]:
        """Return the activated features."""
        return self.activated(self.conv(x))

    def activated(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return what follows the convolution."""
        return F.leaky_relu(self.norm(x), SLOPE)


class ResidualEdit(nn.Module):
    """``x + AdaIN(conv2(x))``.

    The released code computes a first convolution and throws it away. Its weights are in the
    checkpoints, so `conv1` and `norm1` are loaded and saved; nothing is computed with them.
    """

    def __init__(self, width: int, norm: tuple[int, int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.norm1 = AdaptiveNorm(width, *norm)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.norm2 = AdaptiveNorm(width, *norm)

    def forward(
        self, x: Float[Tensor, "B C H W"], descriptor: Float[Tensor, "B Z"]
    ) -> Float[Tensor, "B C H W"]:
        """Return the edited features."""
        return x + self.norm2(self.conv2(x), descriptor)


class ResidualEdits(nn.ModuleList):
    """Edits at one resolution, one after the other."""

    def forward(
        self, x: Float[Tensor, "B C H W"], descriptor: Float[Tensor, "B Z"]
    ) -> Float[Tensor, "B C H W"]:
        """Return the edited features."""
        for block in self:
            x = block(x, descriptor)
        return x


class EditingNetwork(nn.Module):
    """Source and warped source to the result: a U-Net whose way up reads the descriptor."""

    def __init__(
        self, width: int, max_width: int, num_levels: int, num_blocks: int, norm: tuple[int, int]
    ) -> None:
        super().__init__()
        widths = [min(max_width, width * 2**level) for level in range(num_levels + 1)]
        self.stem = NormalizedConv(6, width, 7)
        self.down = nn.ModuleList(
            NormalizedConv(widths[level], widths[level + 1]) for level in range(num_levels)
        )
        upwards = list(reversed(range(num_levels)))
        self.residual = nn.ModuleList(
            ResidualEdits(ResidualEdit(widths[level + 1], norm) for _ in range(num_blocks))
            for level in upwards
        )
        self.up = nn.ModuleList(
            NormalizedConv(widths[level + 1], widths[level]) for level in upwards
        )
        self.jump = nn.ModuleList(NormalizedConv(widths[level], widths[level]) for level in upwards)
        self.to_image = nn.Conv2d(width, 3, 7, padding=3)

    def of_source(self, source: Float[Tensor, "S 3 H W"]) -> Float[Tensor, "S C H W"]:
        """Return the source's half of the first convolution."""
        conv = self.stem.conv
        return F.conv2d(source, conv.weight[:, :3], conv.bias, padding=conv.padding)

    def forward(
        self,
        of_source: Float[Tensor, "B C H W"],
        warped: Float[Tensor, "B 3 H W"],
        descriptor: Float[Tensor, "B Z"],
    ) -> Float[Tensor, "B 3 H W"]:
        """Return the image, in (-1, 1)."""
        conv = self.stem.conv
        of_warped = F.conv2d(warped, conv.weight[:, 3:], padding=conv.padding)
        x = self.stem.activated(of_source + of_warped)
        skips = []
        for down in self.down:
            skips.append(x)
            x = F.avg_pool2d(down(x), 2)
        for blocks, up, jump in zip(self.residual, self.up, self.jump, strict=True):
            x = blocks(x, descriptor)
            x = up(F.interpolate(x, scale_factor=2.0, mode="nearest")) + jump(skips.pop())
        return self.to_image(x).tanh()


class PIRender(PortraitModel):
    """Animate a source image with windows of 3DMM coefficients."""

    architecture: ClassVar[str] = "pirender"
    config: PIRenderConfig

    def __init__(self, config: PIRenderConfig) -> None:
        super().__init__(config)
        norm = (config.descriptor_width, config.hidden_width)
        self.mapping = Mapping(NUM_COEFFICIENTS, config.descriptor_width, config.num_mapping_layers)
        self.warping = WarpingNetwork(
            config.warping_width,
            config.max_width,
            config.num_warping_downs,
            config.num_warping_ups,
            norm,
        )
        self.editing = EditingNetwork(
            config.editing_width,
            config.max_width,
            config.num_editing_levels,
            config.num_blocks,
            norm,
        )

    @property
    def unused(self) -> str:
        """The first convolutions of the residual blocks; see `ResidualEdit`."""
        return r"editing\.residual\.\d+\.\d+\.(conv1|norm1)\."

    def read_source(
        self, source_01: Float[Tensor, "S 3 H W"], face: SourceFace | None = None
    ) -> EncodedSource:
        """Return what is computed once per source: the first convolution of both networks.

        Args:
            source_01: the sources.
            face: what they do; it is kept with them, and no picture depends on it. None: nothing.

        Raises:
            ValueError: if the images have a size that the networks cannot take.
        """
        self.check_image(source_01)
        source = 2 * source_01 - 1
        features = torch.cat((self.warping.stem(source), self.editing.of_source(source)), dim=1)
        own = Coefficients.neutral(source_01) if face is None else face.own
        return EncodedSource(source_01, own, features)

    def draw(self, source: EncodedSource, driving: Driving) -> Float[Tensor, "B 3 H W"]:
        """Draw the source as the windows have it."""
        return self.edit(source, driving).image

    def edit(self, source: EncodedSource, driving: Driving) -> Edited:
        """Draw the source, and return all that led to it.

        Args:
            source: one for all windows, or one for each.
            driving: B windows of coefficients.

        Raises:
            ValueError: if the driver is none of this model, or sizes do not fit each other.
        """
        windows = self.expect(driving, Coefficients).windows
        image_01, features = self.for_each(source, len(windows))
        stem, of_source = features.split(
            (self.config.warping_width, self.config.editing_width), dim=1
        )
        descriptor = self.mapping(windows)
        flow = self.warping(stem, descriptor)
        warped = warp(2 * image_01 - 1, sampling_grid(flow))
        image = self.editing(of_source, warped, descriptor)
        return Edited((image + 1) / 2, (warped + 1) / 2, flow, descriptor)


def sampling_grid(flow: Float[Tensor, "B 2 h w"]) -> Float[Tensor, "B h w 2"]:
    """Return where each place looks in the source, in [-1, 1], in the reference convention."""
    height, width = flow.shape[-2:]
    last = torch.tensor((width - 1, height - 1), device=flow.device, dtype=flow.dtype)
    return coordinate_grid(height, width, like=flow) + flow.movedim(1, -1) * (2 / last)


def _doubling(in_width: int, out_width: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(in_width, out_width, 3, stride=2, padding=1, output_padding=1)
