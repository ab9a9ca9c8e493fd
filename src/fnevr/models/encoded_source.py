"""A source read once, so that it can be drawn many times. Importing this does not import torch.

Shapes: S sources (one, or one for each of B driving frames), H and W pixels; of a detail, H1 and W1
of what is drawn and H2 and W2 of the foreground; h and w cells of a motion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float

from fnevr.geometry.arrays import namespace
from fnevr.geometry.driving import Driving
from fnevr.geometry.keypoints import Keypoints

CELL = 4  # pixels of a network's picture in a cell of the motion
WHOLE = 0.99  # alpha from which a foreground has no background: 1 but for rounding
# Places of layers among those that `draw_layers` of a model with detail returns.
DECODED, PERSON_FLOW, PERSON, INNER_FACE = 0, 3, 4, 6


@dataclass(frozen=True)
class HeadFlow:
    """How hair, ears and skull move, which keypoints do not know well.

    Attributes:
        flow: displacement of each cell, in [-1, 1] units: it looks in the source at z + flow.
        share: how far a cell moves so, in [0, 1]; elsewhere it moves as the keypoints say.
        shown: 1 where a cell that moves so may show the person, 0 where it looks beyond.
    """

    flow: Float[Any, "B 2 h w"]
    share: Float[Any, "B 1 h w"]
    shown: Float[Any, "B 1 h w"]


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
        head: how the head moves in each of B frames; None leaves that to the keypoints.
        is_gray: whether the portrait has no colours, so that what is drawn has none either.
    """

    foreground: Float[Any, "S 4 H2 W2"]
    plate_01: Float[Any, "S 3 H1 W1"]
    head: HeadFlow | None = None
    is_gray: bool = False

    @classmethod
    def opaque(cls, image_01: Float[Any, "S 3 H1 W1"]) -> Detail:
        """Take an image as one layer, all of which moves."""
        xp = namespace(image_01)
        return cls(xp.concat([image_01, xp.ones_like(image_01[:, :1])], axis=1), image_01)

    @property
    def is_opaque(self) -> bool:
        """Whether there is but one layer."""
        return bool(self.foreground[:, 3].min() >= WHOLE)

    def carried(self, layers: Sequence[Any]) -> list[Any]:
        """Return layers that a model drew: the person moves as the head does, in its colours."""
        layers = list(layers)
        if self.is_gray:
            for index in {DECODED, INNER_FACE} & set(range(len(layers))):
                layers[index] = _gray(layers[index])
        if self.head is not None:
            share = self.head.share
            for index, known in ((PERSON_FLOW, self.head.flow), (PERSON, self.head.shown)):
                layers[index] = (1 - share) * layers[index] + share * known
        return layers


def _gray(layer: Float[Any, "B C H W"]) -> Float[Any, "B C H W"]:
    """Return a layer whose first three channels are their mean."""
    xp, colours = namespace(layer), layer[:, :3]
    mean = xp.mean(colours, axis=1, keepdims=True)
    return xp.concat([mean + 0 * colours, layer[:, 3:]], axis=1)


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
