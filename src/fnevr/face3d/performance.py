"""What a face does, in terms that mean the same on another face.

The head's pose is measured from a face that looks into the camera, its place from where the head
was in the last second, the expression from the person's own neutral face. Lids are measured in
shares of the person's own range: 0 is shut, 1 as wide open as usual. No frame of the driver is a
reference, so a video that starts later means the same.

Shapes: T frames, E coefficients of expression (`face_fit`), N = 478 landmarks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from fnevr.face3d.face_fit import FaceFit
from fnevr.faces.expression import EYES, LOWER_LIP, UPPER_LIP
from fnevr.faces.landmarks import Landmarks
from fnevr.geometry.rotations import axis_angles

SHUT_EYE = 0.08  # aspect ratio of an eye that is shut, as the landmarks have it
SHUT_LIPS = 0.006  # gap of lips that touch, as the landmarks have it, in face heights
NECK = np.array([0.0, 0.35, 0.55])  # what the head turns about, at rest

EYE_CORNERS = ((33, 133), (362, 263))  # in MediaPipe's mesh: the picture's left and right eye
IRISES = (468, 473)  # their middles
GAZE_DOWN, GAZE_DOWN_FRAMES = -0.075, 25  # where irises usually are; frames that it weighs
LEAST_OPEN = 0.35  # share of an eye's usual opening in which its iris is believed

PLACE_S = 0.5  # in which a head's place becomes where it belongs: it nods and sways, and comes back
REACH, ZOOM_REACH = 0.25, 0.25  # the farthest from there: face heights, logarithm of the size
OPEN_SHARE = 0.7  # of the frames, in which an eye is less open than what counts as wide open
USUAL_OPEN = 0.3  # aspect ratio of most people's open eyes, as the landmarks have it
BELIEVED_FRAMES = 80  # that what is believed of a person's eyes before they are seen weighs
FADE_S, RETURN_S = 0.6, 0.3  # in which the expression of a lost face fades, and comes back
# Size of the trembling of what is smoothed. Lids and lips are too quick for that.
NOISE = {
    "rotations": 0.005, "shifts": 0.003, "zooms": 0.003, "expressions": 0.05, "gazes": 0.01
}  # fmt: skip
CUTOFF_HZ, SPEED_CUTOFF_HZ, CUTOFF_PER_SPEED = 3.0, 3.0, 0.3


@dataclass(frozen=True)
class Performance:
    """What one face does in consecutive frames.

    Attributes:
        rotations: of the head from one that looks into the camera; axis (x right, y down, z away
            from the camera) times angle in radians.
        shifts: of the head from where it belongs, in face heights; x right, y down.
        zooms: logarithm of its size over the size it belongs to.
        expressions: from the neutral face, in standard deviations; the jaw's first.
        eyes: how far each eye is open, the picture's left one first; 0 is shut, 1 is usual.
        lips: gap of the inner lips, in face heights; 0 where they touch.
        gazes: how far the irises are to the picture's right of the middle of their eyes, and below
            where they usually are, in eye widths.
    """

    WIDTHS: ClassVar[dict[str, int]] = {
        "rotations": 3,
        "shifts": 2,
        "zooms": 1,
        "eyes": 2,
        "lips": 1,
        "gazes": 2,
    }
    """Of the arrays; that of `expressions` is the head model's."""

    rotations: Float[np.ndarray, "T 3"]
    shifts: Float[np.ndarray, "T 2"]
    zooms: Float[np.ndarray, "T 1"]
    expressions: Float[np.ndarray, "T E"]
    eyes: Float[np.ndarray, "T 2"]
    lips: Float[np.ndarray, "T 1"]
    gazes: Float[np.ndarray, "T 2"]

    def __len__(self) -> int:
        return len(self.rotations)

    def __getitem__(self, frames: slice) -> Performance:
        return Performance(**{name: values[frames] for name, values in self.arrays().items()})

    def arrays(self) -> dict[str, Float[np.ndarray, "T _"]]:
        """Return the arrays by their names."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def concatenate(cls, parts: Iterable[Performance]) -> Performance:
        """Join consecutive frames."""
        arrays = [part.arrays() for part in parts]
        return cls(**{name: np.concatenate([a[name] for a in arrays]) for name in arrays[0]})


class PerformanceReader:
    """Reads a driver's performance from its landmarks, frame by frame.

    Args:
        smooth: take the landmarks' trembling out (One-Euro filter; Casiez et al., CHI 2012).
    """

    def __init__(self, *, smooth: bool = True) -> None:
        self.smooth = smooth
        self._last: Performance | None = None
        self._start()

    def restart(self) -> None:
        """Take the next face for another person's; it is shown without a jump from the last one."""
        self._start()
        self._returned = 0.0 if self._last is not None else 1.0

    def _start(self) -> None:
        self.fit = FaceFit()
        self._place = np.zeros(3)
        self._open: Float[np.ndarray, " 2"] | None = None
        self._gaze = np.zeros(2)
        self._gaze_down, self._gaze_count = GAZE_DOWN, GAZE_DOWN_FRAMES
        self._count = 0
        self._filters: dict[str, OneEuro] = {}
        self._returned = 1.0

    @property
    def open_eyes(self) -> Float[np.ndarray, " 2"]:
        """How far this person's eyes are open as usual: aspect ratios, the picture's left first."""
        assert self._open is not None, "a face was seen"
        return SHUT_EYE + np.maximum(self._open - SHUT_EYE, SHUT_EYE)

    def update(self, landmarks: Landmarks | None, seconds: float) -> Performance | None:
        """Read the next frame.

        Args:
            landmarks: in pixels; None where the face is not seen. The pose is then held, and the
                expression fades to the neutral one.
            seconds: since the last frame; ignored for the first.

        Returns:
            One frame; None before the face is seen for the first time.
        """
        if landmarks is None:
            self._returned = 0.0
            if self._last is not None:
                self._last = _faded(self._last, seconds)
            return self._last
        self.fit.update(landmarks)
        self._count += 1
        shift, zoom = self._from_its_place(seconds)
        rotation = self.fit.similarity.rotation
        eyes = self._eyes()
        seen = Performance(
            rotations=axis_angles(rotation)[None],
            shifts=shift[None],
            zooms=np.array([[zoom]]),
            expressions=self.fit.expression[None],
            eyes=eyes[None],
            lips=np.array([[lips_apart(self.fit.at_rest)]]),
            gazes=self._looks(eyes)[None],
        )
        seen = self._smoothed(seen, seconds) if self.smooth else seen
        self._last = self._back(seen, seconds)
        return self._last

    def _back(self, seen: Performance, seconds: float) -> Performance:
        """Come back without a jump from where a lost face was left."""
        self._returned = min(1.0, self._returned + seconds / RETURN_S)
        if self._last is None or self._returned == 1:
            return seen
        return mixed(self._last, seen, self._returned)

    def _from_its_place(self, seconds: float) -> tuple[Float[np.ndarray, " 2"], float]:
        """Return how far the head is from its place of the last seconds, which follows it."""
        place = self.fit.similarity
        here = np.array([*place(NECK)[:2], math.log(place.scale)])
        share = 1.0 if self._count == 1 else 1 - math.exp(-seconds / PLACE_S)
        self._place = self._place + share * (here - self._place)
        size = math.exp(self._place[2])
        shift, zoom = (here[:2] - self._place[:2]) / size, float(here[2] - self._place[2])
        distance = float(np.hypot(*shift))
        within = shift * min(1.0, REACH / max(distance, 1e-9))
        near = float(np.clip(zoom, -ZOOM_REACH, ZOOM_REACH))
        # Beyond its reach the place is pulled along, however fast the head moves.
        self._place = self._place + np.array([*(shift - within) * size, zoom - near])
        return within, near

    def _eyes(self) -> Float[np.ndarray, " 2"]:
        """Return the eyes' openings over what is usual for this person."""
        openings = eye_openings(self.fit.at_rest)
        if self._open is None:
            own = np.maximum(openings, eye_openings(self.fit.neutral))
            self._open = (own + 2 * USUAL_OPEN) / 3
        # Robbins and Monro, 1951: the quantile of all frames so far.
        step = 0.3 * self._open / (self._count + BELIEVED_FRAMES) + 0.0001
        above = openings > self._open
        self._open = self._open + step * np.where(above, OPEN_SHARE, OPEN_SHARE - 1)
        return (openings - SHUT_EYE) / (self.open_eyes - SHUT_EYE)

    def _looks(self, eyes: Float[np.ndarray, " 2"]) -> Float[np.ndarray, " 2"]:
        """Return the gaze; that of the last frame while the eyes are shut."""
        if eyes.min() > LEAST_OPEN:
            right, down = gaze(self.fit.at_rest)
            self._gaze_count += 1
            self._gaze_down += (down - self._gaze_down) / self._gaze_count
            self._gaze = np.array([right, down - self._gaze_down])
        return self._gaze

    def _smoothed(self, seen: Performance, seconds: float) -> Performance:
        values = seen.arrays()
        for name, noise in NOISE.items():
            values[name] = self._filters.setdefault(name, OneEuro(noise))(values[name], seconds)
        return Performance(**values)


class OneEuro:
    """Smooths slow changes, where trembling is seen, and lets quick ones pass without delay.

    A low-pass of first order, whose cutoff grows with the speed (Casiez et al., CHI 2012).

    Args:
        noise: size of the trembling, in the unit of the values.
    """

    def __init__(self, noise: float) -> None:
        self.noise = noise
        self.value: np.ndarray | None = None
        self.speed: np.ndarray | float = 0.0

    def __call__(self, value: np.ndarray, seconds: float) -> np.ndarray:
        """Return the next value, smoothed."""
        if self.value is None or seconds <= 0:
            self.value = value
            return value
        speed = (value - self.value) / (self.noise * seconds)
        self.speed = self.speed + _share(SPEED_CUTOFF_HZ, seconds) * (speed - self.speed)
        cutoff = CUTOFF_HZ + CUTOFF_PER_SPEED * np.abs(self.speed)
        self.value = self.value + _share(cutoff, seconds) * (value - self.value)
        return self.value


def mixed(start: Performance, end: Performance, share: float) -> Performance:
    """Return a performance between two: start + share (end - start)."""
    ends = end.arrays()
    return Performance(**{name: a + share * (ends[name] - a) for name, a in start.arrays().items()})


def lip_gap(face: Float[np.ndarray, "N 3"]) -> float:
    """Return how far the lower inner lip is below the upper one, of a face at rest."""
    return float(face[LOWER_LIP, 1] - face[UPPER_LIP, 1])


def lips_apart(face: Float[np.ndarray, "N 3"]) -> float:
    """Return the gap of the inner lips, 0 where they touch, of a face at rest."""
    return max(lip_gap(face) - SHUT_LIPS, 0.0)


def eye_openings(face: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, " 2"]:
    """Return the eyes' aspect ratios (Soukupova and Cech, 2016), of a face at rest.

    Heights have a sign: they are negative where the upper lid is below the lower one.
    """
    points = face[np.array(EYES), :2]
    heights = points[:, 5, 1] - points[:, 1, 1] + points[:, 4, 1] - points[:, 2, 1]
    return heights / (2 * np.linalg.norm(points[:, 0] - points[:, 3], axis=-1))


def gaze(face: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, " 2"]:
    """Return where the irises are from the middles of their eyes: right and down, in eye widths.

    The mean of both eyes, of a face at rest.
    """
    offsets = []
    for corners, iris in zip(EYE_CORNERS, IRISES, strict=True):
        left, right = face[list(corners), :2]
        along = (right - left) / np.square(right - left).sum()
        offset = face[iris, :2] - (left + right) / 2
        offsets.append((offset @ along, offset @ np.array([-along[1], along[0]])))
    return np.mean(offsets, axis=0)


def _faded(last: Performance, seconds: float) -> Performance:
    """Return the pose as it was, and the expression on its way to neutral."""
    share = math.exp(-seconds / FADE_S)
    return replace(
        last,
        expressions=share * last.expressions,
        eyes=1 + share * (last.eyes - 1),
        lips=share * last.lips,
        gazes=share * last.gazes,
    )


def _share(cutoff_hz: np.ndarray | float, seconds: float) -> np.ndarray | float:
    """Return how much of a step a low-pass of first order takes in this time."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff_hz * seconds))
