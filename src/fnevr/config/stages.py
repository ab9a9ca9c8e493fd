"""Configurations of the stages that models are made of.

Importing this module does not import torch.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, model_validator

from fnevr.errors import FnevrError, printable

Transmittance = Literal["exclusive", "inclusive"]
DrivenBy = Literal["keypoints", "coefficients", "landmarks"]
"""What moves a model; `geometry.driving` has the three."""

# Numbers of a file are bounded before anything is computed of them: 2 ** num_levels, for one.
MAX_LEVELS, MAX_SIZE, MAX_SEED, MAX_MANY = 12, 16_384, 2**32 - 1, 10**9
Size = Annotated[int, Field(gt=0, le=MAX_SIZE)]
"""Channels, or pixels."""
Count = Annotated[int, Field(gt=0, le=1024)]
"""Keypoints, planes, bins."""
Blocks = Annotated[int, Field(gt=0, le=128)]
"""Layers of a kind, one after the other."""
Levels = Annotated[int, Field(gt=0, le=MAX_LEVELS)]
"""Halvings of the resolution."""
Many = Annotated[int, Field(gt=0, le=MAX_MANY)]
"""Steps, frames, pictures: as many as there is time for."""
ManyOrNone = Annotated[int, Field(ge=0, le=MAX_MANY)]
"""The same, or 0."""
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
"""Of a random generator."""


def check_seed(seed: int) -> None:
    """Raise a FnevrError unless every random generator takes the seed."""
    if not 0 <= seed <= MAX_SEED:
        raise FnevrError(f"seed must be from 0 to {MAX_SEED}, got {seed}", argument="seed")


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

    width: Size
    """Channels at the level of the input."""

    max_width: Size = 1024
    """Upper bound on the channels of any level."""

    num_levels: Levels = 5
    """Number of halvings of the resolution."""


class DetectorConfig(FrozenConfig):
    """The keypoint detector."""

    hourglass: HourglassConfig = HourglassConfig(width=32)
    """The network between image and heatmaps."""

    downscale: Size = 4
    """The image is down-sampled by this factor first."""

    temperature: float = Field(default=0.1, gt=0)
    """Softmax temperature of the heatmaps; lower is sharper."""


class MotionConfig(FrozenConfig):
    """The dense-motion network."""

    hourglass: HourglassConfig = HourglassConfig(width=64)
    """The network between warped sources and masks."""

    downscale: Size = 4
    """The source is down-sampled by this factor first; the flow has that resolution."""

    gaussian_variance: float = Field(default=0.01, gt=0)
    """Squared width of the Gaussians that mark the keypoints, in [-1, 1] coordinates."""


class EncoderConfig(FrozenConfig):
    """The source encoder: `num_downs` halvings, each doubling the channels."""

    width: Size = 64
    """Channels at full resolution."""

    max_width: Size = 512
    """Upper bound on the channels."""

    num_downs: Levels = 2
    """Number of halvings of the resolution."""

    @property
    def out_width(self) -> int:
        """Channels of the encoded source."""
        return min(self.max_width, self.width * 2**self.num_downs)


class RendererConfig(FrozenConfig):
    """Face volume rendering."""

    num_planes: Count = 8
    """Samples per ray: depth planes of the volume, front to back."""

    plane_width: Size = 16
    """Channels of one plane, for density and for color."""

    num_residual_blocks: Blocks = 3
    """Residual 3D blocks after P_sigma."""

    hidden_width: Size = 128
    """Width of the field f_theta; a multiple of 4."""

    auxiliary_width: Size = 64
    """Width of the small decoder of the auxiliary image."""

    transmittance: Transmittance = "exclusive"
    """"exclusive" is the paper's rule (j < i), "inclusive" that of the released code (j <= i)."""


class SpadeConfig(FrozenConfig):
    """The SPADE decoder."""

    widths: tuple[Size, ...] = Field(default=(128, 32, 32, 32), min_length=1, max_length=MAX_LEVELS)
    """Output channels of each SPADE block; as many of the first ones double the resolution as the
    encoder has halvings."""

    modulation_width: Size = 128
    """Channels of the map that modulates all blocks."""

    spade_width: Size = 128
    """Hidden channels of one SPADE normalization."""


class PortraitConfig(FrozenConfig):
    """What all portrait-animation models have."""

    architecture: str
    """Which model class this configures."""

    image_size: int = Field(default=256, gt=0, le=4096)
    """Height and width of the images, in pixels."""

    @property
    def size_multiple(self) -> int:
        """What the height and width of an image must be multiples of."""
        raise NotImplementedError

    @property
    def driven_by(self) -> DrivenBy:
        """What moves it: keypoints of its own, 3DMM coefficients, or the landmarks of a face."""
        raise NotImplementedError

    @property
    def uses_source_keypoints(self) -> bool:
        """Whether what drives it depends on the source as well as on the driver."""
        return False

    @property
    def why_no_graphs(self) -> str:
        """Why it cannot be exported for the graph engines; empty where it can."""
        if self.driven_by != "keypoints":
            return f"it is driven by {self.driven_by}, and graphs are of keypoints"
        if self.uses_source_keypoints:
            return "its driving keypoints depend on the source"
        return ""

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


class KeypointConfig(PortraitConfig):
    """What the models that are driven by keypoints have."""

    num_keypoints: Count = 10
    """K, the number of keypoints."""

    @property
    def driven_by(self) -> DrivenBy:
        """Keypoints, which the model itself detects."""
        return "keypoints"

    @property
    def num_face_keypoints(self) -> int:
        """How many of the keypoints, the first ones, tell the size and pose of the face."""
        return self.num_keypoints


class ReferenceConfig(KeypointConfig):
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
