from __future__ import annotations

import os
from typing import Any

# Some references compile a few lines by numba, which takes longer than what they do in the tests.
os.environ["NUMBA_DISABLE_JIT"] = "1"

import jaxtyping
import pytest
import torch
from support.settled import settled

from fnevr.config.models import (
    BilayerConfig,
    DaGANConfig,
    FaceVid2VidConfig,
    FNeVRConfig,
    FOMMConfig,
    LiteConfig,
    PIRenderConfig,
)
from fnevr.config.stages import (
    DetectorConfig,
    EncoderConfig,
    HourglassConfig,
    MotionConfig,
    RendererConfig,
    SpadeConfig,
)
from fnevr.models import ARCHITECTURES, FNeVRLite

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed():
    """Make every test draw the same random numbers, whatever ran before it."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    """Keep what OpenVINO compiles out of the home of who runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FNEVR_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True, scope="module")
def _no_openvino(request):
    """Let ONNX Runtime be taken, except where engines are tested; for modules' fixtures, too.

    Processes that had run OpenVINO died now and then when a later test started a subprocess.
    """
    with pytest.MonkeyPatch.context() as patch:
        if not {"runtime", "cost"} & set(request.path.parts):
            patch.setattr("fnevr.runtime.sessions.has_openvino", lambda: False)
            patch.setattr("fnevr.faces.session.is_loaded", lambda: False)
        yield


@pytest.fixture
def bad_argument():
    """Let a wrong argument reach our own check instead of the runtime type checker."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def _tiny_stages():
    hourglass = HourglassConfig(width=4, max_width=8, num_levels=2)
    return {
        "image_size": 32,
        "num_keypoints": 3,
        "detector": DetectorConfig(hourglass=hourglass, downscale=2),
        "encoder": EncoderConfig(width=4, max_width=16, num_downs=2),
        "motion": MotionConfig(hourglass=hourglass, downscale=4),
    }


@pytest.fixture(scope="session")
def tiny_fnevr_config():
    """Every stage of FNeVR on 32x32 pixels."""
    return FNeVRConfig(
        **_tiny_stages(),
        renderer=RendererConfig(
            num_planes=4, plane_width=4, num_residual_blocks=3, hidden_width=8, auxiliary_width=4
        ),
        decoder=SpadeConfig(widths=(8, 4, 4, 4), modulation_width=8, spade_width=8),
    )


@pytest.fixture(scope="session")
def tiny_fomm_config():
    """Every stage of FOMM on 32x32 pixels."""
    return FOMMConfig(**_tiny_stages(), num_bottleneck_blocks=2)


def _tiny_face_vid2vid_config(decoder):
    hourglass = HourglassConfig(width=4, max_width=8, num_levels=2)
    return FaceVid2VidConfig(
        image_size=32,
        num_keypoints=3,
        detector=DetectorConfig(hourglass=hourglass, downscale=2),
        plane_width=8,
        num_planes=2,
        head_pose_stem_width=4,
        head_pose_widths=(8, 8),
        head_pose_blocks=(1, 2),
        encoder=EncoderConfig(width=4, max_width=16, num_downs=2),
        volume_width=4,
        num_volume_blocks=1,
        compressed_width=2,
        motion_hourglass=hourglass,
        decoder=decoder,
        num_decoder_blocks=1,
        spade_width=4,
    )


@pytest.fixture(scope="session")
def tiny_configs(tiny_fnevr_config, tiny_fomm_config):
    """Every published model on 32x32 pixels (DaGAN: 64x64), by the name of its layout."""
    dagan = {
        **_tiny_stages(),
        "image_size": 64,
        "depth_encoder_widths": (4, 4, 4, 4, 4),
        "depth_decoder_widths": (4, 4, 4, 4, 4),
        "num_decoder_blocks": 1,
        "spade_width": 4,
    }
    return {
        "fnevr": tiny_fnevr_config,
        "fomm": tiny_fomm_config,
        "face-vid2vid": _tiny_face_vid2vid_config("residual"),
        "face-vid2vid-s": _tiny_face_vid2vid_config("spade"),
        "dagan": DaGANConfig(**dagan, decoder="residual"),
        "dagan-spade": DaGANConfig(**dagan, decoder="spade"),
    }


@pytest.fixture(scope="session")
def face_driven_configs():
    """The models that are told of faces, on 32x32 pixels; Bilayer with and without its enhancer."""
    bilayer: dict[str, Any] = {
        "image_size": 32,
        "width": 4,
        "max_width": 8,
        "texture_side": 4,
        "inference_side": 4,
        "pose_width": 8,
        "enhancer_width": 4,
        "num_enhancer_blocks": 1,
    }
    return {
        "pirender": PIRenderConfig(
            image_size=32,
            descriptor_width=8,
            hidden_width=4,
            max_width=8,
            warping_width=4,
            num_warping_downs=3,
            num_warping_ups=1,
            editing_width=4,
            num_editing_levels=2,
            num_blocks=1,
        ),
        "bilayer": BilayerConfig(**bilayer),
        "bilayer-enhanced": BilayerConfig(**bilayer, num_enhancements=2, num_harmonics=2),
    }


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
    hourglass = HourglassConfig(width=4, max_width=8, num_levels=1)
    shallow = {
        **tiny_fnevr_config.model_dump(),
        "detector": DetectorConfig(hourglass=hourglass, downscale=2),
        "encoder": EncoderConfig(width=4, max_width=8, num_downs=1),
        "motion": MotionConfig(hourglass=hourglass, downscale=4),
        "decoder": SpadeConfig(widths=(8,), modulation_width=8, spade_width=8),
    }
    sharpened = tiny_lite_config.model_copy(update={"detail_gain": 3.0, "detail_shift": 3.6})
    return _models({"fnevr": FNeVRConfig.model_validate(shallow), "lite": sharpened})


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
