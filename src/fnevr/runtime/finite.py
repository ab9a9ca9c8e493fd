"""What networks give is checked before it becomes pictures: NaN would be drawn black."""

from __future__ import annotations

import numpy as np

from fnevr.config.engines import EngineName, Precision
from fnevr.errors import FnevrError
from fnevr.geometry.keypoints import Keypoints


def check_finite(what: str, array: np.ndarray, engine: EngineName, precision: Precision) -> None:
    """Raise FnevrError if an array holds infinity or what is no number.

    Args:
        what: it holds, in the plural, for the message.
        array: floats; sums of their squares have to be finite too.
        engine: that made it.
        precision: of its numbers.
    """
    flat = np.ascontiguousarray(array).reshape(-1)
    with np.errstate(all="ignore"):
        if np.isfinite(flat @ flat):  # one pass without a copy; infinity and NaN both stay
            return
    remedy = "the weights do not go with the model: convert or copy them again"
    if precision != "float32":
        remedy = f"use `precision='float32'`, if {precision} is too coarse; otherwise {remedy}"
    raise FnevrError(f"the {what} are not finite numbers (engine {engine}, {precision})\n{remedy}")


def finite_keypoints(keypoints: Keypoints, engine: EngineName, precision: Precision) -> Keypoints:
    """Return keypoints as they are, or raise FnevrError if they are not finite."""
    for array in (keypoints.positions, keypoints.jacobians):
        check_finite("keypoints", array, engine, precision)
    return keypoints


def finite_images(images_01: np.ndarray, engine: EngineName, precision: Precision) -> np.ndarray:
    """Return drawn images as they are, or raise FnevrError if they are not finite."""
    check_finite("drawn pictures", images_01, engine, precision)
    return images_01
