"""What all portrait-animation models share: a cached source, what drives them, saving.

Shapes: B batch (of driving frames), K keypoints, H and W pixels, H1 and W1 of a source's detail.
Images are RGB in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fnevr.config.folder import read_config
from fnevr.config.models import AnyConfig
from fnevr.config.presets import resolve_model
from fnevr.config.stages import KeypointConfig, PortraitConfig, ReferenceConfig
from fnevr.geometry.driving import Coefficients, Driving, Landmarks68
from fnevr.geometry.keypoints import Keypoints
from fnevr.models.blocks import Encoder
from fnevr.models.encoded_source import Detail, EncodedSource, SourceFace
from fnevr.models.keypoints import KeypointDetector
from fnevr.models.motion import DenseMotion
from fnevr.models.weights import load_strict, read_weights, save_folder

# Not typing.Self: the runtime type checker of the tests cannot take it in methods of modules.
Model = TypeVar("Model", bound="PortraitModel")
D = TypeVar("D", Keypoints, Coefficients, Landmarks68)


@dataclass(frozen=True)
class Generated:
    """One batch of generated frames, and what led to them.

    Attributes:
        image: the result, in [0, 1].
        occlusion: 1 where the source shows what is needed, at the resolution of the flow.
        masks: weight of the background and of each keypoint's motion, in 2D or 3D.
        flow: where each pixel looks in the source, in [-1, 1].
        warped: the source image under the flow; None unless details were asked for.
        rendered: the auxiliary image of the renderer; None for models without one, and unless
            details were asked for.
        density_features: the volume ``F_sigma`` of the renderer; None for models without one.
    """

    image: Float[Tensor, "B 3 H W"]
    occlusion: Float[Tensor, "B 1 h w"]
    masks: Float[Tensor, "B K1 *space"]
    flow: Float[Tensor, "B h w 2"]
    warped: Float[Tensor, "B 3 H W"] | None = None
    rendered: Float[Tensor, "B 3 H W"] | None = None
    density_features: Float[Tensor, "B C D h2 w2"] | None = None


class PortraitModel(nn.Module):
    """Base of all models: a source is read once and drawn as often as a driver wants it.

    What drives a model, its config says (`driven_by`): keypoints that it detects itself
    (`KeypointModel`), coefficients of a 3D face model, or the landmarks of a face.
    """

    architecture: ClassVar[str]

    def __init__(self, config: PortraitConfig) -> None:
        super().__init__()
        self.config = config

    @property
    def unused(self) -> str | None:
        """Pattern of the names of weights that nothing is computed with: checkpoints hold them."""
        return None

    def read_source(
        self, source_01: Float[Tensor, "S 3 H W"], face: SourceFace | None = None
    ) -> EncodedSource:
        """Return all that `draw` needs of a source: it is read once and drawn many times.

        Args:
            source_01: the sources.
            face: what is known of their faces; models that are driven by keypoints see themselves.

        Raises:
            ValueError: if the images have a size that the networks cannot take, or the model needs
                to be told of the face.
        """
        raise NotImplementedError

    def read_detailed(
        self,
        source_01: Float[Tensor, "S 3 H W"],
        detail: Detail | None = None,
        face: SourceFace | None = None,
    ) -> EncodedSource:
        """Return what `read_source` does, with the detail that engines draw with.

        Args:
            source_01: the source.
            detail: of it, for models with `config.uses_detail`; None takes the source itself as one
                layer.
            face: as in `read_source`.

        Raises:
            ValueError: as `read_source`.
        """
        source = self.read_source(source_01, face)
        if not self.config.uses_detail:
            return source
        return replace(source, detail=detail or Detail.opaque(source_01))

    def draw(self, source: EncodedSource, driving: Driving) -> Float[Tensor, "B 3 H1 W1"]:
        """Draw the source as the driver has it.

        The result has the size of the source's detail in models that use it, otherwise that of its
        image.

        Args:
            source: one for all driving frames, or one for each.
            driving: B of them, one frame each, of the kind that drives the model.

        Raises:
            ValueError: if sizes do not fit each other or the networks, or this drives other models.
        """
        raise NotImplementedError

    def expect(self, driving: Driving, kind: type[D]) -> D:
        """Return what drives the model, if it is of its kind.

        Raises:
            ValueError: if it is not.
        """
        if not isinstance(driving, kind):
            raise ValueError(
                f"'{self.architecture}' is driven by {self.config.driven_by}: wanted "
                f"{kind.__name__}, got {type(driving).__name__}"
            )
        return driving

    def check_image(self, image_01: Tensor) -> None:
        """Raise a ValueError unless this is a batch of RGB images of a size the networks take."""
        shape, multiple = tuple(image_01.shape), self.config.size_multiple
        if len(shape) != 4 or shape[1] != 3:
            raise ValueError(f"expected RGB images of shape (B, 3, H, W), got {shape}")
        if shape[2] == 0 or shape[2] % multiple or shape[3] == 0 or shape[3] % multiple:
            raise ValueError(
                f"height and width must be multiples of {multiple}, got {shape[2]} x {shape[3]}: "
                f"resize to {self.config.image_size} x {self.config.image_size} first"
            )

    def for_each(self, source: EncodedSource, count: int) -> tuple[Tensor, Tensor]:
        """Return image and features of a source for each driving frame, where there was one.

        Raises:
            ValueError: if the source is no image, or there is another number of them.
        """
        self.check_image(source.image_01)
        features = source.features
        for name, size in (("source_01", len(source.image_01)), ("source_features", len(features))):
            if size not in (1, count):
                raise ValueError(
                    f"{name} holds {size} images for {count} driving frames: "
                    "pass one, or one for each frame"
                )
        return (
            source.image_01.expand(count, -1, -1, -1),
            features.expand(count, *[-1] * (features.ndim - 1)),
        )

    def save_pretrained(self, folder: str | Path, *, half_precision: bool = False) -> None:
        """Write `config.json` and `model.safetensors`; a new folder appears only when complete.

        Args:
            folder: where to; made if it does not exist.
            half_precision: store float16, which loads back into float32 modules; tensors with
                numbers beyond it stay as they are.
        """
        save_folder(Path(folder), self.config, self.state_dict(), half_precision=half_precision)

    @classmethod
    def from_pretrained(
        cls: type[Model], folder: str | Path, device: torch.device | str = "cpu"
    ) -> Model:
        """Load a model that `save_pretrained` or `fnevr convert` wrote, ready for inference.

        Args:
            folder: of the weights, or the name of a preset whose weights are here.
            device: where the model goes.

        Raises:
            CheckpointError: if files are missing or damaged, or hold another model.
        """
        place = resolve_model(folder)
        config = read_config(place, architecture=cls.architecture)
        return cls.from_weights(config, read_weights(place), str(place)).to(device)

    @classmethod
    def from_weights(
        cls: type[Model], config: AnyConfig, weights: dict[str, Tensor], origin: str
    ) -> Model:
        """Build a model around existing weights, without initializing any at random.

        Args:
            config: must configure this class.
            weights: tensors by the names of this package.
            origin: where they come from, for the error message.

        Raises:
            CheckpointError: listing every tensor that is missing, unexpected or mis-shaped.
        """
        model = cls.without_weights(config)
        load_strict(model, weights, origin)
        return model.eval()

    @classmethod
    def without_weights(cls: type[Model], config: AnyConfig) -> Model:
        """Build a model whose tensors have shapes and no values yet: on the meta device."""
        with torch.device("meta"):
            return cls(config)


class KeypointModel(PortraitModel):
    """Base of the models that are driven by keypoints, which they detect themselves.

    Detector, encoder and motion are modules that subclasses make.
    """

    config: KeypointConfig
    detector: nn.Module
    encoder: nn.Module
    motion: nn.Module

    def keypoints(self, image_01: Float[Tensor, "B 3 H W"]) -> Keypoints:
        """Detect the keypoints of each image.

        Raises:
            ValueError: if the images have a size that the networks cannot take.
        """
        self.check_image(image_01)
        return self.detector(image_01)

    def driving_keypoints(
        self, driving_01: Float[Tensor, "B 3 H W"], source: Keypoints
    ) -> Keypoints:
        """Detect where each driving image puts the keypoints of a source.

        That is what the image alone tells, except in models that turn the source's own keypoints
        (`config.uses_source_keypoints`).

        Args:
            driving_01: the driving images.
            source: the keypoints of the source, batch 1 or B.

        Raises:
            ValueError: if the images have a size that the networks cannot take.
        """
        del source
        return self.keypoints(driving_01)

    def encode(self, source_01: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C *space"]:
        """Return what `generate` needs of a source that does not depend on the driver.

        Raises:
            ValueError: if the images have a size that the networks cannot take.
        """
        self.check_image(source_01)
        return self.encoder(source_01)

    def read_source(
        self, source_01: Float[Tensor, "S 3 H W"], face: SourceFace | None = None
    ) -> EncodedSource:
        """Return the keypoints of a source and its features; see `PortraitModel`."""
        del face
        return EncodedSource(source_01, self.keypoints(source_01), self.encode(source_01))

    def draw(self, source: EncodedSource, driving: Driving) -> Float[Tensor, "B 3 H1 W1"]:
        """Draw the source as the driving keypoints have it; see `PortraitModel`."""
        driving = self.expect(driving, Keypoints)
        if source.detail is None:
            return self.render(source, driving, details=False).image
        layers = source.detail.carried(self.draw_layers(source, driving))
        return self.blend_layers(source.detail, *layers)

    def draw_layers(self, source: EncodedSource, driving: Keypoints) -> tuple[Tensor, ...]:
        """Draw what `blend_layers` makes the result of: networks' work, at the networks' size."""
        return (self.render(source, driving, details=False).image,)

    def blend_layers(self, detail: Detail, *layers: Tensor) -> Float[Tensor, "B 3 H1 W1"]:
        """Blend what `draw_layers` drew; models without `config.uses_detail` draw the result.

        Args:
            detail: of one source, or of one for each frame.
            layers: B of each, as `draw_layers` returns them.
        """
        del detail
        return layers[0]

    def generate(
        self,
        source_01: Float[Tensor, "S 3 H W"],
        source_keypoints: Keypoints,
        driving_keypoints: Keypoints,
        source_features: Float[Tensor, "S C *space"] | None = None,
    ) -> Generated:
        """Draw the source as the driving keypoints have it, and return all that led to it.

        Args:
            source_01: one source for all driving frames, or one for each.
            source_keypoints: of the source images.
            driving_keypoints: B of them, one frame each.
            source_features: `encode(source_01)`, when it is at hand.

        Raises:
            ValueError: if sizes do not fit each other or the networks.
        """
        features = self.encode(source_01) if source_features is None else source_features
        source = EncodedSource(source_01, source_keypoints, features)
        return self.render(source, driving_keypoints, details=True)

    def render(self, source: EncodedSource, driving: Keypoints, *, details: bool) -> Generated:
        """Draw the source; what `draw` and `generate` share.

        Args:
            source: one for all driving frames, or one for each.
            driving: B of them, one frame each.
            details: whether to compute what only training looks at: the warped source and the
                auxiliary image of the renderer.
        """
        raise NotImplementedError

    def forward(
        self, source_01: Float[Tensor, "B 3 H W"], driving_01: Float[Tensor, "B 3 H W"]
    ) -> Generated:
        """Draw each source in the pose and expression of its driving image."""
        source = self.keypoints(source_01)
        return self.generate(source_01, source, self.driving_keypoints(driving_01, source))

    def one_each(self, source: EncodedSource, driving: Keypoints) -> EncodedSource:
        """Return a source for each driving frame, where there was one for all; see `for_each`."""
        image_01, features = self.for_each(source, driving.batch_size)
        return EncodedSource(image_01, source.keypoints.expand(driving.batch_size), features)


class ReferenceModel(KeypointModel):
    """Base of the published models: the detector, encoder and dense motion that FOMM introduced."""

    def __init__(self, config: ReferenceConfig, detector_channels: int = 3) -> None:
        super().__init__(config)
        self.detector = KeypointDetector(
            config.num_keypoints,
            config.detector.hourglass.width,
            config.detector.hourglass.max_width,
            config.detector.hourglass.num_levels,
            config.detector.downscale,
            config.detector.temperature,
            detector_channels,
        )
        self.encoder = Encoder(
            config.encoder.width, config.encoder.max_width, config.encoder.num_downs
        )
        self.motion = DenseMotion(
            config.num_keypoints,
            config.motion.hourglass.width,
            config.motion.hourglass.max_width,
            config.motion.hourglass.num_levels,
            config.motion.downscale,
            config.motion.gaussian_variance,
        )
