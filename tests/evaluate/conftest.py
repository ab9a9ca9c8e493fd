from __future__ import annotations

import numpy as np
import pytest
import torch

from fnevr.config.models import LiteConfig
from fnevr.config.presets import asset
from fnevr.media.image import read_image
from fnevr.models.lite import FNeVRLite


@pytest.fixture(scope="session")
def walk():
    """The bundled portrait, wandering to the right: 7 frames of 256 x 256."""
    picture = read_image(asset("portrait.jpg"))[:256, 128:384]
    return np.stack([np.roll(picture, 3 * step, axis=1) for step in range(7)])


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory):
    """An untrained model of lite's kind, at the size of the real one's pictures."""
    torch.manual_seed(0)
    config = LiteConfig(
        num_keypoints=5,
        num_free_keypoints=1,
        detector_widths=(4, 4, 4),
        motion_widths=(4, 4),
        context_width=2,
        code_width=0,
        width=8,
        num_planes=2,
        plane_width=2,
        hidden_width=4,
    )
    folder = tmp_path_factory.mktemp("models") / "tiny"
    FNeVRLite(config).eval().save_pretrained(folder)
    return folder
