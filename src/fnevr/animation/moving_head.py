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
        free: how far each cell may move.
        canvas: side of what is drawn, of that of the networks' picture.
    """

    free: Float[np.ndarray, "h w"]
    canvas: float

    @classmethod
    def of_source(cls, source: Source, config: PortraitConfig) -> MovingHead | None:
        """Take a source; None where it is one layer, all of which the keypoints move.

        Args:
            source: the picture.
            config: of the model.
        """
        if source.detail is None or not source.has_layers:
            return None
        canvas = source.detail.canvas
        cells = round(canvas * config.image_size / CELL)
        if source.is_put_back:
            return cls(kept_at_border(source.detail, cells), canvas)
        return cls(np.ones((cells, cells), np.float32), canvas)

    def moved(self, start: Similarity, end: Similarity, detail: Detail) -> Detail:
        """Return the source with its head on the way.

        Args:
            start: where the head is in the source.
            end: where it goes.
            detail: the source, in arrays.
        """
        went = head_flow(start, end, len(self.free), self.canvas)
        return replace(detail, head=replace(went, flow=self.free * went.flow))
