"""A source read once, so that it can be drawn many times. Importing this does not import torch.

Shapes: S sources (one, or one for each driving frame), H and W pixels; of a detail, H1 and W1 of
what is drawn and H2 and W2 of the foreground.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float

from fnevr.geometry.arrays import namespace
from fnevr.geometry.driving import Driving
from fnevr.geometry.keypoints import Keypoints


@dataclass(frozen=True)
class Detail:
    """A source in two layers, at the resolution of the portrait rather than of the networks.

    The portrait is ``foreground[:3] + (1 - foreground[3]) plate``: the person's colours are
    multiplied by alpha. Without layers alpha is 1 everywhere.

    Attributes:
        foreground: what moves: red, green, blue times alpha, and alpha. It has the same middle and
            scale as what is drawn, and may be larger by the same factor in both directions, so
            that there is something to show when its edges move in.
        plate_01: what stands still behind it, RGB in [0, 1].
    """

    foreground: Float[Any, "S 4 H2 W2"]
    plate_01: Float[Any, "S 3 H1 W1"]

    @classmethod
    def opaque(cls, image_01: Float[Any, "S 3 H1 W1"]) -> Detail:
        """Take an image as one layer, all of which moves."""
        xp = namespace(image_01)
        return cls(xp.concat([image_01, xp.ones_like(image_01[:, :1])], axis=1), image_01)


@dataclass(frozen=True)
class SourceFace:
    """What is known of a source's face, for models that do not see it themselves.

    Attributes:
        own: what the face does, in the terms in which the model is driven.
        person_01: 1 where the image shows the person, 0 where it shows the background.
    """

    own: Driving
    person_01: Float[Any, "S 1 H W"]


@dataclass(frozen=True)
class EncodedSource:
    """What a model makes of a source image, whatever the driver does.

    The arrays are those of whoever read the source: tensors of a model, arrays of an engine.

    Attributes:
        image_01: RGB in [0, 1].
        own: what the source itself does, in the terms in which the model is driven.
        features: the encoded image, as the model's `encode` returns it.
        detail: what models that blend the warped source into the result take its texture from;
            None takes the image.
    """

    image_01: Float[Any, "S 3 H W"]
    own: Driving
    features: Float[Any, "S C *space"]
    detail: Detail | None = None

    @property
    def keypoints(self) -> Keypoints:
        """The source's keypoints, of models that are driven by them."""
        assert isinstance(self.own, Keypoints)
        return self.own
