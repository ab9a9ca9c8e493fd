from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from fnevr.data.clips import Clip
from fnevr.evaluate.comparison import (
    ClipScorer,
    ResultStore,
    model_predictor,
    still_predictor,
    to_tensor,
    weights_key,
)
from fnevr.evaluate.identity import IdentityEmbedder
from fnevr.evaluate.reconstruction import score_clip
from fnevr.media.image import read_image
from fnevr.models.lite import FNeVRLite
from fnevr.presets import asset, resolve_model

SCRIPT = Path(__file__).parents[2] / "scripts" / "compare_models.py"


class MeanColour(IdentityEmbedder):
    """Stands in for the network: the picture's mean colour."""

    def __init__(self):
        pass

    def embed(self, rgb, landmarks):
        return rgb.mean(axis=(0, 1))


@pytest.fixture(scope="module")
def clip():
    """The bundled portrait, wandering to the right."""
    picture = read_image(asset("portrait.jpg"))[:256, 128:384]
    frames = np.stack([np.roll(picture, 3 * step, axis=1) for step in range(4)])
    return Clip("walk.mp4", "a", 0.1, frames, np.zeros((4, 478, 2), np.float32))


@pytest.fixture(scope="module")
def scorer(clip):
    return ClipScorer(clip, MeanColour())


def test_the_real_frames_score_perfectly(scorer):
    scores = scorer.score(to_tensor)
    assert scores.l1 == [0.0] * 3
    assert scores.mean("ssim") == pytest.approx(1.0)
    assert scores.mean("landmark_distance") == 0.0
    assert scores.mean("identity_distance") == 0.0
    assert np.isnan(scores.mean("psnr"))  # all infinite
    assert scores.mouth == scores.driver_mouth
    assert scores.num_faces_missing == 0


def test_still_is_as_far_off_as_the_face_moved(scorer, clip):
    scores = scorer.score(still_predictor(clip))
    np.testing.assert_allclose(scores.landmark_distance, [3, 6, 9], atol=1.5)
    assert len(scores.psnr) == 3
    assert scores.psnr[0] > scores.psnr[2]


def test_frames_without_a_face_are_counted_and_left_out(scorer):
    scores = scorer.score(lambda driving: torch.full((len(driving), 3, 256, 256), 0.5))
    assert scores.num_faces_missing == 3
    assert np.isnan(scores.mean("landmark_distance"))
    assert np.isfinite(scores.mean("l1"))


def test_a_model_scores_as_in_the_reconstruction_table(scorer, clip):

    model = FNeVRLite.from_pretrained(resolve_model("lite")).eval()
    scores = scorer.score(model_predictor(model, clip))
    with torch.inference_mode():
        expected = score_clip(model, clip)
    assert scores.mean("psnr") == pytest.approx(expected.model, abs=1e-3)


def test_a_single_frame_says_so(clip):
    one = Clip("one.mp4", "a", 0.0, clip.frames[:1], clip.landmarks[:1])
    with pytest.raises(ValueError, match=r"one\.mp4 has one frame"):
        ClipScorer(one, MeanColour())


def test_results_are_kept_by_the_hash_of_the_weights(scorer, clip, tmp_path):
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"weights")
    key = weights_key(weights)
    weights.write_bytes(b"others")
    assert weights_key(weights) != key
    store = ResultStore(tmp_path / "results")
    scores = scorer.score(still_predictor(clip))
    assert store.read(key, clip.name) is None
    store.write(key, clip.name, scores)
    assert repr(store.read(key, clip.name)) == repr(scores)  # NaN equals itself there


def test_page_of_stored_results(scorer, clip):
    """Two predictors on one clip: the tables hold their means and the gain."""
    spec = importlib.util.spec_from_file_location("compare_models", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    still = scorer.score(still_predictor(clip))
    halfway = scorer.score(lambda driving: to_tensor(driving) * 0.9)
    text = script.page({"still": {clip.name: still}, "dim": {clip.name: halfway}})
    gain = halfway.mean("psnr") - still.mean("psnr")
    assert f"{halfway.mean('psnr'):.2f} ({gain:+.2f})" in text
    assert f"{halfway.mean('l1'):.4f}" in text
