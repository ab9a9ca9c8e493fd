from __future__ import annotations

import json
import subprocess
import sys

import pytest
from pydantic import ValidationError

from fnevr.config.models import (
    MODEL_CONFIG,
    DaGANConfig,
    FaceVid2VidConfig,
    FNeVRConfig,
    FOMMConfig,
    LiteConfig,
    base_config,
    fomm_config,
)
from fnevr.config.stages import (
    DetectorConfig,
    EncoderConfig,
    HourglassConfig,
    MotionConfig,
    RendererConfig,
    SpadeConfig,
)


@pytest.mark.parametrize("config", [base_config(), base_config("inclusive"), fomm_config()])
def test_json_restores_the_config_and_its_class(config):
    restored = MODEL_CONFIG.validate_json(config.model_dump_json())
    assert restored == config
    assert type(restored) is type(config)


def test_base_has_the_papers_rule():
    assert base_config().renderer.transmittance == "exclusive"


def test_unknown_keys_are_errors():
    with pytest.raises(ValidationError, match="num_keypoint"):
        FNeVRConfig.model_validate({"num_keypoint": 10})


def test_configs_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        base_config().image_size = 512


def test_image_size_must_suit_the_networks():
    with pytest.raises(ValidationError, match="multiple of 128 for these networks, got 200"):
        FNeVRConfig(image_size=200)


def test_heatmaps_must_not_vanish():
    hourglass = HourglassConfig(width=4, num_levels=1)
    with pytest.raises(ValidationError, match="got 8 / 4"):
        FNeVRConfig(
            image_size=8,
            detector=DetectorConfig(hourglass=hourglass, downscale=4),
            motion=MotionConfig(hourglass=hourglass, downscale=4),
        )


def test_decoder_must_reach_full_resolution():
    with pytest.raises(ValidationError, match=r"encoder\.num_downs = 3"):
        FNeVRConfig(encoder=EncoderConfig(num_downs=3), decoder=SpadeConfig(widths=(8, 8)))


def test_hidden_width_must_split_in_four():
    with pytest.raises(ValidationError, match="multiple of 4, got 6"):
        FNeVRConfig(renderer=RendererConfig(hidden_width=6))


def test_config_does_not_import_torch():
    code = "import sys, fnevr.config.models; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("value", [10**7, 10**15, 10**400])
@pytest.mark.parametrize(
    ("config", "place"),
    [
        (FNeVRConfig(), "detector.hourglass.num_levels"),
        (FNeVRConfig(), "renderer.num_residual_blocks"),
        (FNeVRConfig(), "encoder.width"),
        (FOMMConfig(), "num_bottleneck_blocks"),
        (FOMMConfig(), "encoder.num_downs"),
        (FaceVid2VidConfig(), "head_pose_blocks.0"),
        (FaceVid2VidConfig(), "num_bins"),
        (DaGANConfig(), "num_decoder_blocks"),
        (DaGANConfig(), "depth_encoder_widths.4"),
        (LiteConfig(), "num_keypoints"),
        (LiteConfig(), "context_width"),
        (LiteConfig(), "image_size"),
    ],
)
def test_numbers_are_bounded_before_anything_is_computed_of_them(config, place, value):
    values = config.model_dump(mode="json")
    *path, last = place.split(".")
    inner = values
    for name in path:
        inner = inner[name]
    inner[int(last) if last.isdecimal() else last] = value
    with pytest.raises(ValidationError, match=last if not last.isdecimal() else place):
        MODEL_CONFIG.validate_json(json.dumps(values))


def test_lists_are_bounded():
    with pytest.raises(ValidationError, match="detector_widths"):
        LiteConfig(detector_widths=(8,) * 100_000)
