"""Validated, frozen configurations of the models. Importing this module does not import torch.

A configuration is what `config.json` beside a weights file holds. Unknown keys are errors.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    TypeAdapter,
    model_validator,
)

Transmittance = Literal["exclusive", "inclusive"]


class FrozenConfig(BaseModel):
    """What all configurations share: they cannot be changed, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


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


class FNeVRConfig(ReferenceConfig):
    """FNeVR: dense motion, face volume rendering, SPADE decoder."""

    architecture: Literal["fnevr"] = "fnevr"
    """Which model class this configures."""

    renderer: RendererConfig = RendererConfig()
    """Face volume rendering."""

    decoder: SpadeConfig = SpadeConfig()
    """The SPADE decoder."""

    @model_validator(mode="after")
    def _decoder_reaches_full_resolution(self) -> FNeVRConfig:
        if len(self.decoder.widths) < self.encoder.num_downs:
            raise ValueError(
                f"decoder.widths needs at least encoder.num_downs = {self.encoder.num_downs} "
                f"blocks to restore the resolution, got {len(self.decoder.widths)}"
            )
        if self.renderer.hidden_width % 4:
            raise ValueError(
                f"renderer.hidden_width must be a multiple of 4, got {self.renderer.hidden_width}"
            )
        return self


class FOMMConfig(ReferenceConfig):
    """First Order Motion Model: dense motion, residual decoder."""

    architecture: Literal["fomm"] = "fomm"
    """Which model class this configures."""

    num_bottleneck_blocks: PositiveInt = 6
    """Residual blocks between the warp and the up-sampling."""


class LiteConfig(PortraitConfig):
    """`lite`: the same stages for a laptop CPU (models/lite)."""

    architecture: Literal["fnevr-lite"] = "fnevr-lite"
    """Which model class this configures."""

    num_keypoints: PositiveInt = 45
    """K: those of the face patches first, then the free ones."""

    num_free_keypoints: NonNegativeInt = 20
    """How many of them, the last ones, are learned without targets: hair, neck, shoulders,
    background."""

    detector_widths: tuple[PositiveInt, ...] = Field(default=(32, 48, 64, 96, 128), min_length=3)
    """Channels of the detector's hourglass from a quarter of the image size downwards."""

    sharpness: float = Field(default=4.0, gt=0)
    """Gain on the detector's heatmap logits before the softmax."""

    motion_widths: tuple[PositiveInt, ...] = Field(default=(64, 96, 128, 128), min_length=2)
    """Channels of the motion hourglass from an eighth of the image size downwards."""

    gaussian_variance: float = Field(default=0.01, gt=0)
    """Squared width of the Gaussians that show the keypoints to the motion network."""

    noise_floor: float = Field(default=0.00625, ge=0)
    """Displacements of about this length, in [-1, 1] units, are halved and shorter ones suppressed:
    they are mostly noise of the keypoints. 0.00625 is 0.8 pixels of 256."""

    context_width: NonNegativeInt = 32
    """Channels in which the dense-motion network tells the decoder what it saw; 0 for none."""

    code_width: NonNegativeInt = 16
    """Numbers in which the face's expression goes to the decoder, beside maps of where the face's
    keypoints are; 0 for none of it."""

    width: PositiveInt = 48
    """Channels of source features, rendered features and decoder."""

    volume_rendering: bool = True
    """Face volume rendering between warp and decoder; without, the decoder sees F_w alone."""

    composite: bool = True
    """The picture is a blend of the warped source and the decoded picture; without, the latter."""

    num_planes: PositiveInt = 8
    """Samples per ray: depth planes of the volume, front to back."""

    plane_width: PositiveInt = 8
    """Channels of one plane, for density and for color."""

    hidden_width: PositiveInt = Field(default=32, multiple_of=4)
    """Width of the field f_theta; a multiple of 4."""

    @property
    def size_multiple(self) -> int:
        """What the height and width of an image must be multiples of."""
        return max(4 * 2 ** (len(self.detector_widths) - 1), 8 * 2 ** (len(self.motion_widths) - 1))

    @property
    def num_face_keypoints(self) -> int:
        """How many of the keypoints, the first ones, tell the size and pose of the face."""
        return self.num_keypoints - self.num_free_keypoints

    @model_validator(mode="after")
    def _some_keypoints_are_on_the_face(self) -> LiteConfig:
        if self.num_face_keypoints < 3:
            raise ValueError(
                "num_keypoints must exceed num_free_keypoints by 3 at least, got "
                f"{self.num_keypoints} and {self.num_free_keypoints}"
            )
        return self


AnyConfig = FNeVRConfig | FOMMConfig | LiteConfig
ModelConfig = Annotated[AnyConfig, Field(discriminator="architecture")]
MODEL_CONFIG: TypeAdapter[AnyConfig] = TypeAdapter(ModelConfig)


def base_config(transmittance: Transmittance = "exclusive") -> FNeVRConfig:
    """Return preset `base`: the paper's network, exactly (61.4 M parameters).

    Args:
        transmittance: "inclusive" for the authors' released weights, which need their code's rule.
    """
    return FNeVRConfig(renderer=RendererConfig(transmittance=transmittance))


def fomm_config() -> FOMMConfig:
    """Return the configuration of FOMM's released 256x256 face model (59.8 M parameters)."""
    return FOMMConfig()
