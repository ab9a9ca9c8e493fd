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
DARK = 0.15  # brightness up to which a mouth is dark, whatever its colour
TEETH, LIPS = 0.38, 0.53  # mean saturations of a mouth: of one with teeth, of one that is all lip
WHOLE = 0.99  # alpha from which a foreground has no background: 1 but for rounding
# The view of the inner face (`models.lite.inner_face`): height and width in pixels, pixels in a
# face height, and its middle in face heights from the middle of the face mesh.
VIEW_SIZE, VIEW_SCALE, VIEW_CENTRE = (160, 144), 196, (0.0, 0.073)
# Places of layers among those that `draw_layers` of a model with detail returns.
DECODED, MASK, FLOW, PERSON_FLOW, PERSON, PARTS, INNER_FACE, TO_VIEW = range(8)


@dataclass(frozen=True)
class HeadFlow:
    """How hair, ears and skull move, which keypoints do not know well.

    Attributes:
        flow: displacement of each cell, in [-1, 1] of what is drawn: it looks at z + flow.
        share: how far a cell moves so, in [0, 1]; elsewhere it moves as the keypoints say.
        shown: 1 where a cell that moves so may show the person, 0 where it looks beyond.
    """

    flow: Float[Any, "B 2 h w"]
    share: Float[Any, "B 1 h w"]
    shown: Float[Any, "B 1 h w"]


@dataclass(frozen=True)
class MouthView:
    """The inside of a mouth, which the networks do not know, in the view of the inner face.

    Attributes:
        picture_01: RGB in [0, 1].
        share: where it shows, in [0, 1].
        least: how much of it shows whatever the networks draw, in [0, 1].
    """

    picture_01: Float[Any, "B 3 h w"]
    share: Float[Any, "B 1 h w"]
    least: float = 0.0


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
        mouth: what shows between parted lips in each of B frames; None leaves that to the networks.
        is_gray: whether the portrait has no colours, so that what is drawn has none either.
        canvas: side of what is drawn, of that of the networks' picture, which is its middle: the
            person may move beyond that picture.
    """

    foreground: Float[Any, "S 4 H2 W2"]
    plate_01: Float[Any, "S 3 H1 W1"]
    head: HeadFlow | None = None
    mouth: MouthView | None = None
    is_gray: bool = False
    canvas: float = 1.0

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
        """Return layers that a model drew, with what is known of head, mouth and colours."""
        layers = list(layers)
        if self.mouth is not None and len(layers) > INNER_FACE:
            layers[INNER_FACE] = _with_mouth(layers[INNER_FACE], self.mouth)
        if self.is_gray:
            for index in {DECODED, INNER_FACE} & set(range(len(layers))):
                layers[index] = _gray(layers[index])
        if self.canvas != 1:
            layers = _on_canvas(layers, self.canvas)
        if self.head is not None:
            share = self.head.share
            for index, known in ((PERSON_FLOW, self.head.flow), (PERSON, self.head.shown)):
                layers[index] = (1 - share) * layers[index] + share * known
        return layers


def _with_mouth(view: Float[Any, "B 4 h w"], mouth: MouthView) -> Float[Any, "B 4 h w"]:
    """Return the view of the inner face, in which the last channel is the source's share.

    What the networks drew stays as far as it is as colourless as teeth, or as dark as a mouth, on
    average over the frame's mouth; where they drew lips or skin, the known mouth takes over.
    """
    xp = namespace(view)
    colours = xp.clip(view[:, :3], 0, 1)
    brightest = xp.max(colours, axis=1, keepdims=True)
    range_of_colours = brightest - xp.min(colours, axis=1, keepdims=True)
    saturation = range_of_colours / xp.clip(brightest, DARK, None)
    lip = saturation * xp.clip((brightest - DARK) / DARK, 0, 1)
    total = xp.sum(mouth.share, axis=(1, 2, 3), keepdims=True)
    mean = xp.sum(lip * mouth.share, axis=(1, 2, 3), keepdims=True) / xp.clip(total, 1.0, None)
    taken = xp.clip((mean - TEETH) / (LIPS - TEETH), mouth.least, 1)
    share = taken * mouth.share
    inside = xp.concat([mouth.picture_01, xp.zeros_like(mouth.share)], axis=1)
    return view + share * (inside - view)


def _gray(layer: Float[Any, "B C H W"]) -> Float[Any, "B C H W"]:
    """Return a layer whose first three channels are their mean."""
    xp, colours = namespace(layer), layer[:, :3]
    mean = xp.mean(colours, axis=1, keepdims=True)
    return xp.concat([mean + 0 * colours, layer[:, 3:]], axis=1)


def _on_canvas(layers: list[Any], canvas: float) -> list[Any]:
    """Return layers of the networks' picture as those of what is drawn, which goes on around it.

    There they repeat their borders, but eyes and mouth are not drawn anew.
    """
    around = [_repeated(layer, canvas) for layer in layers[:INNER_FACE]] + layers[INNER_FACE:]
    for index in (FLOW, PERSON_FLOW):
        around[index] = around[index] / canvas
    around[PARTS] = around[PARTS] * _inside(around[PARTS], canvas)
    if len(around) > TO_VIEW:
        linear, shift = around[TO_VIEW][..., :2], around[TO_VIEW][..., 2:]
        around[TO_VIEW] = namespace(linear).concat([canvas * linear, shift], axis=-1)
    return around


def _repeated(layer: Float[Any, "B C h w"], canvas: float) -> Float[Any, "B C h2 w2"]:
    """Return a layer that is larger by a factor, in whole cells: its border is repeated."""
    xp = namespace(layer)
    for axis in (2, 3):
        length = layer.shape[axis]
        margin = round((canvas - 1) * length / 2)
        index = [slice(None)] * axis
        wide = list(layer.shape)
        wide[axis] = margin
        first, last = (
            xp.broadcast_to(layer[(*index, end)], tuple(wide))
            for end in (slice(0, 1), slice(length - 1, length))
        )
        layer = xp.concat([first, layer, last], axis=axis)
    return layer


def _inside(layer: Float[Any, "B C h w"], canvas: float) -> Float[Any, "h w"]:
    """Return 1 in the middle of what is drawn, where the networks' picture is, and 0 around."""
    xp = namespace(layer)
    sides = []
    for axis in (2, 3):
        length = layer.shape[axis]
        margin = length * (1 - 1 / canvas) / 2
        places = xp.arange(length, device=layer.device) + 0.5
        sides.append(xp.astype((places > margin) & (places < length - margin), layer.dtype))
    return sides[0][:, None] * sides[1]


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
