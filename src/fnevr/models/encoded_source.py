"""A source read once, so that it can be drawn many times. Importing this does not import torch.

Shapes: S sources (one, or one for each driving frame), H and W pixels, H1 and W1 of the detail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float

from fnevr.geometry.keypoints import Keypoints


@dataclass(frozen=True)
class EncodedSource:
    """What a model makes of a source image, whatever the driver does.

    The arrays are those of whoever read the source: tensors of a model, arrays of an engine.

    Attributes:
        image_01: RGB in [0, 1].
        keypoints: of the image.
        features: the encoded image, as the model's `encode` returns it.
        detail_01: the image at a higher resolution, which models that blend the warped source into
            the result take its texture from; None where there is none.
    """

    image_01: Float[Any, "S 3 H W"]
    keypoints: Keypoints
    features: Float[Any, "S C *space"]
    detail_01: Float[Any, "S 3 H1 W1"] | None = None

    @property
    def finest_01(self) -> Float[Any, "S 3 H1 W1"]:
        """The image at the highest resolution that is there."""
        return self.image_01 if self.detail_01 is None else self.detail_01
