"""What an animation asks of a network, whatever runs it: NumPy arrays in, NumPy arrays out.

Encode once, draw many: `read_source` returns an `EncodedSource`, and `draw` takes it. What is in it
belongs to the engine that made it (on a GPU, tensors that stay there), so only that engine can draw
it. `source.own.numpy()` gives what the source itself does, as arrays: its keypoints, in models that
are driven by keypoints. The others are told of faces, and have no use for the first two methods.
Importing this module does not import torch.

Shapes: B driving frames, K keypoints, H and W pixels, H1 and W1 of what is drawn.
Images are RGB in [0, 1], float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from fnevr.config.engines import EngineName, Precision
from fnevr.config.stages import PortraitConfig
from fnevr.geometry.driving import Driving
from fnevr.geometry.keypoints import Keypoints
from fnevr.models.encoded_source import Detail, EncodedSource, SourceFace
from fnevr.models.retarget_map import RetargetMap

Turn = Callable[[Keypoints, Float[np.ndarray, "B 3"]], Keypoints]
"""Turns heads: takes their keypoints and yaw, pitch and roll to add, in degrees."""


@runtime_checkable
class Engine(Protocol):
    """Runs a model for use: no gradients, one source at a time.

    Keypoints and pictures that are not finite are an FnevrError: they would be drawn black.

    Attributes:
        name: which engine it is.
        precision: of the networks' numbers.
        device: what it runs on: "cpu", "cuda" or "mps".
        turn: the pose editor; None for models without one.
        retarget_map: how its keypoints go with a head; None for models that cannot retarget.
        at_once: how many threads may call `draw` at the same time.
    """

    name: EngineName
    precision: Precision
    device: str

    @property
    def config(self) -> PortraitConfig:
        """The model's configuration."""
        ...

    turn: Turn | None
    retarget_map: RetargetMap | None
    at_once: int

    def side_by_side(self) -> Engine:
        """Return the engine for many pictures, of which several are drawn at once where it can.

        Each then takes longer than alone; all together are quicker.
        """
        ...

    def keypoints(self, image_01: Float[np.ndarray, "B 3 H W"]) -> Keypoints:
        """Detect the keypoints of each image.

        Raises:
            FnevrError: if the model is not driven by keypoints.
        """
        ...

    def driving_keypoints(
        self, driving_01: Float[np.ndarray, "B 3 H W"], source: EncodedSource
    ) -> Keypoints:
        """Detect where each driving image puts the keypoints of a source."""
        ...

    def read_source(
        self,
        source_01: Float[np.ndarray, "1 3 H W"],
        detail: Detail | None = None,
        face: SourceFace | None = None,
    ) -> EncodedSource:
        """Return what `draw` needs of a source.

        Args:
            source_01: the source.
            detail: of the source, in arrays, for models with `config.uses_detail`: what is drawn
                has the size of its plate. None takes the source itself as one opaque layer.
            face: what is known of the source's face, in arrays, for models that do not see it
                themselves (`config.driven_by`).
        """
        ...

    def draw(
        self, source: EncodedSource, driving: Driving, detail: Detail | None = None
    ) -> Float[np.ndarray, "B 3 H1 W1"]:
        """Draw the source as the driver has it, at the size of its detail.

        Args:
            source: what `read_source` returned.
            driving: one frame each.
            detail: takes the place of the source's own, in arrays.
        """
        ...
