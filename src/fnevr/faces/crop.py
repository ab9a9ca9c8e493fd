"""Square crops around a face, framed like the clips that the models were trained on.

Pixel coordinates: x first, (0, 0) is the corner of the picture, so the centre of its first pixel
is (0.5, 0.5). The models' own coordinates put the centres of a crop's outermost pixels at -1 and 1.

Shapes: H and W of the picture, S the side of a crop, N points of C >= 2 coordinates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, UInt8

from fnevr.faces.landmarks import Landmarks, landmarks_box
from fnevr.faces.region import padded_slice
from fnevr.media.strips import resampled

# Measured on the first frame of all 173 training and validation clips, as multiples of the longer
# side of the box around the mesh. Side: median 1.690 (middle half of the clips 1.55 to 1.86).
# Box centre below the crop's centre: mean 0.073 (standard deviation 0.095); sideways: 0.011.
SIDE_PER_FACE = 1.69
LIFT_PER_FACE = 0.073
SPEED_GAIN = 0.6  # of the smoothed crop's average; more would overshoot
QUICKER = 3  # than usual, where the face is far from the middle


@dataclass(frozen=True)
class CropBox:
    """A square of a picture, in its pixels; it may hang over the border."""

    left: float
    top: float
    size: float

    @property
    def centre(self) -> Float[np.ndarray, " 2"]:
        """The middle of the square."""
        return np.array([self.left, self.top]) + self.size / 2

    @classmethod
    def around(cls, centre: Float[np.ndarray, " 2"], size: float) -> CropBox:
        """Make the square with this centre."""
        return cls(float(centre[0] - size / 2), float(centre[1] - size / 2), float(size))

    def to_view(self, landmarks: Landmarks, side: int) -> Landmarks:
        """Take landmarks of the picture to the square, brought to `side` pixels."""
        return (landmarks - np.array([self.left, self.top, 0.0])) * (side / self.size)

    def grown(self, factor: float) -> CropBox:
        """Make a square with the same middle that is larger by a factor."""
        return CropBox.around(self.centre, factor * self.size)

    def on_pixels(self, side: int) -> CropBox:
        """Move the square onto whole pixels, so that cutting it out resamples nothing."""
        left, top = np.rint(self.centre - side / 2)
        return CropBox(float(left), float(top), float(side))


def crop_box(landmarks: Float[np.ndarray, "478 3"]) -> CropBox:
    """Frame a face as the training clips do: the mesh is 0.59 of the crop's height."""
    left, top, right, bottom = landmarks_box(landmarks)
    face = max(right - left, bottom - top)
    centre = np.array([(left + right) / 2, (top + bottom) / 2 - LIFT_PER_FACE * face])
    return CropBox.around(centre, SIDE_PER_FACE * face)


def crop(rgb: UInt8[np.ndarray, "H W 3"], box: CropBox, size: int) -> UInt8[np.ndarray, "S S 3"]:
    """Cut a square out of a picture and resize it, bicubic and without aliasing.

    Args:
        rgb: the picture; beyond its border the nearest pixel is repeated.
        box: the square, to a fraction of a pixel.
        size: side of the result, in pixels.

    Raises:
        ValueError: if the box has no area.
    """
    if not (box.size > 0 and math.isfinite(box.left + box.top + box.size)):
        raise ValueError(f"the crop box must have a finite, positive size, got {box}")
    margin = 2 + math.ceil(2 * box.size / size)  # what the bicubic filter reads beyond the box
    left, top = math.floor(box.left) - margin, math.floor(box.top) - margin
    right = math.ceil(box.left + box.size) + margin
    bottom = math.ceil(box.top + box.size) + margin
    corner = (box.left - left, box.top - top)
    window = (*corner, corner[0] + box.size, corner[1] + box.size)

    def rows(first: int, last: int) -> UInt8[np.ndarray, "h w 3"]:
        return padded_slice(rgb, left, top + first, right, top + last, "edge")

    return resampled(rows, bottom - top, right - left, window, size)


@dataclass
class CropSmoother:
    """The driver's crop over time: still while the head moves, following when the person walks.

    The clips that the models were trained on have a fixed crop in which the head moves, so the
    first frame's box stays where it is as long as the face keeps near its middle. The wanted box
    is low-passed; only what it is off by beyond ``slack`` pulls the box, gently. Within the slack
    the box does not move at all, so noise in the landmarks cannot shake the picture. A face that
    moves more quickly takes the box along at once, before it would be cut.

    Attributes:
        slack: how far the face may move from the middle, as a fraction of the crop's side.
        size_slack: by what fraction its size may change.
        reach: how far the face may be from the middle before the box follows more quickly, and at
            most, as fractions of the crop's side.
        settle_s: seconds in which the noise of the wanted box is averaged.
        follow_s: seconds in which the box catches up.
    """

    slack: float = 0.12
    size_slack: float = 0.2
    reach: tuple[float, float] = (0.14, 0.2)
    settle_s: float = 0.15
    follow_s: float = 0.3
    box: CropBox | None = field(default=None, init=False)
    _target: np.ndarray | None = field(default=None, init=False)
    _speed: np.ndarray = field(default_factory=lambda: np.zeros(3), init=False)

    def reset(self) -> None:
        """Start anew with the next box, as after a cut."""
        self.box = self._target = None

    def update(self, target: CropBox, seconds: float) -> CropBox:
        """Give the box for the next frame.

        Args:
            target: the box around the face in this frame.
            seconds: since the last frame; ignored for the first.
        """
        state = np.array([*target.centre, math.log(target.size)])
        if self.box is None or self._target is None:
            self.box, self._target, self._speed = target, state, np.zeros(3)
            return target
        # The average goes on as it went, so that it is not late where somebody walks.
        self._target = self._target + self._speed * seconds
        share, missed = _share(seconds, self.settle_s), state - self._target
        self._target = self._target + share * missed
        self._speed = self._speed + SPEED_GAIN * share**2 * missed / max(seconds, 1e-3)
        offset = (self._target[:2] - self.box.centre) / self.box.size
        distance = float(np.hypot(*offset))
        pull = offset * max(0.0, 1.0 - self.slack / max(distance, 1e-9))
        growth = self._target[2] - math.log(self.box.size)
        growth -= np.clip(growth, -math.log1p(self.size_slack), math.log1p(self.size_slack))
        if distance > self.slack or growth:
            share = _share(seconds, self.follow_s)
            centre = self.box.centre + share * pull * self.box.size
            self.box = CropBox.around(centre, self.box.size * math.exp(share * growth))
        self._bound(self._target[:2], self.reach[0], _share(seconds, self.follow_s / QUICKER))
        self._bound(state[:2], self.reach[1], 1.0)
        return self.box

    def _bound(self, face: Float[np.ndarray, " 2"], reach: float, share: float) -> None:
        """Move the box by a share of what the face is farther from its middle than it may be."""
        assert self.box is not None, "it has one"
        beyond = face - self.box.centre
        distance, most = float(np.hypot(*beyond)), reach * self.box.size
        if distance > most:
            centre = self.box.centre + share * beyond * (1 - most / distance)
            self.box = CropBox.around(centre, self.box.size)


def _share(seconds: float, time_constant_s: float) -> float:
    """How much of a gap a first-order low-pass closes in this time."""
    return 1.0 - math.exp(-max(seconds, 0.0) / time_constant_s)
