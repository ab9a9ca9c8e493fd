from __future__ import annotations

import numpy as np
import pytest

from fnevr.config.presets import asset
from fnevr.media.image import read_image


@pytest.fixture(scope="session")
def walk():
    """The bundled portrait, wandering to the right: 7 frames of 256 x 256."""
    picture = read_image(asset("portrait.jpg"))[:256, 128:384]
    return np.stack([np.roll(picture, 3 * step, axis=1) for step in range(7)])
