"""Where a video goes on with another scene.

Shapes: H and W of the frames.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from jaxtyping import UInt8

MIN_CUT, CUT_RATIO, CUT_WINDOW, CUT_HISTORY = 0.06, 4.0, 12, 3
THUMBNAIL = 48


class CutDetector:
    """Tell the first frame of a new scene: it differs from the last one far more than usual.

    The difference is the mean absolute one of small gray pictures; a cut is more than 0.06 of full
    scale, and four times the median of the last twelve frames. In the first three frames of a scene
    nothing is usual yet, so none of them is a cut.
    """

    def __init__(self) -> None:
        self.last: np.ndarray | None = None
        self.differences: deque[float] = deque(maxlen=CUT_WINDOW)

    def update(self, rgb: UInt8[np.ndarray, "H W 3"]) -> bool:
        """Say whether the next frame starts a new scene; the first one does not."""
        rows, columns = (-(-side // THUMBNAIL) for side in rgb.shape[:2])
        thumbnail = rgb[rows // 2 :: rows, columns // 2 :: columns, 1].astype(np.float32) / 255
        last, self.last = self.last, thumbnail
        if last is None or last.shape != thumbnail.shape:
            return False
        difference = float(np.abs(thumbnail - last).mean())
        is_known = len(self.differences) >= CUT_HISTORY
        usual = float(np.median(self.differences)) if is_known else np.inf
        is_cut = difference > max(MIN_CUT, CUT_RATIO * usual)
        if is_cut:
            self.differences.clear()
        else:
            self.differences.append(difference)
        return is_cut
