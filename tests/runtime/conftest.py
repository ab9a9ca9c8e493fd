from __future__ import annotations

import pytest
import torch
from settled import settled

from fnevr.config import EncoderConfig, FNeVRConfig, LiteConfig, SpadeConfig
from fnevr.models import ARCHITECTURES


@pytest.fixture(scope="session")
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


def _models(configs):
    torch.manual_seed(0)
    return {
        name: settled(ARCHITECTURES[config.architecture](config))
        for name, config in configs.items()
    }


@pytest.fixture
def tiny_models(tiny_configs, tiny_lite_config):
    """One small model of each kind, by name, with all of its stages doing something."""
    return _models({**tiny_configs, "lite": tiny_lite_config})


@pytest.fixture(scope="module")
def exportable_models(tiny_fnevr_config, tiny_lite_config):
    """Models whose graphs are small, since exporting takes long; not to be changed."""
    shallow = {
        **tiny_fnevr_config.model_dump(),
        "encoder": EncoderConfig(width=4, max_width=8, num_downs=1),
        "decoder": SpadeConfig(widths=(8, 4), modulation_width=8, spade_width=8),
    }
    return _models({"fnevr": FNeVRConfig.model_validate(shallow), "lite": tiny_lite_config})
