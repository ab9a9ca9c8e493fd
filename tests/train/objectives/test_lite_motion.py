from __future__ import annotations

import pytest
import torch

from fnevr.train.objectives.lite_motion import dropout_gain
from fnevr.train.share import WHOLE, Share
from fnevr.train.start import new_model


def test_equivariance_is_a_term_of_every_few_steps(tiny_model, tiny_recipe, terms_of):
    recipe = tiny_recipe("motion", equivariance_every=3)
    has_it = ["equivariance" in terms_of(tiny_model, recipe, step) for step in range(4)]
    assert has_it == [True, False, False, True]


def test_equivariance_needs_keypoints_without_targets(tiny_config, patches, tiny_recipe, terms_of):
    model = new_model(
        tiny_config.model_copy(update={"num_keypoints": 25, "num_free_keypoints": 0}),
        patches,
        seed=0,
    )
    assert "equivariance" not in terms_of(model, tiny_recipe("motion"))


def test_targets_may_drive_the_warp(tiny_model, tiny_recipe, terms_of):
    """With the landmarks' keypoints in their place, the flow does not depend on the detected."""
    recipe = tiny_recipe("motion", target_keypoints=1.0)
    model = tiny_model.eval()
    before = terms_of(model, recipe)
    with torch.no_grad():
        weight = model.detector.heatmaps.weight
        weight[:25] += 0.5 * torch.randn_like(weight[:25])
    after = terms_of(model, recipe)
    assert torch.equal(after["warped"], before["warped"])
    assert not torch.equal(after["position"], before["position"])


def test_left_out_channels_are_as_many_as_promised_and_the_mean_stays():
    rng = torch.Generator().manual_seed(0)
    gain = dropout_gain(200, 50, 0.2, rng, WHOLE)
    assert gain.shape == (200, 50, 1, 1)
    assert set(gain.unique().tolist()) == {0.0, 1.25}
    assert gain.mean().item() == pytest.approx(1, abs=0.02)
    halves = [
        dropout_gain(100, 50, 0.2, torch.Generator().manual_seed(0), Share(index, 2))
        for index in range(2)
    ]
    assert torch.equal(torch.stack(halves, dim=1).flatten(0, 1), gain)
    assert dropout_gain(3, 4, 0.0, rng, WHOLE).eq(1).all()


def test_left_out_channels_change_the_motion(tiny_model, sampler):
    pairs = sampler.sample(2, step=0)
    source, driving = (tiny_model.keypoints(x) for x in (pairs.source_01, pairs.driving_01))
    torch.nn.init.normal_(tiny_model.motion.masks.weight, std=0.1)
    ones = torch.ones(2, tiny_model.motion.width, 1, 1)
    plain = tiny_model.motion(pairs.source_01, source, driving)
    same = tiny_model.motion(pairs.source_01, source, driving, ones)
    none = tiny_model.motion(pairs.source_01, source, driving, 0 * ones)
    assert torch.equal(plain.masks, same.masks)
    assert not torch.allclose(plain.masks, none.masks)
