"""Put an animated crop back into the full picture, without a visible seam.

Shapes: H and W of the picture, S the side of the crop.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from fnevr.faces.crop import CropBox
from fnevr.geometry.arrays import smooth_step
from fnevr.media.strips import strips

FILTER = Image.Resampling.BICUBIC
KEPT_BLENDS = 2**21  # pixels: what fades in larger boxes is computed anew, strip by strip
FEATHER = 0.12  # of the box's side: where the crop fades in from nothing to all

Block = tuple[slice, slice]
"""Rows and columns."""


class PasteBack:
    """Blend crops of one size into one box of one picture; what can be is computed once.

    Args:
        picture: left as it is.
        box: where the crops come from, to a fraction of a pixel; may hang over the border.
        size: side of the crops, in pixels.
        mask: how much of the crop to take, in [0, 1], at the crop's resolution; None takes all
            but a feathered border. A given mask is multiplied by that border.
        feather: width of the border, as a fraction of the box's side; 0 for a hard edge.
        unfaded: how much of the crop to take in the border at least, in [0, 1], at the crop's
            resolution: where the picture must not show through. None for nothing.

    Raises:
        ValueError: if the mask or `unfaded` has another size than the crops.
    """

    def __init__(
        self,
        picture: UInt8[np.ndarray, "H W 3"],
        box: CropBox,
        size: int,
        mask: Float[np.ndarray, "S S"] | None = None,
        feather: float = FEATHER,
        unfaded: Float[np.ndarray, "S S"] | None = None,
    ) -> None:
        self.picture, self.size = picture, size
        # Up to a pixel of the picture at the box's ends shows what lies beyond the crop.
        self.pad = 2 + math.ceil(size / box.size)
        height, width = picture.shape[:2]
        rows, columns = _covered(box.top, box.size, height), _covered(box.left, box.size, width)
        self.rows, self.columns = rows, columns
        self.target = (columns.stop - columns.start, rows.stop - rows.start)
        starts = np.array([columns.start - box.left, rows.start - box.top])
        # A box of whole pixels, at the picture's own resolution, is put back as it is.
        self.part: tuple[slice, slice] | None = None
        if box.size == size and (starts == np.rint(starts)).all():
            x, y = (int(start) for start in starts)
            self.part = (slice(y, y + self.target[1]), slice(x, x + self.target[0]))
        window = np.stack([starts, starts + self.target]) * size / box.size + self.pad
        left, top, right, bottom = (float(value) for value in window.reshape(-1))
        self.window = (left, top, right, bottom)

        fade_y = _fade(rows, box.top, box.size, feather, height)
        fade_x = _fade(columns, box.left, box.size, feather, width)
        weight = fade_y[:, None] * fade_x[None]
        if mask is not None:
            weight *= self._share(mask)
        blocks, self.whole = _fading_blocks(weight)
        if unfaded is not None:
            weight = np.maximum(weight, self._share(unfaded))
        self.weight = np.ascontiguousarray(weight, dtype=np.float16)  # large in large pictures
        num_fading = sum(weight[block].size for block in blocks)
        self.blends = [self._blend(block) for block in blocks] if num_fading <= KEPT_BLENDS else []
        self.strips = [] if self.blends else [s for block in blocks for s in _in_strips(block)]

    def __call__(self, face: UInt8[np.ndarray, "S S 3"]) -> UInt8[np.ndarray, "H W 3"]:
        """Give a copy of the picture with this crop in its box; see `add`."""
        result = self.picture.copy()
        self.add(face, result)
        return result

    def add(self, face: UInt8[np.ndarray, "S S 3"], result: UInt8[np.ndarray, "H W 3"]) -> None:
        """Put the change from the picture to this crop into a copy that may have others in it.

        In whatever order crops come, their shares say how much of each is seen.

        Args:
            face: the crop.
            result: is changed.

        Raises:
            ValueError: if the crop is not of the size given before.
        """
        if face.shape != (self.size, self.size, 3):
            raise ValueError(f"the crop must be ({self.size}, {self.size}, 3), got {face.shape}")
        if min(self.target) > 0:
            inside = result[self.rows, self.columns]
            foreground = self._resample(face) if self.part is None else face[self.part]
            for block, share, taken in self.blends or map(self._blend, self.strips):
                changed = foreground[block] * share + taken + inside[block]
                inside[block] = changed.clip(0, 255)
            inside[self.whole] = foreground[self.whole]

    def _blend(self, block: Block) -> tuple[Block, np.ndarray, np.ndarray]:
        """Return how much of the crop a block takes, and what of the picture is taken for that."""
        share = np.repeat(self.weight[block].astype(np.float32)[..., None], 3, axis=2)
        # The half rounds to the nearest level.
        taken = np.float32(0.5) - share * self.picture[self.rows, self.columns][block]
        return block, share, taken

    def _share(self, mask: Float[np.ndarray, "S S"]) -> Float[np.ndarray, "H W"]:
        if mask.shape != (self.size, self.size):
            raise ValueError(
                f"the mask must be {self.size}x{self.size} like the crop, got {mask.shape}"
            )
        return self._resample(mask.astype(np.float32)).clip(0.0, 1.0)

    def _resample(self, crop: np.ndarray) -> np.ndarray:
        """Bring a crop, or its mask, to the picture's pixels under the box."""
        if min(self.target) <= 0:
            return np.zeros((self.target[1], self.target[0], *crop.shape[2:]), crop.dtype)
        padding = [(self.pad, self.pad)] * 2 + [(0, 0)] * (crop.ndim - 2)
        image = Image.fromarray(np.pad(crop, padding, mode="edge"))
        return np.asarray(image.resize(self.target, FILTER, box=self.window))


def paste_back(
    picture: UInt8[np.ndarray, "H W 3"],
    face: UInt8[np.ndarray, "S S 3"],
    box: CropBox,
    mask: Float[np.ndarray, "S S"] | None = None,
    feather: float = FEATHER,
) -> UInt8[np.ndarray, "H W 3"]:
    """Blend one crop into a picture; for many crops make a :class:`PasteBack` once."""
    return PasteBack(picture, box, face.shape[0], mask, feather)(face)


def _covered(start: float, length: float, limit: int) -> slice:
    """Give the whole pixels of one axis that a box covers, inside the picture."""
    first = min(max(math.floor(start), 0), limit)
    return slice(first, max(first, min(math.ceil(start + length), limit)))


def _in_strips(block: Block) -> Iterator[Block]:
    """Divide a block into blocks of few rows."""
    rows, columns = block
    for first, last in strips(rows.stop - rows.start, columns.stop - columns.start):
        yield slice(rows.start + first, rows.start + last), columns


def _fading_blocks(weight: Float[np.ndarray, "H W"]) -> tuple[list[Block], Block]:
    """Give four blocks around the rectangle in the middle where all of the crop is taken.

    Returns:
        The blocks, which alone need blending, and the rectangle. Without such a rectangle there is
        one block, which is everything, and the rectangle is empty.
    """
    height, width = weight.shape
    whole = [(slice(0, height), slice(0, width))], (slice(0, 0), slice(0, 0))
    middle_row = weight[height // 2] == 1 if height else np.zeros(0, bool)
    middle_column = weight[:, width // 2] == 1 if width else np.zeros(0, bool)
    if not (middle_row.any() and middle_column.any()):
        return whole
    left, right = int(middle_row.argmax()), width - int(middle_row[::-1].argmax())
    top, bottom = int(middle_column.argmax()), height - int(middle_column[::-1].argmax())
    if not (weight[top:bottom, left:right] == 1).all():
        return whole
    around = [
        (slice(0, top), slice(0, width)),
        (slice(bottom, height), slice(0, width)),
        (slice(top, bottom), slice(0, left)),
        (slice(top, bottom), slice(right, width)),
    ]
    return around, (slice(top, bottom), slice(left, right))


def _fade(
    pixels: slice, start: float, length: float, feather: float, limit: int
) -> Float[np.ndarray, " N"]:
    """Weights of one axis: 0 at the box's ends, 1 inside, a smooth step between.

    Where the box hangs over the picture's border nothing has to be hidden, so nothing fades.
    """
    centres = np.arange(pixels.start, pixels.stop) + 0.5
    before = np.full_like(centres, np.inf) if start < 0 else centres - start
    after = np.full_like(centres, np.inf) if start + length > limit else start + length - centres
    distance = np.minimum(before, after)
    if feather <= 0:
        return (distance >= 0).astype(np.float32)
    return smooth_step(distance / (feather * length)).astype(np.float32)
