"""Building blocks of Bilayer: spectrally normalized layers, residual blocks, projected weights.

Shapes: S sources, B batch, C channels, H and W pixels, R rows of a projected matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE, EPSILON = 0.2, 1e-7
FIRST_STEPS = 15  # of the power iteration
Resample = Literal["none", "up", "down"]


class _Spectral(nn.Module):
    """A layer whose weight is divided by its norm: ``W / (u^T W v)`` (Miyato et al., 2018).

    u and v are kept beside the weight. In use they stay as they are; a step of training improves
    them by one power iteration. Fifteen are made of a new weight, as by PyTorch's own: after one, a
    layer is larger by a third than it should be, and a model has forty of them in a row. Nothing is
    made on the meta device, where PyTorch's own takes the better part of a minute.
    """

    weight: Tensor
    u: Tensor
    v: Tensor

    def make_vectors(self) -> None:
        """Register u and v: some steps from a random vector."""
        rows, columns = self.weight.flatten(1).shape
        self.register_buffer("u", torch.randn(rows))
        self.register_buffer("v", torch.empty(columns))
        if not self.weight.is_meta:
            for _ in range(FIRST_STEPS):
                self.improve_vectors()

    def normalized_weight(self) -> Tensor:
        """Return the weight that is used."""
        if self.training:
            self.improve_vectors()
        return self.weight / (self.u @ (self.weight.flatten(1) @ self.v))

    @torch.no_grad()
    def improve_vectors(self) -> None:
        """Take one step of the power iteration."""
        matrix = self.weight.flatten(1)
        self.v = F.normalize(matrix.T @ self.u, dim=0)
        self.u = F.normalize(matrix @ self.v, dim=0)


class SpectralConv(_Spectral, nn.Conv2d):
    """Convolution with a spectrally normalized weight; it keeps the resolution."""

    def __init__(self, in_width: int, out_width: int, kernel_size: int) -> None:
        super().__init__(in_width, out_width, kernel_size, padding=kernel_size // 2)
        self.make_vectors()

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C2 H W"]:
        """Return the features."""
        return F.conv2d(x, self.normalized_weight(), self.bias, padding=self.padding)


class SpectralLinear(_Spectral, nn.Linear):
    """Linear layer with a spectrally normalized weight."""

    def __init__(self, in_width: int, out_width: int) -> None:
        super().__init__(in_width, out_width)
        self.make_vectors()

    def forward(self, x: Float[Tensor, "*rows N"]) -> Float[Tensor, "*rows M"]:
        """Return the products."""
        return F.linear(x, self.normalized_weight(), self.bias)


def activated(x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
    """Apply the leaky ReLU of all networks."""
    return F.leaky_relu(x, SLOPE)


def doubled(x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H2 W2"]:
    """Repeat each pixel in both directions."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class PlainBlock(nn.Module):
    """Residual block without normalization; doubles the resolution first, or halves it last."""

    def __init__(self, in_width: int, out_width: int, resample: Resample = "none") -> None:
        super().__init__()
        self.resample = resample
        self.conv1 = SpectralConv(in_width, out_width, 3)
        self.conv2 = SpectralConv(out_width, out_width, 3)
        self.has_learned_skip = resample != "none" or in_width != out_width
        if self.has_learned_skip:
            self.skip = SpectralConv(in_width, out_width, 1)

    def features(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C2 H2 W2"]:
        """Return the activation between the two convolutions."""
        x = activated(x)
        return activated(self.conv1(doubled(x) if self.resample == "up" else x))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C2 H2 W2"]:
        """Return features of the block's output width."""
        return self.join(x, self.features(x))

    def join(
        self, x: Float[Tensor, "B C H W"], features: Float[Tensor, "B C2 H2 W2"]
    ) -> Float[Tensor, "B C2 _ _"]:
        """Return the block's result, from its input and the activation in its middle."""
        residual = self.conv2(features)
        skip = doubled(x) if self.resample == "up" else x
        if self.has_learned_skip:
            skip = self.skip(skip)
        total = residual + skip
        return F.avg_pool2d(total, 2) if self.resample == "down" else total


class ProjectedBlock(nn.ModuleList):
    """The layers that make the weights of one block of a generator, in order."""

    def forward(self, rows: Float[Tensor, "S R _"]) -> list[Float[Tensor, "S R _"]]:
        """Return one weight of each set of layers."""
        return [layers(rows) for layers in self]


class Projector(nn.Module):
    """Embeddings to the weights of a generator's norms and skip connections.

    Embedding j is averaged to a square of `side` (larger than it is: cells repeat) and read row by
    row; three linear layers without activation between them make a row of a weight of each row.
    """

    def __init__(
        self,
        side: int,
        hidden_widths: Sequence[int],
        out_widths: Sequence[Sequence[int]],
        *,
        halved: bool = False,
    ) -> None:
        """Make the layers.

        Args:
            side: see above.
            hidden_widths: by block.
            out_widths: numbers of a row, by block and weight.
            halved: two neighbouring channels share one row.
        """
        super().__init__()
        self.side, self.halved = side, halved
        row = (2 if halved else 1) * side * side
        self.blocks = nn.ModuleList(
            ProjectedBlock(_three_layers(row, hidden, out) for out in outs)
            for hidden, outs in zip(hidden_widths, out_widths, strict=True)
        )

    def forward(self, embeddings: list[Float[Tensor, "S _ h w"]]) -> list[Float[Tensor, "S _ _"]]:
        """Return the weights in order, each with its bias as the last column."""
        weights = []
        for embedding, block in zip(embeddings, self.blocks, strict=True):
            cells = F.adaptive_avg_pool2d(embedding, self.side)
            num_rows = embedding.shape[1] // (2 if self.halved else 1)
            rows = cells.flatten(1).unflatten(1, (num_rows, -1))
            weights += block(rows)
        return weights


def mixed(x: Float[Tensor, "B C H W"], weight: Float[Tensor, "S R _"]) -> Float[Tensor, "_ R H W"]:
    """Apply a projected 1x1 convolution, whose bias is the last column of its weight."""
    kernel, bias = weight[..., :-1], weight[..., -1]
    flat = kernel @ x.flatten(2) + bias[..., None]
    return flat.unflatten(2, tuple(x.shape[-2:]))


def _three_layers(in_width: int, hidden: int, out_width: int) -> nn.Sequential:
    return nn.Sequential(
        *(
            SpectralLinear(before, after)
            for before, after in ((in_width, hidden), (hidden, hidden), (hidden, out_width))
        )
    )


class MappedNorm(nn.Module):
    """Batch norm, scaled and shifted by a learned map that projected 1x1 convolutions mix."""

    def __init__(self, width: int, side: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(width, eps=EPSILON, affine=False)
        self.map = nn.Parameter(torch.empty(1, width, side, side))
        nn.init.kaiming_uniform_(self.map, a=5**0.5)

    def forward(
        self,
        x: Float[Tensor, "S C H W"],
        scale: Float[Tensor, "S C _"],
        shift: Float[Tensor, "S C _"],
    ) -> Float[Tensor, "S C H W"]:
        """Return ``(1 + A p) norm(x) + B p``."""
        return self.norm(x) * (1 + mixed(self.map, scale)) + mixed(self.map, shift)
