"""What of a still picture is background, hair, skin, clothes: MediaPipe's selfie segmenter.

The multiclass network looks at 256x256 pixels. Its softmax ends at 0.917 where it is sure, as after
training with labels smoothed by 0.1 (Szegedy et al., arXiv:1512.00567, section 7); that is taken
back. The outline of the person then follows the picture's edges (``fnevr.media.guided_filter``).

Shapes: H and W of the picture; 6 parts in the order of :data:`PARTS`; S the network's side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from fnevr.faces.crop import CropBox
from fnevr.faces.session import FaceModel
from fnevr.media.guided_filter import box_mean, enlarged, guided_filter

Part = Literal["background", "hair", "body", "face", "clothes", "other"]
PARTS: tuple[Part, ...] = get_args(Part)

INPUT_SIDE = 256
SMOOTHING = 0.1  # of the labels in training
RADIUS, EPSILON = 4, 1e-4  # of the guided filter: 1/64 of the picture, and what is an edge
LEAST = 0.08  # of a pixel: less of the person, or of the background, is taken for none
NEIGHBOURS = 1e-3  # weight of what is near, where the network itself sees nothing of the person
FEATHER = 1 / 16  # of a box's side: where what was seen in it fades in


@dataclass(frozen=True)
class PartMap:
    """How much of each pixel belongs to which part; the six shares sum to 1."""

    shares: Float[np.ndarray, "6 H W"]

    @property
    def person(self) -> Float[np.ndarray, "H W"]:
        """How much of each pixel is not background, in [0, 1]; clothes and glasses count."""
        return 1 - self.shares[0]

    def share(self, part: Part) -> Float[np.ndarray, "H W"]:
        """Give the share of one part, in [0, 1]."""
        return self.shares[PARTS.index(part)]


class PersonParts:
    """Find the parts of a person in a picture.

    Args:
        num_threads: threads that one call may use.
    """

    def __init__(self, num_threads: int = 2) -> None:
        self.model = FaceModel("selfie_multiclass", num_threads)

    def parts(self, rgb: UInt8[np.ndarray, "H W 3"], box: CropBox | None = None) -> PartMap:
        """Say of every pixel what it shows.

        Args:
            rgb: the picture, of any size and shape.
            box: a square to look at once more by itself, which shows finer hair where a person is
                small in a large picture; it may hang over the border. Half as large again as the
                animated crop is good: a tighter one shows too little of the shoulders to be
                recognized. None looks at the whole picture only.
        """
        shares = follow_edges(rgb, self._seen(rgb))
        if box is None:
            return PartMap(shares)
        rows, row_weights = _faded(box.top, box.size, rgb.shape[0])
        columns, column_weights = _faded(box.left, box.size, rgb.shape[1])
        if row_weights.size and column_weights.size:
            inside = rgb[rows, columns]
            closer = follow_edges(inside, self._seen(inside))
            weights = row_weights[:, None] * column_weights
            shares[:, rows, columns] += weights * (closer - shares[:, rows, columns])
        return PartMap(shares)

    def _seen(self, rgb: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, "6 S S"]:
        """Give what the network sees, at its own size."""
        size = (INPUT_SIDE, INPUT_SIDE)
        image = np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BILINEAR))
        (logits,) = self.model(image / np.float32(127.5) - np.float32(1))
        return sharpened(logits[0])


def sharpened(logits: Float[np.ndarray, "6 S S"]) -> Float[np.ndarray, "6 S S"]:
    """Turn logits into probabilities, as if the labels in training had not been smoothed."""
    exponents = np.exp(logits - logits.max(axis=0))
    smoothed = exponents / exponents.sum(axis=0)
    shares = (smoothed - SMOOTHING / len(PARTS)).clip(0)
    return shares / shares.sum(axis=0)


def follow_edges(
    rgb: UInt8[np.ndarray, "H W 3"], shares: Float[np.ndarray, "6 S S"]
) -> Float[np.ndarray, "6 H W"]:
    """Bring shares to the picture's size, the outline of the person along the picture's edges.

    Args:
        rgb: the picture.
        shares: in [0, 1], of the same view.
    """
    outline = guided_filter(rgb, 1 - shares[0], RADIUS, EPSILON)
    person = ((outline - LEAST) / (1 - 2 * LEAST)).clip(0, 1)
    # Which part it is: what the network saw there, and on strands that it did not see, what is
    # near. Where no part is near, the picture only looks like the person.
    parts = shares[1:] + NEIGHBOURS * box_mean(shares[1:], 2 * RADIUS)
    result = np.stack([person, *(enlarged(part, rgb.shape[:2]) for part in parts)])
    total = result[1:].sum(axis=0)
    result[1:] *= person / np.maximum(total, np.float32(NEIGHBOURS**2))
    result[0] = 1 - result[1:].sum(axis=0).clip(0, 1)
    return result


def _faded(start: float, length: float, limit: int) -> tuple[slice, Float[np.ndarray, " N"]]:
    """Give the pixels of one axis that a box covers, and weights that fade at the box's ends.

    At the picture's border there is nothing to fade into.
    """
    first, stop = max(round(start), 0), min(round(start + length), limit)
    centres = np.arange(first, stop, dtype=np.float32) + np.float32(0.5)
    before = np.full_like(centres, np.inf) if first == 0 else centres - first
    after = np.full_like(centres, np.inf) if stop == limit else stop - centres
    weights = (np.minimum(before, after) / (FEATHER * length)).clip(0, 1)
    return slice(first, max(first, stop)), weights.astype(np.float32)
