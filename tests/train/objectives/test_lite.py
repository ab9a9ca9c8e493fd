from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Generator

from fnevr.geometry.flow import flow_to_grid, sample
from fnevr.losses import log_squared, pyramid_l1, region_weights, weighted_l1
from fnevr.train.objectives.lite import draw_window
from fnevr.train.objectives.model import weigh
from fnevr.train.recipe_table import RECIPES

MOTION_TERMS = {"position", "jacobian", "equivariance", "warped", "smoothness"}
PICTURE_TERMS = {
    *("image", "log_squared", "regions"),
    *("auxiliary", "decoded", "decoded_regions"),
}


@pytest.mark.parametrize(
    ("stage", "names"), [("motion", MOTION_TERMS), ("full", MOTION_TERMS | PICTURE_TERMS)]
)
def test_each_stage_has_its_terms_and_every_term_a_weight(
    stage, names, tiny_model, tiny_recipe, terms_of
):
    terms = terms_of(tiny_model, tiny_recipe(stage))
    assert set(terms) == names
    assert names <= set(type(RECIPES[stage].weights).model_fields)
    assert all(term.ndim == 0 and term > 0 for term in terms.values())


def test_every_weight_is_of_a_term_that_some_objective_computes():
    critics = {"perceptual", "identity", "face_features", "generator", "feature_matching"}
    assert set(type(RECIPES["motion"].weights).model_fields) == MOTION_TERMS
    full = MOTION_TERMS | PICTURE_TERMS | {"sigma", "hedging"} | critics
    assert set(type(RECIPES["full"].weights).model_fields) == full


def test_the_head_gives_a_term_whose_gradient_reaches_the_density_alone(
    tiny_model, tiny_recipe, terms_of
):
    recipe = tiny_recipe("full")
    weights = recipe.weights.model_copy(update={"sigma": 1.0})
    recipe = recipe.model_copy(update={"weights": weights})
    terms = terms_of(tiny_model, recipe)
    assert set(terms) == MOTION_TERMS | PICTURE_TERMS | {"sigma"}
    assert 0 < terms["sigma"] < np.e
    terms["sigma"].backward()
    parameters = tiny_model.named_parameters()
    touched = {n for n, p in parameters if p.grad is not None and p.grad.any()}
    assert any(name.startswith("renderer.density_volume") for name in touched)
    assert not any(
        name.startswith(("decoder", "renderer.color", "renderer.field")) for name in touched
    )


def test_terms_compare_what_they_say(tiny_model, patches, sampler, tiny_recipe, terms_of):
    """In eval mode, with a window of the whole picture, from the model's public outputs."""
    recipe = tiny_recipe("full", window=64)
    pairs = sampler.sample(2, 0)
    model = tiny_model.eval()
    terms = terms_of(model, recipe)
    out = model(pairs.source_01, pairs.driving_01)
    torch.testing.assert_close(terms["image"], pyramid_l1(out.image, pairs.driving_01, 4))
    torch.testing.assert_close(terms["log_squared"], log_squared(out.image, pairs.driving_01))
    attention = region_weights(pairs.driving_landmarks, 64, recipe.region_gain)
    for name, picture in (("regions", out.image), ("decoded_regions", out.decoded)):
        torch.testing.assert_close(terms[name], weighted_l1(picture, pairs.driving_01, attention))
    torch.testing.assert_close(terms["auxiliary"], pyramid_l1(out.rendered, pairs.driving_01, 2))
    torch.testing.assert_close(terms["decoded"], pyramid_l1(out.decoded, pairs.driving_01, 2))

    keypoints = [model.keypoints(x) for x in (pairs.source_01, pairs.driving_01)]
    flow = model.motion(pairs.source_01, *keypoints).flow
    half = [F.avg_pool2d(x, kernel_size=2) for x in (pairs.source_01, pairs.driving_01)]
    warped = pyramid_l1(sample(half[0], flow_to_grid(flow, 32, 32)), half[1], 4)
    torch.testing.assert_close(terms["warped"], warped)
    rough = flow.diff(dim=2).abs().mean() + flow.diff(dim=3).abs().mean()
    torch.testing.assert_close(terms["smoothness"], rough)
    landmarks = (pairs.source_landmarks, pairs.driving_landmarks)
    errors = [
        (k.positions[:, :25] - patches(points).positions).abs().mean()
        for k, points in zip(keypoints, landmarks, strict=True)
    ]
    torch.testing.assert_close(terms["position"], torch.stack(errors).mean())


def test_same_generator_gives_the_same_terms(tiny_model, tiny_recipe, terms_of):
    recipe = tiny_recipe("full")
    model = tiny_model.eval()
    first, second, other = (terms_of(model, recipe, seed=s) for s in (3, 3, 4))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["equivariance"], other["equivariance"])


@pytest.mark.parametrize("stage", ["motion", "full"])
def test_backward_reaches_every_parameter_of_the_stage(stage, tiny_model, tiny_recipe, terms_of):
    recipe = tiny_recipe(stage)
    weigh(terms_of(tiny_model.train(), recipe), recipe.weights).backward()
    missing = {name for name, p in tiny_model.named_parameters() if p.grad is None}
    if stage == "motion":
        # Occlusion, context and code are of the features, which this stage does not warp.
        names = {name for name, _ in tiny_model.named_parameters()}
        generator = ("encoder.", "renderer.", "decoder.", "motion.code.")
        unused = (*generator, "motion.occlusion.", "motion.context.")
        assert missing == {name for name in names if name.startswith(unused)}
    else:
        assert missing == set()


def test_weighed_sum(tiny_recipe):
    recipe = tiny_recipe("full")
    terms = {"image": torch.tensor(0.5), "jacobian": torch.tensor(2.0)}
    expected = recipe.weights.image * 0.5 + recipe.weights.jacobian * 2.0
    assert weigh(terms, recipe.weights).item() == pytest.approx(expected)


def test_windows_stay_inside_and_prefer_the_middle():
    rng = Generator().manual_seed(0)
    windows = [draw_window(64, 32, rng) for _ in range(400)]
    tops = torch.tensor([float(w.top) for w in windows])
    assert {w.size for w in windows} == {32}
    assert (tops.min(), tops.max()) == (0, 32)
    assert tops.mean().item() == pytest.approx(16, abs=1)
    assert ((tops - 16).abs() <= 9).float().mean() > 0.6
    assert draw_window(16, 16, rng) == dataclasses.replace(windows[0], top=0, left=0, size=16)


def test_window_larger_than_the_picture_says_so():
    with pytest.raises(ValueError, match="window of 128 pixels does not fit pictures of 64"):
        draw_window(16, 32, Generator())
