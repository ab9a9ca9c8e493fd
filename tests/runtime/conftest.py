from __future__ import annotations

import pytest
import torch
from settled import settled

from fnevr.config import LiteConfig
from fnevr.models import ARCHITECTURES


@pytest.fixture
def tiny_lite_config():
    """Every stage of `lite` on 64x64 pixels."""
    return LiteConfig(
        image_size=64,
        num_keypoints=5,
        num_free_keypoints=2,
        detector_widths=(4, 4, 8),
        motion_widths=(8, 8, 8),
        context_width=4,
        code_width=3,
        width=8,
        num_planes=3,
        plane_width=4,
        hidden_width=8,
    )


@pytest.fixture
def tiny_models(tiny_configs, tiny_lite_config):
    """One small model of each kind, by name, with all of its stages doing something."""
    torch.manual_seed(0)
    configs = {**tiny_configs, "lite": tiny_lite_config}
    return {
        name: settled(ARCHITECTURES[config.architecture](config))
        for name, config in configs.items()
    }
