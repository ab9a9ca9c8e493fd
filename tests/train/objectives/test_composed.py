"""Training by what engines compose: every term falls, and the keypoints stay."""

from __future__ import annotations

import functools

import pytest
import torch
from torch.optim import Adam

from fnevr.errors import FnevrError
from fnevr.losses import log_squared
from fnevr.models.discriminator import MultiScaleDiscriminator
from fnevr.models.encoded_source import Detail, EncodedSource
from fnevr.models.perceptual import VGG19
from fnevr.train.objectives import composed, critics
from fnevr.train.objectives.composed import composed_terms
from fnevr.train.objectives.model import Objective, weigh
from fnevr.train.parameters import parameter_groups
from fnevr.train.recipe import ComposedWeights
from fnevr.train.share import WHOLE
from fnevr.train.start import new_model

SHARPENED = {"inner_face_width": 8, "detail_gain": 3.0, "detail_shift": 1.0}


@pytest.fixture
def model(tiny_config, patches):
    return new_model(tiny_config.model_copy(update=SHARPENED), patches, seed=0).train()


@pytest.fixture
def judges(monkeypatch, tiny_recipe):
    small = functools.partial(MultiScaleDiscriminator, width=2, max_width=8, num_blocks=2)
    monkeypatch.setattr(critics, "MultiScaleDiscriminator", small)
    features = VGG19(width=2)
    monkeypatch.setattr(critics, "load_features", lambda _: features)
    return critics.Critics(tiny_recipe("composed"), 64, torch.device("cpu"))


GAME = ComposedWeights.model_validate(dict.fromkeys(ComposedWeights().model_dump(), 0))


@pytest.mark.parametrize(
    ("weights", "others"),
    [
        (ComposedWeights(), {"generator"}),  # the others pull harder
        (GAME.model_copy(update={"generator": 1.0}), set(GAME.model_dump()) - {"generator"}),
    ],
)
def test_every_term_falls_and_the_keypoints_stay(
    model, judges, sampler, tiny_recipe, weights, others
):
    recipe = tiny_recipe("composed", motion_dropout=0.0, weights=weights)
    objective, pairs = Objective(model, recipe), sampler.sample(2, 0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    groups = parameter_groups(model, recipe)
    optimizer = Adam(groups, lr=2e-3)
    history = []
    for step in range(16):
        terms = objective(pairs, step, WHOLE, judges)
        history.append({name: term.item() for name, term in terms.items()})
        optimizer.zero_grad()
        weigh(terms, recipe.weights).backward()
        assert all(each.grad is not None for group in groups for each in group["params"])
        optimizer.step()
    assert set(terms) == set(recipe.weights.model_dump())
    rising = {name for name in terms if not history[-1][name] < history[0][name]}
    assert rising - others == set()
    changed = {name for name, value in model.state_dict().items() if not value.equal(before[name])}
    parts = {name.split(".")[0] for name in changed}
    assert parts == {"encoder", "motion", "renderer", "decoder", "inner_face"}
    assert {"motion.log_widths", "motion.biases"} <= changed


def test_the_generator_gets_its_share_of_the_gradient(judges, tiny_recipe, monkeypatch):
    weights = ComposedWeights(perceptual=2.0, feature_matching=3.0, generator=0.5)
    landmarks, (image, target) = torch.zeros(2, 478, 2), torch.rand(2, 2, 3, 64, 64)

    def gradients(share):
        judges.shared = tiny_recipe("composed", weights=weights, generator_share=share)
        x = image.clone().requires_grad_()
        terms = judges.compare(x, target, landmarks)
        values = weights.model_dump()
        return {
            name: torch.autograd.grad(values[name] * terms[name], x, retain_graph=True)[0]
            for name in ("perceptual", "feature_matching", "generator")
        }

    for share in (0.05, 0.4):
        found = gradients(share)
        beside = found["perceptual"] + found["feature_matching"]
        assert found["generator"].norm() == pytest.approx(share * beside.norm().item(), rel=1e-4)
    monkeypatch.setattr(critics, "MOST_SCALED", 2.0)
    most = gradients(1e9)["generator"]
    judges.shared = None
    x = image.clone().requires_grad_()
    term = weights.generator * judges.compare(x, target, landmarks)["generator"]
    torch.testing.assert_close(most, 2 * torch.autograd.grad(term, x)[0])


def test_a_share_of_nothing_is_refused(tiny_recipe):
    for none in ({"perceptual": 0, "feature_matching": 0}, {"generator": 0}):
        weights = ComposedWeights.model_validate(none)
        with pytest.raises(ValueError, match="generator_share needs"):
            tiny_recipe("composed", weights=weights, generator_share=0.1)


def test_what_is_compared_is_what_engines_draw(model, sampler, tiny_recipe, monkeypatch):
    pairs, recipe = sampler.sample(2, 0), tiny_recipe("composed", motion_dropout=0.0)
    compared = []

    def look(image, target):
        compared.append(image)
        return log_squared(image, target)

    monkeypatch.setattr(composed, "log_squared", look)
    with torch.no_grad():
        composed_terms(model, pairs, recipe, torch.Generator())
        # Batch statistics, as in training; the detector's are those that it keeps.
        model.train()
        model.detector.eval()
        features = model.encode(pairs.source_01)
        source = EncodedSource(pairs.source_01, model.keypoints(pairs.source_01), features)
        detailed = Detail.opaque(pairs.source_01)
        layers = model.draw_layers(source, model.keypoints(pairs.driving_01))
        expected = model.blend_layers(detailed, *layers)
    torch.testing.assert_close(compared[0], expected)


def test_a_model_without_an_inner_face_is_refused(tiny_model, sampler, judges, tiny_recipe):
    pairs, recipe = sampler.sample(2, 0), tiny_recipe("composed")
    with pytest.raises(FnevrError, match="no inner_face_width"):
        composed_terms(tiny_model, pairs, recipe, torch.Generator(), compare=judges.compare)
