from __future__ import annotations

import copy

import torch
from torch import Generator

from fnevr.runtime.precision import run_networks_in
from fnevr.train.objectives.lite import lite_terms
from fnevr.train.objectives.model import weigh


def test_terms_are_close_and_gradients_reach_every_parameter(
    tiny_model, patches, sampler, tiny_recipe
):
    recipe = tiny_recipe("full")
    pairs = sampler.sample(2, 0)
    low = copy.deepcopy(tiny_model)
    run_networks_in(low, torch.bfloat16)
    exact, rough = (
        lite_terms(model.train(), patches, pairs, recipe, Generator().manual_seed(0), 0)
        for model in (tiny_model, low)
    )
    for name, term in exact.items():
        assert rough[name].dtype == torch.float32
        torch.testing.assert_close(rough[name], term, rtol=0.1, atol=0.01)
    assert any(not torch.equal(rough[name], exact[name]) for name in exact)
    weigh(rough, recipe.weights).backward()
    assert all(parameter.grad is not None for parameter in low.parameters())


def test_keypoints_and_flow_keep_more_than_eight_bits(tiny_model, sampler):
    pairs = sampler.sample(1, 0)
    run_networks_in(tiny_model.eval(), torch.bfloat16)
    out = tiny_model(pairs.source_01, pairs.driving_01)
    keypoints = tiny_model.keypoints(pairs.source_01)
    for values in (keypoints.positions, keypoints.jacobians, out.flow, out.image):
        assert values.dtype == torch.float32
        assert not torch.equal(values, values.bfloat16().float())
