"""Tracks of a square face, for the tests of fnevr.data."""

from __future__ import annotations

import numpy as np

from fnevr.data.tracking import FaceTrack


def make_track(centres, sizes=100.0, lost=(), cuts=(), rate=25, width=640, height=480):
    """A square face at each of the centres."""
    centres = np.asarray(centres, np.float32)
    sizes = np.broadcast_to(sizes, len(centres)).astype(np.float32)
    corners = np.random.default_rng(0).uniform(-0.5, 0.5, (478, 2)).astype(np.float32)
    corners[:2] = [[-0.5, -0.5], [0.5, 0.5]]
    landmarks = centres[:, None] + sizes[:, None, None] * corners
    landmarks[list(lost)] = np.nan
    is_cut = np.isin(np.arange(len(centres)), cuts)
    return FaceTrack(0, np.arange(len(centres)) / rate, landmarks, is_cut, width, height)


def still(count):
    return np.tile([320.0, 240.0], (count, 1))
