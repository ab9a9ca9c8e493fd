"""The head of a source in layers: hair, ears and skull go where the head goes.

Keypoints know the face. What lies beside it moves by the surface of `face3d.head_surface`. Where
what is drawn is put back into its picture, a person who crosses the border of the square is held
there, since the picture goes on.

Shapes: h and w cells of the motion.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from fnevr.animation.detail import kept_at_border
from fnevr.animation.source import Source
from fnevr.config.stages import PortraitConfig
from fnevr.face3d.face_fit import Similarity
from fnevr.face3d.head_surface import head_flow
from fnevr.models.encoded_source import CELL, Detail


@dataclass(frozen=True)
class MovingHead:
    """A head that moves as a whole.

    Attributes:
        layers: the source, in arrays.
        free: how far each cell may move.
    """

    layers: Detail
    free: Float[np.ndarray, "h w"]

    @classmethod
    def of_source(cls, source: Source, config: PortraitConfig) -> MovingHead | None:
        """Take a source; None where it is one layer, all of which the keypoints move.

        Args:
            source: the picture.
            config: of the model.
        """
        if source.detail is None or not source.has_layers:
            return None
        cells = round(source.detail.canvas * config.image_size / CELL)
        if source.is_put_back:
            return cls(source.detail, kept_at_border(source.detail, cells))
        return cls(source.detail, np.ones((cells, cells), np.float32))

    def moved(self, start: Similarity, end: Similarity, detail: Detail | None) -> Detail:
        """Return the source with its head on the way.

        Args:
            start: where the head is in the source.
            end: where it goes.
            detail: takes the place of the source's own layers.
        """
        went = head_flow(start, end, len(self.free), self.layers.canvas)
        return replace(detail or self.layers, head=replace(went, flow=self.free * went.flow))
