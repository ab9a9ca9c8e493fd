"""Configurations of the models that are driven by what is known of faces in general.

Importing this module does not import torch.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from fnevr.config.stages import Blocks, DrivenBy, Levels, PortraitConfig, Size


class PIRenderConfig(PortraitConfig):
    """PIRender: windows of 3DMM coefficients, a flow, an edited picture."""

    architecture: Literal["pirender"] = "pirender"
    """Which model class this configures."""

    num_mapping_layers: int = Field(default=3, ge=1, le=3)
    """Convolutions over the window of coefficients after the first; each takes 6 frames of 21."""

    descriptor_width: Size = 256
    """Numbers of the descriptor."""

    hidden_width: Size = 128
    """Hidden numbers of one adaptive normalization."""

    max_width: Size = 256
    """Upper bound on the channels of both networks."""

    warping_width: Size = 32
    """Channels of the warping network at full resolution."""

    num_warping_downs: Levels = 5
    """Halvings of the warping network."""

    num_warping_ups: Levels = 3
    """Doublings after them; the flow has that resolution."""

    editing_width: Size = 64
    """Channels of the editing network at full resolution."""

    num_editing_levels: Levels = 3
    """Halvings of the editing network."""

    num_blocks: Blocks = 2
    """Residual blocks at each level of its way up."""

    @property
    def size_multiple(self) -> int:
        """What the height and width of an image must be multiples of."""
        return 2 ** max(self.num_warping_downs, self.num_editing_levels)

    @property
    def driven_by(self) -> DrivenBy:
        """Windows of 3DMM coefficients."""
        return "coefficients"

    @model_validator(mode="after")
    def _levels_have_skips(self) -> PIRenderConfig:
        if self.num_warping_ups >= self.num_warping_downs:
            raise ValueError(
                "num_warping_ups must be less than num_warping_downs, got "
                f"{self.num_warping_ups} and {self.num_warping_downs}"
            )
        return self


class BilayerConfig(PortraitConfig):
    """Bilayer: 68 landmarks; a texture of the source's own, and a low-frequency picture."""

    architecture: Literal["bilayer"] = "bilayer"
    """Which model class this configures."""

    num_harmonics: int = Field(default=0, ge=0, le=16)
    """Sines and cosines of each landmark's coordinates, in octaves; 0 takes the coordinates."""

    width: Size = 64
    """Channels of identity embedder and texture generator at full resolution; the inference
    generator has half as many, since each row of its weights comes from two channels."""

    max_width: Size = 512
    """Upper bound on these channels, and on the numbers of a projector's hidden layers."""

    texture_side: Size = 32
    """Side to which an embedding is averaged before it becomes the texture generator's weights."""

    inference_side: Size = 16
    """The same for the inference generator."""

    pose_width: Size = 256
    """Hidden numbers of the pose embedder."""

    enhancer_width: Size = 64
    """Channels of the texture enhancer at full resolution."""

    num_enhancer_blocks: Blocks = 8
    """Its residual blocks at half the resolution."""

    num_enhancements: int = Field(default=0, ge=0, le=64)
    """How often the texture is enhanced; 0 for weights without an enhancer, 4 for those with."""

    @property
    def num_ups(self) -> int:
        """Doublings of both generators, from 4x4 cells on."""
        return self.image_size.bit_length() - 3

    @property
    def size_multiple(self) -> int:
        """What the height and width of an image must be multiples of: the one size itself."""
        return self.image_size

    @property
    def driven_by(self) -> DrivenBy:
        """68 landmarks."""
        return "landmarks"

    @model_validator(mode="after")
    def _sizes_fit_each_other(self) -> BilayerConfig:
        if self.image_size < 16 or self.image_size & (self.image_size - 1):
            raise ValueError(f"image_size must be a power of 2 from 16 on, got {self.image_size}")
        if self.width % 2 or self.max_width % 2:
            raise ValueError(
                "width and max_width must be even: the inference generator has half as many "
                f"channels; got {self.width} and {self.max_width}"
            )
        return self


def pirender_config() -> PIRenderConfig:
    """Return the configuration of PIRender's released 256x256 model (22.5 M parameters)."""
    return PIRenderConfig()


def bilayer_config() -> BilayerConfig:
    """Return the configuration of Bilayer's released 256x256 base model (100.2 M parameters)."""
    return BilayerConfig()
