"""How far mouth and eyes are open and where they look, and whether an output follows its driver."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from fnevr.face3d.performance import SHUT_EYE, gaze
from fnevr.faces.expression import EYES, LOWER_LIP, UPPER_LIP

MOUTH_CORNERS = (78, 308)  # of the inner lips, in MediaPipe's mesh
MIN_DEVIATION = 1e-6
SEEING = 0.15  # aspect ratio of eyes whose irises are seen
USUAL, SHUT_SHARE = 0.7, 1 / 3  # a quantile, a share
TOUCH = 0.04  # gap over width of a mouth whose lips touch, as the landmarks have it


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


def gaze_right(landmarks: Float[np.ndarray, "478 D"]) -> float:
    """Return how far the irises are to the right of the middle of their eyes, in eye widths.

    The mean of both eyes; NaN where they are shut.
    """
    if eye_opening(landmarks) < SEEING:
        return float("nan")
    return float(gaze(landmarks)[0])


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


def slope(output: Float[np.ndarray, " T"], driver: Float[np.ndarray, " T"]) -> float:
    """Return by how much the output changes when the driver changes by 1: ``sum xy / sum yy``.

    NaN as for `correlation`.
    """
    if not np.isfinite(correlation(output, driver)):
        return float("nan")
    return pooled_slope([output], [driver])


def eye_shares(openings: Float[np.ndarray, " T"]) -> Float[np.ndarray, " T"]:
    """Return how far the eyes are open, in shares of what is usual in the clip.

    0 is an aspect ratio of `SHUT_EYE`; 1 is the ratio that three frames of ten exceed.
    """
    known = openings[np.isfinite(openings)]
    usual = np.quantile(known, USUAL) if len(known) else np.nan
    return (openings - SHUT_EYE) / max(usual - SHUT_EYE, SHUT_EYE)


def blinks_followed(output: Float[np.ndarray, " T"], driver: Float[np.ndarray, " T"]) -> float:
    """Return in which share of the frames in which the driver's eyes are shut the output's are.

    Shut: less open than a third of what is usual in each clip. NaN where the driver's never are.

    Args:
        output: mean aspect ratio of both eyes, frame by frame; NaN where there is no face.
        driver: the same of the driver.
    """
    return _share_followed(eye_shares(output) < SHUT_SHARE, eye_shares(driver) < SHUT_SHARE)


def closures_followed(output: Float[np.ndarray, " T"], driver: Float[np.ndarray, " T"]) -> float:
    """Return in which share of the frames in which the driver's lips touch the output's do.

    Touching: a gap of less than `TOUCH` of the mouth's width. NaN where the driver's never do.

    Args:
        output: gap over width of the mouth, frame by frame; NaN where there is no face.
        driver: the same of the driver.
    """
    return _share_followed(output < TOUCH, driver < TOUCH)


def _share_followed(output: Bool[np.ndarray, " T"], driver: Bool[np.ndarray, " T"]) -> float:
    return float(output[driver].mean()) if driver.any() else float("nan")


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
