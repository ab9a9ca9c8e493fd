"""Bilayer: landmarks draw a low-frequency picture and a warp of the source's own texture.

Zakharov et al., "Fast Bi-layer Neural Synthesis of One-Shot Realistic Head Avatars", ECCV 2020. The
released network, whose checkpoints load, with or without its texture enhancer. All that is said of
the person (texture, and the weights of the inference generator) is computed once per source; a
frame costs the inference generator and one sampling of the texture.

Shapes: S sources (one, or one per frame), B driving frames, C channels, H and W pixels. Pictures of
the networks are in [-1, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fnevr.config.face_driven import BilayerConfig
from fnevr.geometry.driving import Driving, Landmarks68
from fnevr.models.baselines.bilayer_blocks import PlainBlock, Projector, SpectralConv, activated
from fnevr.models.baselines.bilayer_generators import (
    InferenceGenerator,
    Inferred,
    PoseEmbedder,
    TextureGenerator,
)
from fnevr.models.baselines.stick_man import stick_men
from fnevr.models.encoded_source import EncodedSource, SourceFace
from fnevr.models.portrait import PortraitModel


@dataclass(frozen=True)
class EncodedAvatar(EncodedSource):
    """A source that was read: its texture is in `features`.

    Attributes:
        weights: of the inference generator's norms and skip connections, three per block.
    """

    weights: tuple[Float[Tensor, "S _ _"], ...] = ()


@dataclass(frozen=True)
class Composed:
    """One batch of frames, and what led to them.

    Attributes:
        image: low plus high, in [-2, 2].
        high_frequency: the texture under the grid.
        inferred: what the inference generator drew.
    """

    image: Float[Tensor, "B 3 H W"]
    high_frequency: Float[Tensor, "B 3 H W"]
    inferred: Inferred


class IdentityEmbedder(nn.Module):
    """Source and its stick man to one embedding per block of the generators."""

    def __init__(self, widths: tuple[int, ...], num_downs: int) -> None:
        """Make the layers.

        Args:
            widths: of the embeddings, that of the first block first.
            num_downs: halvings before them.
        """
        super().__init__()
        rising = [min(widths[0], widths[-1] * 2**level) for level in range(num_downs + 1)]
        self.stem = SpectralConv(6, rising[0], 3)
        self.down = nn.ModuleList(
            PlainBlock(rising[level], rising[level + 1], "down") for level in range(num_downs)
        )
        before = (rising[-1], *widths[:-1])
        self.blocks = nn.ModuleList(
            PlainBlock(first, second) for first, second in zip(before, widths, strict=True)
        )

    def forward(
        self, source: Float[Tensor, "S 3 H W"], stick_man: Float[Tensor, "S 3 H W"]
    ) -> list[Float[Tensor, "S _ 8 8"]]:
        """Return the embeddings: each block's activation after its first convolution."""
        x = self.stem(torch.cat((source, stick_man), dim=1))
        for block in self.down:
            x = block(x)
        embeddings = []
        for block in self.blocks:
            assert isinstance(block, PlainBlock)
            embedding = block.features(x)
            embeddings.append(embedding)
            x = block.join(x, embedding)
        return embeddings


class TextureEnhancer(nn.Module):
    """Texture and the gradient of the source's error by it, to a change of the texture."""

    def __init__(self, width: int, num_blocks: int) -> None:
        super().__init__()
        self.stem = SpectralConv(6, width, 3)
        self.blocks = nn.Sequential(
            PlainBlock(width, 2 * width, "down"),
            *(PlainBlock(2 * width, 2 * width) for _ in range(num_blocks)),
            PlainBlock(2 * width, width, "up"),
        )
        self.to_change = SpectralConv(width, 3, 3)

    def forward(
        self, texture: Float[Tensor, "S 3 H W"], gradient: Float[Tensor, "S 3 H W"]
    ) -> Float[Tensor, "S 3 H W"]:
        """Return what is added to the texture, in (-1, 1)."""
        x = self.blocks(self.stem(torch.cat((texture, gradient), dim=1)))
        return self.to_change(activated(x)).tanh()


class Bilayer(PortraitModel):
    """Animate a source image with the 68 landmarks of a driving face."""

    architecture: ClassVar[str] = "bilayer"
    config: BilayerConfig

    def __init__(self, config: BilayerConfig) -> None:
        super().__init__(config)
        num_ups = config.num_ups
        widths = tuple(min(config.max_width, config.width * 2**up) for up in range(num_ups))[::-1]
        narrow = tuple(width // 2 for width in widths)
        hidden = tuple(min(config.max_width, 2 * width) for width in widths)
        # Two norms, each a pair of 1x1 convolutions or of weight and bias, and the skip's weights.
        texture_outs = [
            (width + 1, width + 1, before + 1, width + 1, width + 1)
            for before, width in zip((widths[0], *widths[:-1]), widths, strict=True)
        ]
        inference_outs = [(2, before + 1, 2) for before in (narrow[0], *narrow[:-1])]
        self.identity = IdentityEmbedder(widths, num_downs=num_ups - 1)
        self.texture_weights = Projector(config.texture_side, hidden, texture_outs)
        self.texture = TextureGenerator(widths)
        self.pose = PoseEmbedder(config.num_harmonics, config.pose_width, narrow[0])
        self.inference_weights = Projector(
            config.inference_side, hidden, inference_outs, halved=True
        )
        self.inference = InferenceGenerator(narrow, config.image_size)
        self.enhancer = (
            TextureEnhancer(config.enhancer_width, config.num_enhancer_blocks)
            if config.num_enhancements
            else None
        )

    @property
    def unused(self) -> str:
        """What follows the identity embedder's last embedding."""
        last = len(self.identity.blocks) - 1
        return rf"identity\.blocks\.{last}\.(conv2|skip)\."

    def read_source(
        self, source_01: Float[Tensor, "S 3 H W"], face: SourceFace | None = None
    ) -> EncodedAvatar:
        """Return the texture of a source, and the weights with which it is moved.

        Args:
            source_01: the sources.
            face: their landmarks, and where they show the person. The model cannot do without.

        Raises:
            ValueError: if the images have another size than the model, or the face is not given.
        """
        self.check_image(source_01)
        if face is None:
            raise ValueError("'bilayer' needs the source's landmarks and its mask: pass `face`")
        points = self.expect(face.own, Landmarks68).points
        source = on_black(2 * source_01 - 1, face.person_01)
        stick_man = stick_men(points, self.config.image_size).to(source.dtype)
        embeddings = self.identity(source, stick_man)
        texture = self.texture(self.texture_weights(embeddings))
        weights = tuple(self.inference_weights(embeddings))
        if self.enhancer is not None:
            texture = self.enhance(texture, 2 * source_01 - 1, self.infer(points, weights))
        return EncodedAvatar(source_01, face.own, texture, weights=weights)

    def draw(self, source: EncodedSource, driving: Driving) -> Float[Tensor, "B 3 H W"]:
        """Draw the source as the landmarks have it, on black, in [0, 1]."""
        composed = self.compose(source, driving)
        image = on_black(composed.image.clamp(-1, 1), composed.inferred.person)
        return (image + 1) / 2

    def compose(self, source: EncodedSource, driving: Driving) -> Composed:
        """Draw the source, and return all that led to it, with its background.

        Args:
            source: one for all driving frames, or one for each.
            driving: 68 landmarks of each driving frame.

        Raises:
            ValueError: if the driver or the source is none of this model, or sizes do not fit.
        """
        points = self.expect(driving, Landmarks68).points
        if not isinstance(source, EncodedAvatar):
            raise ValueError("the source must be what `read_source` of this model returns")
        _, texture = self.for_each(source, len(points))
        inferred = self.infer(points, source.weights)
        high = sampled(texture, inferred.grid)
        return Composed(inferred.low_frequency + high, high, inferred)

    def infer(
        self, points: Float[Tensor, "B 68 2"], weights: tuple[Float[Tensor, "S _ _"], ...]
    ) -> Inferred:
        """Return what the inference generator draws of landmarks with a source's weights."""
        return self.inference(self.pose(points), weights)

    def enhance(
        self,
        texture: Float[Tensor, "S 3 H W"],
        source: Float[Tensor, "S 3 H W"],
        own: Inferred,
    ) -> Float[Tensor, "S 3 H W"]:
        """Improve a texture by how far it is from giving the source back.

        Args:
            texture: as it was generated.
            source: the image, in [-1, 1].
            own: what the inference generator draws of the source's own landmarks.
        """
        assert self.enhancer is not None
        wanted = on_black(source, own.person)
        for _ in range(self.config.num_enhancements):
            drawn = on_black(own.low_frequency + sampled(texture, own.grid), own.person)
            # The gradient of half the sum of squares goes back through mask and sampling.
            residual = (drawn - wanted) * own.person
            gradient = sampled_backwards(residual, texture, own.grid)
            texture = texture + self.enhancer(texture, gradient)
        return texture


def on_black(
    image: Float[Tensor, "B 3 H W"], person: Float[Tensor, "B 1 H W"]
) -> Float[Tensor, "B 3 H W"]:
    """Return an image in [-1, 1] on black, -1."""
    return image * person - (1 - person)


def sampled(
    texture: Float[Tensor, "B 3 H W"], grid: Float[Tensor, "B H W 2"]
) -> Float[Tensor, "B 3 H W"]:
    """Sample a texture where a grid looks."""
    return F.grid_sample(texture, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def sampled_backwards(
    residual: Float[Tensor, "B 3 H W"],
    texture: Float[Tensor, "B 3 H W"],
    grid: Float[Tensor, "B H W 2"],
) -> Float[Tensor, "B 3 H W"]:
    """Return the gradient of `sampled` by the texture, times a residual.

    It is linear, so it needs no graph and works where gradients are off.
    """
    bilinear, zeros = 0, 0
    gradient, _ = torch.ops.aten.grid_sampler_2d_backward(
        residual, texture, grid, bilinear, zeros, False, [True, False]
    )
    return gradient
