"""What shows between the lips of a portrait that keeps them shut.

No pixel of it says how the inside of its mouth looks, and what the networks draw there is mostly
lip. So teeth are drawn where the parted lips leave room: the mean of many mouths, in the light of
the portrait, as long as teeth are, and the dark below them. The view is that of the inner face
(`models.lite.inner_face`), which moves with the head.

Shapes: N = 478 landmarks, h and w pixels of the view.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import numpy as np
from jaxtyping import Float
from safetensors.numpy import load

from fnevr.faces.landmarks import Landmarks
from fnevr.geometry.arrays import rising
from fnevr.geometry.inverse import invert
from fnevr.geometry.keypoints import Keypoints
from fnevr.media.image import Picture
from fnevr.models.encoded_source import VIEW_CENTRE, VIEW_SCALE, VIEW_SIZE, MouthView

# In MediaPipe's mesh: the contours of the inner lips from corner to corner, places in plain skin.
UPPER = [78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308]
LOWER = [78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308]
SKIN = [50, 280, 205, 425, 10, 151]
EYES = [33, 263]  # outer corners

SHUT, OPEN = 0.012, 0.032  # gaps of a portrait's lips, between which it shows teeth of its own
WIDE, WIDEST = 0.06, 0.10  # gaps between which the networks' blur is no longer taken
TEETH, FADE = 0.055, 0.014  # their length, and over which it ends
SHADOW, LIT = 0.015, 0.75  # of the upper lip: how deep, and what light is left at the lip
DEEP, DEEPEST = 0.07, 0.12  # gaps between which the tongue comes in; all of these in face heights
CAVITY, TONGUE = np.array([0.22, 0.09, 0.09]), np.array([0.50, 0.26, 0.26])  # over the light
SEEN = 0.8  # of the packaged teeth; further down they are a lip
DULL, COLOUR = 0.9, 0.5  # of the packaged teeth's, those of smiles: brightness and saturation
TINT = 0.15  # exponent: how much of the skin's tint teeth have
BRIGHT_SKIN, BRIGHT_EYE = 0.9, 0.97  # quantiles of brightness, which give the light
EYE_SHARE = 20  # eyes are open by less than this part of the face's width to each side
EDGE = 1.6  # pixels of the view over which lips end
CORNER = 0.06  # of the mouth's width
LEAST_LIGHT, LEAST_SHARE, TINY = 0.1, 0.05, 1e-6


class OpenMouth:
    """Draws the inside of the mouth of one portrait.

    Args:
        view: the portrait, as the model sees it.
        landmarks: of its face, in pixels of the view.
        gap: of its lips, in face heights.
    """

    def __init__(self, view: Picture, landmarks: Landmarks, gap: float) -> None:
        self.share = 1 - float(rising(gap, SHUT, OPEN))
        image_01 = view.astype(np.float32) / 255
        points = landmarks[:, :2].astype(int).clip(0, len(view) - 1)
        skin = image_01[points[SKIN, 1], points[SKIN, 0]]
        corners = points[EYES]
        (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0) + 1
        reach = (right - left) // EYE_SHARE
        eyes = image_01[max(top - reach, 0) : bottom + reach, left:right].mean(axis=-1)
        self.light = max(
            float(np.quantile(skin.mean(axis=-1), BRIGHT_SKIN)),
            float(np.quantile(eyes, BRIGHT_EYE)),
            LEAST_LIGHT,
        )
        tint = np.median(skin, axis=0) + LEAST_LIGHT
        self.tint = (tint / tint.mean()) ** TINT

    def __call__(
        self, lips: Float[np.ndarray, "N 2"], head: Keypoints, wanted: float
    ) -> MouthView | None:
        """Draw it between parted lips.

        Args:
            lips: landmarks of the moved face, in [-1, 1] of the picture.
            head: where it is, batch 1; the last keypoint is the whole head, in face heights.
            wanted: of the gap that the landmarks have; they are asked for more than is drawn.

        Returns:
            None where nothing of it shows.
        """
        height, width = VIEW_SIZE
        origin, inverse = head.positions[0, -1], invert(head.jacobians[:, -1])[0]
        in_head = (lips[UPPER + LOWER] - origin) @ inverse.T - np.array(VIEW_CENTRE)
        contour = in_head * VIEW_SCALE + (np.array([width, height]) - 1) / 2
        corner, axis = contour[0], contour[len(UPPER) - 1] - contour[0]
        length = float(np.linalg.norm(axis))
        if self.share == 0 or length < 1:
            return None
        to_mouth = mouth_axes(axis)
        least = (np.floor(contour.min(axis=0)).astype(int) - 2).clip(0, (width, height))
        most = (np.ceil(contour.max(axis=0)).astype(int) + 3).clip(0, (width, height))
        x, y = (np.arange(*ends) for ends in zip(least, most, strict=True))
        if not (len(x) and len(y)):
            return None
        grid = np.stack(np.meshgrid(x, y), axis=-1) - corner
        along, down = np.moveaxis(grid @ to_mouth, -1, 0)
        upper, lower = (
            np.interp(along, *((line - corner) @ to_mouth).T)
            for line in (contour[: len(UPPER)], contour[len(UPPER) :])
        )
        middle, half = (upper + lower) / 2, wanted * (lower - upper) / 2
        upper, lower = middle - half, middle + half
        soft = ((down - upper) / EDGE + 0.2).clip(0, 1) * ((lower - down) / EDGE + 0.2).clip(0, 1)
        along = along / length
        soft *= rising(np.minimum(along, 1 - along), 0.0, CORNER)
        if soft.max() < LEAST_SHARE:
            return None
        gap = (lower - upper).max() / VIEW_SCALE
        colours = self._drawn(along, (down - upper) / VIEW_SCALE, (lower - upper) / VIEW_SCALE)
        picture_01 = np.zeros((1, 3, height, width), np.float32)
        share = np.zeros((1, 1, height, width), np.float32)
        box = (0, slice(None), slice(y[0], y[-1] + 1), slice(x[0], x[-1] + 1))
        picture_01[box], share[box] = colours.transpose(2, 0, 1), self.share * soft
        return MouthView(picture_01, share, float(rising(gap, WIDE, WIDEST)))

    def _drawn(
        self,
        along: Float[np.ndarray, "h w"],
        depth: Float[np.ndarray, "h w"],
        gap: Float[np.ndarray, "h w"],
    ) -> Float[np.ndarray, "h w 3"]:
        """Return the colours of places in a mouth.

        Args:
            along: from its one corner, 0, to the other, 1.
            depth: below the upper lip, in face heights.
            gap: of the lips there, in face heights.
        """
        teeth = _teeth()
        rows = (depth / TEETH).clip(0, 1) * (SEEN * len(teeth))
        columns = along.clip(0, 1) * (teeth.shape[1] - 1)
        tongue = rising(depth / np.maximum(gap, TINY), 0.5, 1.0) * rising(gap, DEEP, DEEPEST)
        dark = CAVITY + tongue[..., None] * (TONGUE - CAVITY)
        below = rising(depth, TEETH - FADE / 2, TEETH + FADE / 2)[..., None]
        colours = _bilinear(teeth, rows, columns)
        gray = colours.mean(axis=-1, keepdims=True)
        colours = DULL * self.tint * (gray + COLOUR * (colours - gray))
        colours = colours + below * (dark - colours)
        lit = LIT + (1 - LIT) * rising(depth, 0.0, SHADOW)
        return (self.light * colours * lit[..., None]).clip(0, 1)


def mouth_axes(axis: Float[np.ndarray, " 2"]) -> Float[np.ndarray, "2 2"]:
    """Return M: ``offset @ M`` is how far an offset goes along a mouth, and down from it.

    Args:
        axis: from the left corner of the mouth to the right one.
    """
    return np.array([[axis[0], -axis[1]], [axis[1], axis[0]]]) / np.linalg.norm(axis)


def _bilinear(
    table: Float[np.ndarray, "R C 3"],
    rows: Float[np.ndarray, "h w"],
    columns: Float[np.ndarray, "h w"],
) -> Float[np.ndarray, "h w 3"]:
    """Sample a table at places between its entries."""
    row = rows.astype(int).clip(0, table.shape[0] - 2)
    column = columns.astype(int).clip(0, table.shape[1] - 2)
    down, right = (rows - row)[..., None], (columns - column)[..., None]
    top = (1 - right) * table[row, column] + right * table[row, column + 1]
    bottom = (1 - right) * table[row + 1, column] + right * table[row + 1, column + 1]
    return (1 - down) * top + down * bottom


@cache
def _teeth() -> Float[np.ndarray, "R C 3"]:
    """Return the packaged teeth: from lip to lip and from corner to corner, over the light."""
    asset = files("fnevr") / "assets" / "teeth.safetensors"
    return load(asset.read_bytes())["teeth"].astype(np.float64)
