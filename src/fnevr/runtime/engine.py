"""What an animation asks of a network, whatever runs it.

A `PortraitModel` is an engine: PyTorch, layer by layer, every stage as it was trained. The others
compute the same from the same weights. Importing this module does not import torch.

Shapes: B driving frames, K keypoints, H and W pixels. Images are RGB in [0, 1]; tensors that go in
and out are float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, get_args, runtime_checkable

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from fnevr.config.stages import PortraitConfig
    from fnevr.geometry.keypoints import Keypoints

EngineName = Literal["torch", "compile", "onnx", "openvino", "tensorrt"]
EngineChoice = Literal["auto", EngineName]
Precision = Literal["float32", "bfloat16", "float16", "int8"]
GraphPrecision = Literal["float32", "int8"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)
TORCH_ENGINES: tuple[EngineName, ...] = ("torch", "compile")
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


@runtime_checkable
class Engine(Protocol):
    """Runs a model for use: no gradients, one source at a time."""

    config: PortraitConfig
    uses_source_keypoints: ClassVar[bool]

    def keypoints(self, image_01: Float[Tensor, "B 3 H W"]) -> Keypoints:
        """Detect the keypoints of each image."""
        ...

    def driving_keypoints(
        self, driving_01: Float[Tensor, "B 3 H W"], source: Keypoints
    ) -> Keypoints:
        """Detect where each driving image puts the keypoints of a source."""
        ...

    def read_source(self, source_01: Float[Tensor, "1 3 H W"]) -> tuple[Keypoints, Tensor]:
        """Return the keypoints of a source, and what `draw` needs of it."""
        ...

    def draw(
        self,
        source_01: Float[Tensor, "1 3 H W"],
        source_keypoints: Keypoints,
        driving_keypoints: Keypoints,
        source_features: Tensor,
    ) -> Float[Tensor, "B 3 H W"]:
        """Draw the source as the driving keypoints have it."""
        ...
