"""Configurations of the stages that models are made of.

Importing this module does not import torch.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PositiveInt, model_validator

from fnevr.errors import printable

Transmittance = Literal["exclusive", "inclusive"]


AS_TEXT = PlainSerializer(lambda name: printable(str(name)))
PathText = Annotated[str, AS_TEXT]
"""The name of a file, whose JSON can be written whatever bytes the name has."""


class FrozenConfig(BaseModel):
    """What all configurations share: they cannot be changed, and unknown keys are errors.

    Infinity and NaN are errors too: JSON has neither, so they would not be read again.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )


class HourglassConfig(FrozenConfig):
    """Widths of an hourglass: level i has `min(max_width, width * 2**i)` channels."""

    width: PositiveInt
    """Channels at the level of the input."""

    max_width: PositiveInt = 1024
    """Upper bound on the channels of any level."""

    num_levels: PositiveInt = 5
    """Number of halvings of the resolution."""


class DetectorConfig(FrozenConfig):
    """The keypoint detector."""

    hourglass: HourglassConfig = HourglassConfig(width=32)
    """The network between image and heatmaps."""

    downscale: PositiveInt = 4
    """The image is down-sampled by this factor first."""

    temperature: float = Field(default=0.1, gt=0)
    """Softmax temperature of the heatmaps; lower is sharper."""


class MotionConfig(FrozenConfig):
    """The dense-motion network."""

    hourglass: HourglassConfig = HourglassConfig(width=64)
    """The network between warped sources and masks."""

    downscale: PositiveInt = 4
    """The source is down-sampled by this factor first; the flow has that resolution."""

    gaussian_variance: float = Field(default=0.01, gt=0)
    """Squared width of the Gaussians that mark the keypoints, in [-1, 1] coordinates."""


class EncoderConfig(FrozenConfig):
    """The source encoder: `num_downs` halvings, each doubling the channels."""

    width: PositiveInt = 64
    """Channels at full resolution."""

    max_width: PositiveInt = 512
    """Upper bound on the channels."""

    num_downs: PositiveInt = 2
    """Number of halvings of the resolution."""

    @property
    def out_width(self) -> int:
        """Channels of the encoded source."""
        return min(self.max_width, self.width * 2**self.num_downs)


class RendererConfig(FrozenConfig):
    """Face volume rendering."""

    num_planes: PositiveInt = 8
    """Samples per ray: depth planes of the volume, front to back."""

    plane_width: PositiveInt = 16
    """Channels of one plane, for density and for color."""

    num_residual_blocks: PositiveInt = 3
    """Residual 3D blocks after P_sigma."""

    hidden_width: PositiveInt = 128
    """Width of the field f_theta; a multiple of 4."""

    auxiliary_width: PositiveInt = 64
    """Width of the small decoder of the auxiliary image."""

    transmittance: Transmittance = "exclusive"
    """"exclusive" is the paper's rule (j < i), "inclusive" that of the released code (j <= i)."""


class SpadeConfig(FrozenConfig):
    """The SPADE decoder."""

    widths: tuple[PositiveInt, ...] = Field(default=(128, 32, 32, 32), min_length=1)
    """Output channels of each SPADE block; as many of the first ones double the resolution as the
    encoder has halvings."""

    modulation_width: PositiveInt = 128
    """Channels of the map that modulates all blocks."""

    spade_width: PositiveInt = 128
    """Hidden channels of one SPADE normalization."""


class PortraitConfig(FrozenConfig):
    """What all portrait-animation models have."""

    architecture: str
    """Which model class this configures."""

    image_size: PositiveInt = 256
    """Height and width of the images, in pixels."""

    num_keypoints: PositiveInt = 10
    """K, the number of keypoints."""

    @property
    def size_multiple(self) -> int:
        """What the height and width of an image must be multiples of."""
        raise NotImplementedError

    @property
    def num_face_keypoints(self) -> int:
        """How many of the keypoints, the first ones, tell the size and pose of the face."""
        return self.num_keypoints

    @property
    def uses_source_keypoints(self) -> bool:
        """Whether the keypoints of a driving image depend on the source."""
        return False

    @property
    def uses_detail(self) -> bool:
        """Whether the result takes texture from the source at a higher resolution."""
        return False

    @model_validator(mode="after")
    def _image_size_fits(self) -> PortraitConfig:
        if self.image_size % self.size_multiple:
            raise ValueError(
                f"image_size must be a multiple of {self.size_multiple} for these networks, "
                f"got {self.image_size}"
            )
        return self


class ReferenceConfig(PortraitConfig):
    """The stages that the published models share."""

    detector: DetectorConfig = DetectorConfig()
    """The keypoint detector."""

    encoder: EncoderConfig = EncoderConfig()
    """The source encoder."""

    motion: MotionConfig = MotionConfig()
    """The dense-motion network."""

    @property
    def size_multiple(self) -> int:
        """What the height and width of an image must be multiples of."""
        return max(
            self.detector.downscale * 2**self.detector.hourglass.num_levels,
            self.motion.downscale * 2**self.motion.hourglass.num_levels,
            2**self.encoder.num_downs,
        )

    @model_validator(mode="after")
    def _heatmaps_have_an_extent(self) -> ReferenceConfig:
        if self.image_size // self.detector.downscale < 8:
            raise ValueError(
                "the detector's unpadded 7x7 heads need image_size / detector.downscale >= 8, got "
                f"{self.image_size} / {self.detector.downscale}"
            )
        return self
