"""Validated, frozen configurations of the models. Importing this module does not import torch.

A configuration is what `config.json` beside a weights file holds. Unknown keys are errors.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, model_validator

from fnevr.config.face_driven import (
    BilayerConfig,
    PIRenderConfig,
    bilayer_config,
    pirender_config,
)
from fnevr.config.stages import (
    MAX_LEVELS,
    MAX_SIZE,
    Blocks,
    Count,
    DetectorConfig,
    EncoderConfig,
    FrozenConfig,
    HourglassConfig,
    KeypointConfig,
    MotionConfig,
    PortraitConfig,
    ReferenceConfig,
    RendererConfig,
    Size,
    SpadeConfig,
    Transmittance,
)

__all__ = [
    "MODEL_CONFIG",
    "AnyConfig",
    "BilayerConfig",
    "DaGANConfig",
    "DetectorConfig",
    "EncoderConfig",
    "FNeVRConfig",
    "FOMMConfig",
    "FaceVid2VidConfig",
    "FrozenConfig",
    "HourglassConfig",
    "KeypointConfig",
    "LiteConfig",
    "ModelConfig",
    "MotionConfig",
    "PIRenderConfig",
    "PortraitConfig",
    "ReferenceConfig",
    "RendererConfig",
    "SpadeConfig",
    "Transmittance",
    "base_config",
    "bilayer_config",
    "dagan_config",
    "dagan_spade_config",
    "face_vid2vid_config",
    "face_vid2vid_s_config",
    "fomm_config",
    "pirender_config",
]


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

    num_bottleneck_blocks: Blocks = 6
    """Residual blocks between the warp and the up-sampling."""


class DaGANConfig(ReferenceConfig):
    """DaGAN: FOMM's motion from RGB and depth, attention between depth and warped features."""

    architecture: Literal["dagan"] = "dagan"
    """Which model class this configures."""

    depth_encoder_widths: tuple[Size, ...] = Field(
        default=(64, 64, 128, 256, 512), min_length=5, max_length=5
    )
    """Channels of the depth network's encoder from half the resolution downwards."""

    depth_decoder_widths: tuple[Size, ...] = Field(
        default=(256, 128, 64, 32, 16), min_length=5, max_length=5
    )
    """Channels of the depth network's decoder, coarsest first."""

    decoder: Literal["residual", "spade"] = "spade"
    """The released code has both; "residual" is FOMM's."""

    guide_width: Size = 4
    """Channels of the features that modulate the decoder beside the warped picture."""

    num_decoder_blocks: Blocks = 3
    """Blocks of the decoder before the up-sampling."""

    spade_width: Size = 128
    """Hidden channels of one SPADE normalization."""

    @property
    def size_multiple(self) -> int:
        """What the height and width of an image must be multiples of."""
        return max(super().size_multiple, 2 ** len(self.depth_encoder_widths))

    @model_validator(mode="after")
    def _stages_fit_the_image(self) -> DaGANConfig:
        smallest = 2 * 2 ** len(self.depth_encoder_widths)
        if self.image_size < smallest:
            raise ValueError(
                f"the depth network needs image_size >= {smallest}, got {self.image_size}"
            )
        if self.decoder == "spade":
            _check_two_downs(self.encoder)
        return self


class FaceVid2VidConfig(KeypointConfig):
    """Face vid2vid: canonical 3D keypoints, head pose and expression, a warped feature volume."""

    architecture: Literal["face-vid2vid"] = "face-vid2vid"
    """Which model class this configures."""

    num_keypoints: Count = 15
    """K, the number of keypoints."""

    detector: DetectorConfig = DetectorConfig()
    """The detector of canonical keypoints."""

    plane_width: Size = 1024
    """Channels of one plane of the detector's volume where it is coarsest."""

    num_planes: int = Field(default=16, ge=2, le=1024)
    """Depth planes of all volumes."""

    head_pose_stem_width: Size = 64
    """Channels of the head-pose estimator's first convolution."""

    head_pose_widths: tuple[Size, ...] = Field(
        default=(256, 512, 1024, 2048), max_length=MAX_LEVELS
    )
    """Channels of the head-pose estimator's stages, each a multiple of 4."""

    head_pose_blocks: tuple[Blocks, ...] = Field(default=(3, 4, 6, 3), max_length=MAX_LEVELS)
    """Bottlenecks of the head-pose estimator's stages."""

    num_bins: Count = 66
    """Bins of an angle, 3 degrees each, from -99 degrees on."""

    encoder: EncoderConfig = EncoderConfig()
    """The source encoder, in the image plane."""

    stem_size: Size = 7
    """Side of the source encoder's first kernel."""

    volume_width: Size = 32
    """Channels of one plane of the source's feature volume."""

    num_volume_blocks: Blocks = 6
    """Residual 3D blocks on that volume."""

    compressed_width: Size = 4
    """Channels of the volume that the motion network warps."""

    motion_hourglass: HourglassConfig = HourglassConfig(width=32)
    """The 3D network between warped volumes and masks."""

    gaussian_variance: float = Field(default=0.01, gt=0)
    """Squared width of the Gaussians that mark the keypoints, in [-1, 1] coordinates."""

    decoder: Literal["residual", "spade"] = "residual"
    """"spade" is Face vid2vid-S."""

    num_decoder_blocks: Blocks = 6
    """Blocks of the decoder before the up-sampling."""

    spade_width: Size = 128
    """Hidden channels of one SPADE normalization."""

    @property
    def size_multiple(self) -> int:
        """What the height and width of an image must be multiples of."""
        return max(
            self.detector.downscale * 2**self.detector.hourglass.num_levels,
            2 ** (self.encoder.num_downs + self.motion_hourglass.num_levels),
        )

    @property
    def uses_source_keypoints(self) -> bool:
        """True: the driver's pose and expression move the source's own canonical keypoints."""
        return True

    @model_validator(mode="after")
    def _stages_fit_each_other(self) -> FaceVid2VidConfig:
        if len(self.head_pose_widths) != len(self.head_pose_blocks):
            raise ValueError(
                "head_pose_widths and head_pose_blocks must have one number per stage, got "
                f"{len(self.head_pose_widths)} and {len(self.head_pose_blocks)}"
            )
        if any(width % 4 for width in self.head_pose_widths):
            raise ValueError(
                f"head_pose_widths must be multiples of 4, got {self.head_pose_widths}"
            )
        if self.decoder == "spade":
            _check_two_downs(self.encoder)
        return self


class LiteConfig(KeypointConfig):
    """`lite`: the same stages for a laptop CPU (models/lite)."""

    architecture: Literal["fnevr-lite"] = "fnevr-lite"
    """Which model class this configures."""

    num_keypoints: Count = 45
    """K: those of the face patches first, then the free ones."""

    num_free_keypoints: int = Field(default=20, ge=0, le=1024)
    """How many of them, the last ones, are learned without targets: hair, neck, shoulders,
    background."""

    detector_widths: tuple[Size, ...] = Field(
        default=(32, 48, 64, 96, 128), min_length=3, max_length=MAX_LEVELS
    )
    """Channels of the detector's hourglass from a quarter of the image size downwards."""

    sharpness: float = Field(default=4.0, gt=0)
    """Gain on the detector's heatmap logits before the softmax."""

    motion_widths: tuple[Size, ...] = Field(
        default=(64, 96, 128, 128), min_length=2, max_length=MAX_LEVELS
    )
    """Channels of the motion hourglass from an eighth of the image size downwards."""

    gaussian_variance: float = Field(default=0.01, gt=0)
    """Squared width of the Gaussians that show the keypoints to the motion network."""

    noise_floor: float = Field(default=0.00625, ge=0)
    """Displacements of about this length, in [-1, 1] units, are halved and shorter ones suppressed:
    they are mostly noise of the keypoints. 0.00625 is 0.8 pixels of 256."""

    context_width: int = Field(default=32, ge=0, le=MAX_SIZE)
    """Channels in which the dense-motion network tells the decoder what it saw; 0 for none."""

    code_width: int = Field(default=16, ge=0, le=MAX_SIZE)
    """Numbers in which the face's expression goes to the decoder, beside maps of where the face's
    keypoints are; 0 for none of it."""

    width: Size = 48
    """Channels of source features, rendered features and decoder."""

    volume_rendering: bool = True
    """Face volume rendering between warp and decoder; without, the decoder sees F_w alone."""

    composite: bool = True
    """The picture is a blend of the warped source and the decoded picture; without, the latter."""

    detail_gain: float = Field(default=1.0, gt=0)
    """What the logits of the composite's mask are multiplied by where the portrait has a resolution
    of its own. Above 1 the result takes one side of the composite or the other, and hedges less."""

    detail_shift: float = 0.0
    """What is added to them afterwards; above 0 more comes from the warped portrait."""

    inner_face_width: int = Field(default=0, ge=0, le=MAX_SIZE, multiple_of=4)
    """Channels of the network that draws eyes and mouth anew; 0 for none."""

    num_planes: Count = 8
    """Samples per ray: depth planes of the volume, front to back."""

    plane_width: Size = 8
    """Channels of one plane, for density and for color."""

    hidden_width: Size = Field(default=32, multiple_of=4)
    """Width of the field f_theta; a multiple of 4."""

    @property
    def size_multiple(self) -> int:
        """What the height and width of an image must be multiples of."""
        return max(4 * 2 ** (len(self.detector_widths) - 1), 8 * 2 ** (len(self.motion_widths) - 1))

    @property
    def uses_detail(self) -> bool:
        """Whether the result takes texture from the source at a higher resolution."""
        return self.composite

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

    @model_validator(mode="after")
    def _inner_face_has_a_mask(self) -> LiteConfig:
        if self.inner_face_width and not self.composite:
            raise ValueError("inner_face_width needs the mask of a composite: composite is false")
        return self


AnyKeypointConfig = FNeVRConfig | FOMMConfig | FaceVid2VidConfig | DaGANConfig | LiteConfig
AnyConfig = AnyKeypointConfig | PIRenderConfig | BilayerConfig
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


def face_vid2vid_config() -> FaceVid2VidConfig:
    """Return the configuration of Face vid2vid's public 256x256 layout (125.3 M parameters)."""
    return FaceVid2VidConfig()


def face_vid2vid_s_config() -> FaceVid2VidConfig:
    """Return the configuration of Face vid2vid-S's public 256x256 layout (173.2 M parameters)."""
    return FaceVid2VidConfig(decoder="spade", stem_size=3)


def dagan_config() -> DaGANConfig:
    """Return the configuration of DaGAN's first 256x256 layout (74.6 M parameters)."""
    return DaGANConfig(decoder="residual", num_decoder_blocks=6)


def dagan_spade_config() -> DaGANConfig:
    """Return the configuration of DaGAN's 256x256 layout with a SPADE decoder (96.0 M)."""
    return DaGANConfig()


def _check_two_downs(encoder: EncoderConfig) -> None:
    if encoder.num_downs != 2:
        raise ValueError(
            f"the SPADE decoder restores two halvings, got encoder.num_downs = {encoder.num_downs}"
        )
