"""Exported graphs as an engine.

Shapes: B driving frames, K keypoints, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from fnevr.config.stages import PortraitConfig
from fnevr.geometry.keypoints import Keypoints
from fnevr.runtime.graphs import GraphName
from fnevr.runtime.sessions import Run


class GraphEngine:
    """Runs the graphs of one model; tensors go in and out on the CPU.

    Args:
        config: of the model.
        runs: one for each graph.
    """

    uses_source_keypoints: ClassVar[bool] = False

    def __init__(self, config: PortraitConfig, runs: Mapping[GraphName, Run]) -> None:
        self.config, self.runs = config, runs

    def keypoints(self, image_01: Float[Tensor, "B 3 H W"]) -> Keypoints:
        """Detect the keypoints of each image.

        Raises:
            ValueError: if the images do not have the model's size.
        """
        positions, jacobians = self._run("keypoints", self._checked(image_01))
        return Keypoints(positions, jacobians)

    def driving_keypoints(
        self, driving_01: Float[Tensor, "B 3 H W"], source: Keypoints
    ) -> Keypoints:
        """Detect the keypoints of each driving image; see `keypoints`."""
        del source
        return self.keypoints(driving_01)

    def read_source(self, source_01: Float[Tensor, "1 3 H W"]) -> tuple[Keypoints, Tensor]:
        """Return the keypoints and the features of a source.

        Raises:
            ValueError: if it does not have the model's size.
        """
        (features,) = self._run("encode", self._checked(source_01))
        return self.keypoints(source_01), features

    def draw(
        self,
        source_01: Float[Tensor, "1 3 H W"],
        source_keypoints: Keypoints,
        driving_keypoints: Keypoints,
        source_features: Tensor,
    ) -> Float[Tensor, "B 3 H W"]:
        """Draw the source as the driving keypoints have it."""
        checked_01 = self._checked(source_01)
        inputs = draw_inputs(checked_01, source_features, source_keypoints, driving_keypoints)
        (image,) = self._run("draw", *inputs)
        return image

    def _run(self, name: GraphName, *inputs: Tensor) -> list[Tensor]:
        arrays = [tensor.detach().float().cpu().contiguous().numpy() for tensor in inputs]
        return [torch.from_numpy(array) for array in self.runs[name](arrays)]

    def _checked(self, image_01: Tensor) -> Tensor:
        size = self.config.image_size
        if tuple(image_01.shape[1:]) != (3, size, size):
            raise ValueError(
                f"the exported graphs take images of 3 x {size} x {size}, got "
                f"{tuple(image_01.shape[1:])}"
            )
        return image_01


def draw_inputs(
    source_01: Tensor, source_features: Tensor, source: Keypoints, driving: Keypoints
) -> tuple[Tensor, ...]:
    """Return the inputs of `draw` in their order."""
    return (
        source_01,
        source_features,
        source.positions,
        source.jacobians,
        driving.positions,
        driving.jacobians,
    )
