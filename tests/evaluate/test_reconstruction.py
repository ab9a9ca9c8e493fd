from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fnevr.config.models import LiteConfig
from fnevr.data.clips import Clip
from fnevr.evaluate.metrics.psnr import psnr
from fnevr.evaluate.reconstruction import ClipScore, score_clip, score_still, summarize
from fnevr.geometry.patches import FacePatches
from fnevr.train.start import new_model

SIZE = 64
SHIFTS = [0, 4, -4, 8, 2]  # pixels to the right of frame 0


@pytest.fixture(scope="module")
def patches():
    return FacePatches.packaged()


@pytest.fixture(scope="module")
def model(patches):
    config = LiteConfig(
        image_size=SIZE,
        num_keypoints=27,
        num_free_keypoints=2,
        detector_widths=(4, 6, 8),
        motion_widths=(6, 8),
        width=8,
        num_planes=3,
        plane_width=2,
        hidden_width=8,
    )
    return new_model(config, patches, seed=0).eval()


@pytest.fixture(scope="module")
def clip(patches):
    """A smooth blob that wanders over a black picture; its landmarks are a face that fills it."""
    y, x = (np.mgrid[:SIZE, :SIZE] + 0.5) * 2 / SIZE - 1
    random = np.random.default_rng(0)
    face = random.uniform(-0.4, 0.4, (478, 2))
    frames, landmarks = [], []
    for shift in SHIFTS:
        offset = 2 * shift / SIZE
        blob = 255 * np.exp(-((x - offset) ** 2 + y**2) / (2 * 0.15**2))
        frames.append(np.repeat(blob[..., None], 3, axis=2).astype(np.uint8))
        landmarks.append(face + np.array([offset, 0]))
    return Clip("blob", "b", 0.1, np.stack(frames), np.stack(landmarks).astype(np.float32))


def image_of(clip, index):
    return torch.from_numpy(clip.frames[index]).permute(2, 0, 1)[None].float() / 255


def test_still_and_model_match_one_frame_at_a_time(model, clip):
    score = score_clip(model, clip, batch_size=3)
    source = image_of(clip, 0)
    still, generated = [], []
    with torch.no_grad():
        for index in range(1, len(SHIFTS)):
            target = image_of(clip, index)
            still.append(psnr(source, target).item())
            generated.append(psnr(model(source, target).image, target).item())
    assert score.name == "blob"
    assert score.frames == len(SHIFTS) - 1
    assert score.still == pytest.approx(np.mean(still), abs=1e-3)
    assert score.model == pytest.approx(np.mean(generated), abs=1e-3)


def test_stride_takes_every_so_manieth_frame(model, clip):
    score = score_clip(model, clip, stride=2)
    expected = [psnr(image_of(clip, 0), image_of(clip, i)).item() for i in (2, 4)]
    assert score.frames == 2
    assert score.still == pytest.approx(np.mean(expected), abs=1e-3)


def test_clip_too_short_for_the_stride_says_so(model, clip):
    with pytest.raises(ValueError, match="blob has 5 frames: too few for stride 5"):
        score_clip(model, clip, stride=5)


def test_summary_averages_gains_over_clips():
    scores = [
        ClipScore("still", frames=100, still=30.0, model=29.5),
        ClipScore("moving", frames=10, still=16.0, model=20.0),
        ClipScore("also", frames=10, still=20.0, model=22.0),
    ]
    assert [score.is_moving for score in scores] == [False, True, True]
    summary = summarize(scores)
    assert (summary.clips, summary.moving_clips) == (3, 2)
    assert summary.still == pytest.approx(22.0)
    assert summary.model_gain == pytest.approx(5.5 / 3)
    assert summary.model_gain_moving == pytest.approx(3.0)
    assert summary.worst_gain == pytest.approx(-0.5)


def test_summary_without_moving_clips_has_no_number_for_them():
    score = ClipScore("still", frames=1, still=30.0, model=29.5)
    assert math.isnan(summarize([score]).model_gain_moving)


def test_summary_of_nothing_says_so():
    with pytest.raises(ValueError, match="no clips to average"):
        summarize([])


def test_still_is_scored_by_its_photograph(model, clip):
    """Each other frame is the source once; the target is the first."""
    frames = torch.from_numpy(clip.frames[:]).permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        images = [model(frames[i : i + 1], frames[:1]).image.clamp(0, 1) for i in range(1, 5)]
    score = score_still(model, clip)
    assert score.frames == 4
    made = [psnr(image, frames[:1]).item() for image in images]
    assert score.model == pytest.approx(np.mean(made), abs=1e-3)
    views = [psnr(frames[i : i + 1], frames[:1]).item() for i in range(1, 5)]
    assert score.still == pytest.approx(np.mean(views), abs=1e-3)


def test_photograph_alone_cannot_be_scored(model, clip):
    with pytest.raises(ValueError, match="no frame beside the photograph"):
        score_still(model, Clip("one", "a", 0.0, clip.frames[:1], clip.landmarks[:1]))
