"""The recipes of the baselines: losses and weights of their papers, or of their public code.

A class attribute of each says which architectures it trains. The terms of `lite` are here too, at
0, so that models can be compared by one loss; `docs/architecture.md` says where a loss needed a
network that cannot be had, and what stands in its place.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import NonNegativeFloat, PositiveFloat

from fnevr.train.recipe import EquivarianceWeights, GanName, PublishedRecipe, PublishedWeights


class FaceVid2VidWeights(PublishedWeights):
    """The weights of Face vid2vid's paper."""

    equivariance_position: NonNegativeFloat = 20.0
    """Equivariance of the keypoints under thin-plate warps, in the picture's plane."""

    keypoint_prior: NonNegativeFloat = 10.0
    """Keypoints that are crowded, or not at the depth of 0.33 on average."""

    head_pose: NonNegativeFloat = 20.0
    """L1 of the head's rotation from that of the head fitted to the landmarks."""

    deformation: NonNegativeFloat = 5.0
    """L1 of the keypoints' expression."""


class FaceVid2VidRecipe(PublishedRecipe):
    """All of Face vid2vid or Face vid2vid-S."""

    architectures: ClassVar[tuple[str, ...]] = ("face-vid2vid",)
    generator_parts: ClassVar[tuple[str, ...]] = ("encoder.", "project.", "decoder.")
    milestones: ClassVar[tuple[float, ...] | None] = (0.6,)  # epoch 180 of 300
    gan: ClassVar[GanName] = "hinge"

    stage: Literal["face-vid2vid"] = "face-vid2vid"
    weights: FaceVid2VidWeights = FaceVid2VidWeights()


class DaGANWeights(PublishedWeights, EquivarianceWeights):
    """The weights of DaGAN's released configuration."""

    keypoint_distance: NonNegativeFloat = 10.0
    """Keypoints that are nearer to each other than 0.2."""


class DaGANRecipe(PublishedRecipe):
    """All of DaGAN but its depth network, which stays as it is."""

    architectures: ClassVar[tuple[str, ...]] = ("dagan",)
    generator_parts: ClassVar[tuple[str, ...]] = (
        "encoder.",
        "depth_encoder.",
        "attention.",
        "decoder.",
    )
    untrained: ClassVar[str | None] = r"depth\."

    stage: Literal["dagan"] = "dagan"
    weights: DaGANWeights = DaGANWeights()


class PIRenderWeights(PublishedWeights):
    """The weights of PIRender's released configuration, which has no discriminator."""

    perceptual: NonNegativeFloat = 4.0
    generator: NonNegativeFloat = 0.0
    feature_matching: NonNegativeFloat = 0.0

    perceptual_warped: NonNegativeFloat = 2.5
    """Perceptual distance of the warped source."""

    style: NonNegativeFloat = 1000.0
    """Distance of the final picture's Gram matrices, per layer."""


class PIRenderRecipe(PublishedRecipe):
    """All of PIRender."""

    architectures: ClassVar[tuple[str, ...]] = ("pirender",)
    generator_parts: ClassVar[tuple[str, ...]] = ("editing.",)

    stage: Literal["pirender"] = "pirender"
    motion_rate: PositiveFloat = 1e-4
    generator_rate: PositiveFloat = 1e-4
    weights: PIRenderWeights = PIRenderWeights()


class BilayerWeights(PublishedWeights):
    """The weights of Bilayer's released configuration, of the base model."""

    generator: NonNegativeFloat = 0.5

    low_frequency: NonNegativeFloat = 10.0
    """L1 of the low-frequency picture."""

    segmentation: NonNegativeFloat = 10.0
    """Cross entropy of the mask of the person."""

    offset: NonNegativeFloat = 0.0
    """L1 of how far the pixels look aside in the texture; 0 leaves it out."""


class BilayerRecipe(PublishedRecipe):
    """All of Bilayer."""

    architectures: ClassVar[tuple[str, ...]] = ("bilayer",)
    generator_parts: ClassVar[tuple[str, ...]] = (
        "identity.",
        "texture.",
        "texture_weights.",
        "enhancer.",
    )
    gan: ClassVar[GanName] = "relativistic-hinge"

    stage: Literal["bilayer"] = "bilayer"
    weights: BilayerWeights = BilayerWeights()
