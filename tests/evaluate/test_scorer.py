from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from fnevr.config.presets import resolve_model
from fnevr.data.clips import Clip
from fnevr.errors import CheckpointError, FnevrError
from fnevr.evaluate.clips import EvaluationClip
from fnevr.evaluate.columns import COLUMNS, clip_value
from fnevr.evaluate.metrics.fid import frechet_distance
from fnevr.evaluate.metrics.psnr import MAX_PSNR_DB
from fnevr.evaluate.networks.available import NetworkFiles, Networks, load_networks
from fnevr.evaluate.protocols import Pair, make_pairs, model_predictor, still_predictor
from fnevr.evaluate.reconstruction import score_clip
from fnevr.evaluate.scorer import ClipScorer, to_tensor
from fnevr.evaluate.store import ScoreStore, settings_key
from fnevr.models.lite import FNeVRLite
from fnevr.runtime.torch_engine import TorchEngine


class MeanColour:
    """Stands in for an identity network: the picture's mean colour."""

    def embed(self, rgb, landmarks):
        return rgb.mean(axis=(0, 1)).astype(float)


@pytest.fixture(scope="module")
def networks():
    found = load_networks(NetworkFiles())
    found.embedders = {"-colour": MeanColour()}
    return found


@pytest.fixture(scope="module")
def scorer(walk, networks):
    return ClipScorer(walk[0], walk[0], walk[1:], networks, is_target=True, every=2)


def column(scores, name):
    return clip_value(scores, next(column for column in COLUMNS if column.name == name))


def filtered(change, scorer):
    """Predict each frame as a changed copy of itself."""
    return lambda numbers: to_tensor(np.stack([change(scorer.driving[i]) for i in numbers]))


def repeated(scorer):
    """Predict each frame as itself."""
    return filtered(lambda frame: frame, scorer)


def blurred(rgb):
    return np.asarray(Image.fromarray(rgb).filter(ImageFilter.GaussianBlur(1)))


def test_an_identical_video_is_perfect(scorer):
    scores = scorer.score(repeated(scorer))
    assert column(scores, "l1") == 0
    assert column(scores, "psnr") == MAX_PSNR_DB
    assert column(scores, "ssim") == pytest.approx(1)
    assert column(scores, "lpips-efficientnet") == 0
    assert column(scores, "akd-mediapipe") == 0
    assert column(scores, "pose_error") == 0
    assert column(scores, "jitter") == 0
    assert column(scores, "mouth") == column(scores, "eyes") == pytest.approx(1)
    assert column(scores, "lost") == 0
    assert np.nanmax(scores.values["aed-colour"]) == 0
    assert np.nanmin(scores.values["csim-colour"]) == pytest.approx(1)
    features = scores.features["fid-efficientnet"]
    assert features.shape == (3, 1280)
    real = scorer.meter.features(scorer.driving)["fid-efficientnet"]
    assert frechet_distance(features, real) == pytest.approx(0, abs=1e-6)


def test_known_degradations_fall_in_order(scorer, walk):
    """A shift by 3 pixels moves the landmarks by 3, a blur hardly; a still frame by ever more."""
    blur = scorer.score(filtered(blurred, scorer))
    shift = scorer.score(filtered(lambda rgb: np.roll(rgb, 3, axis=1), scorer))
    still = scorer.score(still_predictor(walk[0]))
    for name, better in (("psnr", 1), ("ssim", 1), ("l1", -1), ("lpips-efficientnet", -1)):
        values = [better * column(scores, name) for scores in (shift, still)]
        assert values[0] > values[1], name
    # Mean of both coordinates: a shift along one counts half.
    assert column(blur, "akd-mediapipe") < 0.75 < column(shift, "akd-mediapipe")
    assert column(shift, "akd-mediapipe") == pytest.approx(1.5, abs=0.25)
    shifts = np.array([3, 6, 9, 12, 15, 18]) / 2
    np.testing.assert_allclose(still.values["akd-mediapipe"], shifts, atol=0.75)
    assert column(blur, "psnr") > column(still, "psnr")
    assert column(blur, "ssim") > column(still, "ssim")
    assert column(shift, "jitter") < 0.5
    assert column(shift, "pose_error") < 1


def test_trembling_is_jitter(scorer):
    steps = iter(range(100))
    shaken = scorer.score(
        filtered(lambda rgb: np.roll(rgb, 4 if next(steps) % 2 else -4, axis=0), scorer)
    )
    # The error alternates between -4 and 4: its second difference is 16.
    assert column(shaken, "jitter") == pytest.approx(16, abs=2)


def test_frames_without_a_face_are_counted_and_left_out(scorer):
    scores = scorer.score(lambda numbers: torch.full((len(numbers), 3, 256, 256), 0.5))
    assert column(scores, "lost") == 6
    assert np.isnan(column(scores, "akd-mediapipe"))
    assert np.isnan(column(scores, "mouth"))
    assert np.isfinite(column(scores, "l1"))


def test_costly_metrics_look_at_every_second_frame(scorer):
    values = scorer.score(repeated(scorer)).values
    for name in ("lpips-efficientnet", "csim-colour"):
        assert np.isfinite(values[name]).tolist() == [True, False] * 3
    assert len(values["psnr"]) == 6


def test_without_a_truth_the_source_is_what_identity_is_compared_with(walk, networks):
    source = np.ascontiguousarray(walk[0][:, ::-1])
    scorer = ClipScorer(source, walk[0], walk[1:], networks, is_target=False, every=1)
    scores = scorer.score(still_predictor(source))
    assert "psnr" not in scores.values
    assert "akd-mediapipe" not in scores.values
    assert scores.values["aed-colour"] == [0.0] * 6
    assert column(scores, "lost") == 0
    # Neither the head nor the driver's turned.
    assert column(scores, "pose_error") < 1.5


def test_no_frames_say_so(walk):
    with pytest.raises(ValueError, match="no frames to score"):
        ClipScorer(walk[0], walk[0], walk[:0], Networks(), is_target=True, every=1)


def test_a_model_scores_as_in_the_reconstruction_table(scorer, walk):
    model = FNeVRLite.from_pretrained(resolve_model("lite")).eval()
    scores = scorer.score(model_predictor(TorchEngine(model), walk[0], walk, "same-identity"))
    clip = Clip("walk", "a", 0.1, walk, np.zeros((7, 478, 2), np.float32))
    with torch.inference_mode():
        expected = score_clip(model, clip)
    assert column(scores, "psnr") == pytest.approx(expected.model, abs=1e-3)


def test_relative_motion_of_nobody_keeps_the_source(walk):
    """Driven by the reference frame itself, cross-identity shows what the source's keypoints do."""
    model = FNeVRLite.from_pretrained(resolve_model("lite")).eval()
    source = np.ascontiguousarray(walk[0][:, ::-1])
    driver = walk[[2, 2]]
    predict = model_predictor(TorchEngine(model), source, driver, "cross-identity")
    keypoints = model.keypoints(to_tensor(source[None]))
    own = model.draw(model.read_detailed(to_tensor(source[None])), keypoints)
    torch.testing.assert_close(predict(np.arange(1)), own.detach(), atol=1e-4, rtol=1e-4)


# Networks


def test_every_metric_has_a_column():
    found = load_networks(NetworkFiles())
    metrics = {*found.pictures, *found.features}
    metrics |= {f"{kind}{name}" for name in found.embedders for kind in ("aed", "csim")}
    assert metrics <= {column.name for column in COLUMNS}


def test_what_is_not_there_is_named_and_what_was_named_must_be_there(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    found = load_networks(NetworkFiles())
    assert {"lpips", "fid", "csim", "akd", "aed, aed-l1"} <= set(found.missing)
    for why in found.missing.values():
        assert re.search("(fetch|take) .*https://|pip install", why), "the remedy"
    assert {"l1", "psnr", "ssim", "lpips-efficientnet"} == set(found.pictures)
    assert set(found.features) == {"fid-efficientnet"}
    for name in ("alexnet", "inception", "arcface", "openface"):
        with pytest.raises(CheckpointError, match=r"gone\.file"):
            load_networks(NetworkFiles(**{name: tmp_path / "gone.file"}))


def test_the_standard_embedding_gives_a_cosine_and_no_distance(walk):
    """`aed` is OpenFace's; ArcFace, whose embedder has no name of its own, gives `csim`."""
    networks = Networks(embedders={"": MeanColour(), "-colour": MeanColour()})
    scorer = ClipScorer(walk[0], walk[0], walk[1:3], networks, is_target=True, every=1)
    names = set(scorer.score(repeated(scorer)).values)
    assert {"csim", "csim-colour", "aed-colour"} <= names
    assert "aed" not in names


# Pairs


def clips(*identities):
    return [
        EvaluationClip(f"c{i}", lambda side: np.zeros((2, side, side, 3), np.uint8), who)
        for i, who in enumerate(identities)
    ]


def test_same_identity_pairs_each_clip_with_itself():
    pairs = make_pairs(clips("a", "b"), "same-identity", None, 0)
    assert [(pair.source, pair.driver, pair.name) for pair in pairs] == [
        ("c0", "c0", "c0"),
        ("c1", "c1", "c1"),
    ]


def test_drawn_drivers_are_other_people_and_the_same_for_a_seed():
    people = clips("a", "a", "b", "b", "c", "d", "e", "f")
    pairs = make_pairs(people, "cross-identity", None, 1)
    who = {clip.name: clip.identity for clip in people}
    assert [pair.source for pair in pairs] == list(who)
    assert all(who[pair.source] != who[pair.driver] for pair in pairs)
    assert pairs == make_pairs(people, "cross-identity", None, 1)
    assert pairs != make_pairs(people, "cross-identity", None, 2)
    with pytest.raises(FnevrError, match="shows anybody but"):
        make_pairs(clips("a", "a"), "cross-identity", None, 0)


def test_pairs_from_a_file(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("source,driver\nc0.mp4,c1\nc1,c0\n")
    pairs = make_pairs(clips("a", "b"), "cross-identity", path, 0)
    assert pairs == [Pair("c0", "c1"), Pair("c1", "c0")]
    assert pairs[0].name == "c0--c1"
    path.write_text("source,driver\nc0,c9\n")
    with pytest.raises(FnevrError, match="'c9', which is no clip"):
        make_pairs(clips("a", "b"), "cross-identity", path, 0)
    path.write_text("from,to\nc0,c1\n")
    with pytest.raises(FnevrError, match=r"lacks the columns \['driver', 'source'\]"):
        make_pairs(clips("a", "b"), "cross-identity", path, 0)
    path.write_text("source,driver\nc0\n")
    with pytest.raises(FnevrError, match="row 1 ends before its driver"):
        make_pairs(clips("a", "b"), "cross-identity", path, 0)
    with pytest.raises(FnevrError, match="cannot read"):
        make_pairs(clips("a", "b"), "cross-identity", tmp_path / "none.csv", 0)
    with pytest.raises(FnevrError, match="pairs are for `protocol='cross-identity'`"):
        make_pairs(clips("a", "b"), "same-identity", path, 0)


# Store


def test_scores_come_back_as_they_went(scorer, walk, tmp_path):
    store = ScoreStore(tmp_path / "scores")
    scores = scorer.score(still_predictor(walk[0]))
    assert not store.has("still", "walk")
    store.write("still", "walk", scores)
    assert store.has("still", "walk")
    loaded = store.read("still", "walk")
    assert repr(loaded.values) == repr(scores.values)  # NaN equals itself there
    assert np.array_equal(loaded.features["fid-efficientnet"], scores.features["fid-efficientnet"])


def test_settings_have_a_name_of_their_own():
    assert settings_key({"a": 1, "b": 2}) == settings_key({"b": 2, "a": 1})
    assert settings_key({"a": 1}) != settings_key({"a": 2})
