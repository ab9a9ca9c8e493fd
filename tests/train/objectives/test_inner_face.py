"""Training of eyes and mouth alone: every term falls, and nothing else changes."""

from __future__ import annotations

import functools

import pytest
import torch
from torch.optim import Adam

from fnevr.errors import FnevrError
from fnevr.models.discriminator import MultiScaleDiscriminator
from fnevr.models.perceptual import VGG19
from fnevr.train.objectives import critics
from fnevr.train.objectives.inner_face import inner_face_terms
from fnevr.train.objectives.model import Objective, weigh
from fnevr.train.parameters import parameter_groups
from fnevr.train.recipe_table import RECIPES, stage_of
from fnevr.train.share import WHOLE
from fnevr.train.start import new_model


@pytest.fixture
def model(tiny_config, patches):
    config = tiny_config.model_copy(update={"inner_face_width": 8})
    return new_model(config, patches, seed=0).train()


@pytest.fixture
def judges(monkeypatch, tiny_recipe):
    small = functools.partial(MultiScaleDiscriminator, width=2, max_width=8, num_blocks=2)
    monkeypatch.setattr(critics, "MultiScaleDiscriminator", small)
    features = VGG19(width=2)
    monkeypatch.setattr(critics, "load_features", lambda _: features)
    return critics.Critics(tiny_recipe("inner-face"), 144, torch.device("cpu"))


def test_every_term_falls_and_nothing_else_changes(model, judges, sampler, tiny_recipe):
    recipe = tiny_recipe("inner-face")
    objective, pairs = Objective(model, recipe), sampler.sample(2, 0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = Adam(parameter_groups(model, recipe), lr=3e-3)
    history = []
    for step in range(12):
        terms = objective(pairs, step, WHOLE, judges)
        history.append({name: term.item() for name, term in terms.items()})
        optimizer.zero_grad()
        weigh(terms, recipe.weights).backward()
        optimizer.step()
    assert set(terms) == set(recipe.weights.model_dump())
    assert {name for name in terms if not history[-1][name] < history[0][name]} == set()
    changed = {name for name, value in model.state_dict().items() if not value.equal(before[name])}
    assert {name.split(".")[0] for name in changed} == {"inner_face"}
    trained = {name for name, _ in model.named_parameters() if name.startswith("inner_face.")}
    assert trained <= changed


def test_the_other_stages_leave_it_as_it_is(model, tiny_recipe):
    for stage in ("motion", "full"):
        parameter_groups(model, tiny_recipe(stage))
        assert not any(each.requires_grad for each in model.inner_face.parameters())


def test_lite_is_trained_whole_unless_told_otherwise():
    assert stage_of("fnevr-lite") == "full"
    assert "motion_rate" not in RECIPES["inner-face"].model_dump()


def test_a_model_without_it_is_refused(tiny_model, sampler, judges):
    with pytest.raises(FnevrError, match="no inner_face_width"):
        inner_face_terms(tiny_model, sampler.sample(2, 0), judges.compare)
