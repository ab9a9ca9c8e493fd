"""Exported graphs as an engine.

Shapes: B driving frames, K keypoints, H and W pixels, H1 and W1 of what is drawn.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from fnevr.config.engines import EngineName, Precision
from fnevr.config.stages import KeypointConfig
from fnevr.errors import CheckpointError
from fnevr.geometry.driving import Driving
from fnevr.geometry.keypoints import Keypoints
from fnevr.models.encoded_source import Detail, EncodedSource, SourceFace
from fnevr.models.retarget_map import RetargetMap
from fnevr.runtime.engine import Turn
from fnevr.runtime.finite import finite_images, finite_keypoints
from fnevr.runtime.graphs import GraphName
from fnevr.runtime.sessions import Run, num_at_once


class GraphEngine:
    """Runs the graphs of one model.

    Args:
        config: of the model.
        runs: for each graph, the function that runs it.
        name: what runs them.
        precision: of their convolutions.
        device: where they run.
        retarget_map: how its keypoints go with a head; None where that is not known.
    """

    turn: Turn | None

    def __init__(
        self,
        config: KeypointConfig,
        runs: Mapping[GraphName, Run],
        name: EngineName = "onnx",
        precision: Precision = "float32",
        device: str = "cpu",
        retarget_map: RetargetMap | None = None,
    ) -> None:
        self.config, self.runs, self.retarget_map = config, runs, retarget_map
        self.name: EngineName = name
        self.precision: Precision = precision
        self.device = device
        self.at_once = 1
        self.turn = self._turn if "turn" in runs else None

    def side_by_side(self) -> GraphEngine:
        """Return the engine for many pictures; see `Engine`."""
        twin = copy.copy(self)
        twin.at_once = num_at_once(self.name, self.device)
        return twin

    def keypoints(self, image_01: Float[np.ndarray, "B 3 H W"]) -> Keypoints:
        """Detect the keypoints of each image.

        Raises:
            ValueError: if the images do not have the model's size.
            CheckpointError: if the graph is not of such a model.
            FnevrError: if they are not finite.
        """
        positions, jacobians = self._run("keypoints", self._checked(image_01))
        shape = (len(image_01), self.config.num_keypoints, 2)
        if positions.shape != shape or jacobians.shape != (*shape, 2):
            raise CheckpointError(
                f"the model's graph 'keypoints' gives {positions.shape} and {jacobians.shape}, "
                f"wanted {shape} and {(*shape, 2)}: export the model again"
            )
        return finite_keypoints(Keypoints(positions, jacobians), self.name, self.precision)

    def driving_keypoints(
        self, driving_01: Float[np.ndarray, "B 3 H W"], source: EncodedSource
    ) -> Keypoints:
        """Detect the keypoints of each driving image; see `keypoints`."""
        del source
        return self.keypoints(driving_01)

    def read_source(
        self,
        source_01: Float[np.ndarray, "1 3 H W"],
        detail: Detail | None = None,
        face: SourceFace | None = None,
    ) -> EncodedSource:
        """Return the keypoints and the features of a source; see `Engine`.

        Raises:
            ValueError: if it does not have the model's size.
        """
        del face
        (features,) = self._run("encode", self._checked(source_01))
        if "blend" not in self.runs:
            detail = None
        elif detail is None:
            detail = Detail.opaque(source_01)
        return EncodedSource(source_01, self.keypoints(source_01), features, detail)

    def draw(
        self, source: EncodedSource, driving: Driving, detail: Detail | None = None
    ) -> Float[np.ndarray, "B 3 H1 W1"]:
        """Draw the source as the driving keypoints have it; see `Engine`."""
        assert isinstance(driving, Keypoints)
        layers = self._run("draw", *draw_inputs(source, driving), at_once=self.at_once)
        image_01, detail = layers[0], detail or source.detail
        if detail is not None:
            layers = [detail.foreground, detail.plate_01, *detail.carried(layers)]
            (image_01,) = self._run("blend", *layers, at_once=self.at_once)
        return finite_images(image_01, self.name, self.precision)

    def _turn(self, keypoints: Keypoints, angles_deg: Float[np.ndarray, "B 3"]) -> Keypoints:
        turned = self._run("turn", keypoints.positions, keypoints.jacobians, angles_deg)
        return finite_keypoints(Keypoints(*turned), self.name, self.precision)

    def _run(self, name: GraphName, *inputs: np.ndarray, at_once: int = 1) -> list[np.ndarray]:
        arrays = [np.ascontiguousarray(array, np.float32) for array in inputs]
        return self.runs[name](arrays, at_once)

    def _checked(self, image_01: np.ndarray) -> np.ndarray:
        size = self.config.image_size
        if tuple(image_01.shape[1:]) != (3, size, size):
            raise ValueError(
                f"the exported graphs take images of 3 x {size} x {size}, got "
                f"{tuple(image_01.shape[1:])}"
            )
        return image_01


def draw_inputs(source: EncodedSource, driving: Keypoints) -> tuple[Any, ...]:
    """Return the inputs of the graph `draw` in their order, as arrays or tensors as they come."""
    return (
        source.image_01,
        source.features,
        source.keypoints.positions,
        source.keypoints.jacobians,
        driving.positions,
        driving.jacobians,
    )
