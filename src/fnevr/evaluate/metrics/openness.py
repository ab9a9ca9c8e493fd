"""How far mouth and eyes are open, from landmarks, and whether an output follows its driver."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

# Points of MediaPipe's mesh: the inner lips, then corner, lids above, corner, lids below of an eye.
UPPER_LIP, LOWER_LIP, MOUTH_CORNERS = 13, 14, (78, 308)
EYES = ((33, 160, 158, 133, 153, 144), (362, 385, 387, 263, 373, 380))
MIN_DEVIATION = 1e-6


def mouth_opening(landmarks: Float[np.ndarray, "478 D"]) -> float:
    """Return the gap between the inner lips over the width of the mouth; 0 when shut."""
    points = landmarks[:, :2]
    return _distance(points, UPPER_LIP, LOWER_LIP) / _distance(points, *MOUTH_CORNERS)


def eye_opening(landmarks: Float[np.ndarray, "478 D"]) -> float:
    """Return the mean eye aspect ratio: lid distances over the eye's width (about 0.1 when shut).

    (|p2 - p6| + |p3 - p5|) / (2 |p1 - p4|), Soukupova and Cech, 2016; mean of both eyes.
    """
    points = landmarks[:, :2]
    ratios = [
        (_distance(points, p2, p6) + _distance(points, p3, p5)) / (2 * _distance(points, p1, p4))
        for p1, p2, p3, p4, p5, p6 in EYES
    ]
    return float(np.mean(ratios))


def correlation(output: Float[np.ndarray, " T"], driver: Float[np.ndarray, " T"]) -> float:
    """Return Pearson's correlation over the frames in which both are known.

    NaN where fewer than three frames are left or one side does not vary.
    """
    is_known = np.isfinite(output) & np.isfinite(driver)
    if is_known.sum() < 3:
        return float("nan")
    x, y = output[is_known] - output[is_known].mean(), driver[is_known] - driver[is_known].mean()
    deviation = np.sqrt((x**2).mean() * (y**2).mean())
    return float((x * y).mean() / deviation) if deviation > MIN_DEVIATION**2 else float("nan")


def pooled_correlation(
    outputs: list[Float[np.ndarray, " _"]], drivers: list[Float[np.ndarray, " _"]]
) -> float:
    """Return the correlation over all clips, each clip's own mean taken out first.

    Without that, the differences between people would count as following the driver.
    """
    return correlation(*_pooled(outputs, drivers))


def pooled_slope(
    outputs: list[Float[np.ndarray, " _"]], drivers: list[Float[np.ndarray, " _"]]
) -> float:
    """Return ``sum xy / sum yy``: by how much of the driver's change the output changes.

    Over all clips, each clip's own mean taken out first. A correlation of 1 can go with a mouth
    that hardly moves; a slope of 1 cannot. NaN where the drivers do not change.
    """
    x, y = _pooled(outputs, drivers)
    total = (y**2).sum()
    return float((x * y).sum() / total) if total > 0 else float("nan")


def _pooled(
    outputs: list[Float[np.ndarray, " _"]], drivers: list[Float[np.ndarray, " _"]]
) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """Join the frames of all clips in which both are known, each clip's mean taken out."""
    sides: tuple[list[np.ndarray], list[np.ndarray]] = ([np.zeros(0)], [np.zeros(0)])
    for output, driver in zip(outputs, drivers, strict=True):
        is_known = np.isfinite(output) & np.isfinite(driver)
        if is_known.any():
            sides[0].append(output[is_known] - output[is_known].mean())
            sides[1].append(driver[is_known] - driver[is_known].mean())
    return np.concatenate(sides[0]), np.concatenate(sides[1])


def _distance(points: Float[np.ndarray, "478 2"], first: int, second: int) -> float:
    return float(np.linalg.norm(points[first] - points[second]))
