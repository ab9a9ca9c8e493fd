"""The baselines train: every term of their losses falls, and reaches what it is to train."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from support.settled import settled
from torch.optim import Adam

from fnevr.data.clips import Clip
from fnevr.data.pairs import Pairs, PairSampler
from fnevr.face3d.face_fit import TO_PICTURE, FaceBasis
from fnevr.geometry.rotations import head_rotations
from fnevr.models.discriminator import MultiScaleDiscriminator
from fnevr.models.perceptual import VGG19
from fnevr.train.log import Record
from fnevr.train.loop import Trainer
from fnevr.train.objectives import critics
from fnevr.train.objectives.discriminator import DiscriminatorObjective
from fnevr.train.objectives.model import OBJECTIVES, Objective, weigh
from fnevr.train.parameters import is_left, parameter_groups
from fnevr.train.recipe_table import RECIPES, stage_of
from fnevr.train.share import WHOLE, Share
from fnevr.train.start import start_anew

LAYOUTS = (
    "face-vid2vid",
    "face-vid2vid-s",
    "dagan",
    "dagan-spade",
    "pirender",
    "bilayer",
    "bilayer-enhanced",
)
ALL = pytest.mark.parametrize("layout", LAYOUTS)
NUM_STEPS, FASTER = 10, 10
# Gram matrices of the tiny features are far larger than those of real ones.
WEIGHTS = {"pirender": {"style": 30.0}}
UNASKED = {"identity", "face_features"}  # of a network that is not here


def face_clip(side):
    """A head that turns in a soft spot of its own, which goes along; its landmarks are exact."""
    y, x = (np.mgrid[:side, :side] + 0.5) * 2 / side - 1
    frames, landmarks = [], []
    for turn in np.linspace(-30, 30, 5):
        centre = np.array([turn / 120, turn / 180])
        rotation = head_rotations(np.array([turn, turn / 2, 0.0]))
        face = FaceBasis.packaged().template @ (TO_PICTURE[:, None] * rotation * TO_PICTURE).T
        landmarks.append(face[:, :2] + centre)
        spot = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / 0.3)
        frames.append(np.stack([spot, spot * (1 + x) / 2, spot * (1 + y) / 2], axis=-1))
    pictures = (255 * np.stack(frames)).astype(np.uint8)
    return Clip("head", "somebody", 0.1, pictures, np.stack(landmarks).astype("f4"))


@pytest.fixture
def make(tiny_configs, face_driven_configs, patches, tiny_recipe, monkeypatch):
    """A tiny model, a sampler of its size, and its recipe, with tiny networks that judge."""
    small = functools.partial(MultiScaleDiscriminator, width=2, max_width=8, num_blocks=2)
    monkeypatch.setattr(critics, "MultiScaleDiscriminator", small)
    features = VGG19(width=2)
    monkeypatch.setattr(critics, "load_features", lambda _: features)

    def make_all(layout, **changes):
        config = (tiny_configs | face_driven_configs)[layout]
        recipe = tiny_recipe(stage_of(config.architecture), minutes=None, validations=0, **changes)
        clips, describe = [face_clip(config.image_size)], OBJECTIVES[recipe.stage].describe
        sampler = PairSampler(clips, patches, seed=0, describe=describe)
        return start_anew(config, patches, seed=0).train(), sampler, recipe

    return make_all


def terms_of(model, sampler, recipe, pairs=None, share=WHOLE, with_critics=True):
    judges = critics.Critics(
        recipe if with_critics else tiny_motion(), sampler.side_px, torch.device("cpu")
    )
    pairs = sampler.sample(2, 0) if pairs is None else pairs
    return Objective(model, recipe)(pairs, 0, share, judges)


def tiny_motion():
    """A recipe that asks for no network that judges."""
    return RECIPES["motion"]


def tell_apart(judges, recipe):
    """Train the discriminator to tell the first pictures, which a step left with it, from real."""
    objective = DiscriminatorObjective(judges.discriminator, recipe.gan)
    optimizer = Adam(objective.parameters(), lr=2e-2)
    for _ in range(25):
        optimizer.zero_grad()
        objective(*judges.pictures).backward()
        optimizer.step()
    judges.discriminator.eval()


@ALL
def test_every_term_falls_on_two_pairs(make, layout):
    """The discriminator stays as it is, and the warps are the same in every step."""
    model, sampler, recipe = make(layout, weights=WEIGHTS.get(layout, {}))
    settled(model)
    judges = critics.Critics(recipe, sampler.side_px, torch.device("cpu"))
    # Batch statistics of two pictures would jump about.
    objective, pairs = Objective(model.eval(), recipe), sampler.sample(2, 0)
    optimizer = Adam(parameter_groups(model, recipe))
    for group in optimizer.param_groups:
        group["lr"] *= FASTER
    objective(pairs, 0, WHOLE, judges)
    if judges.discriminator is not None:
        tell_apart(judges, recipe)
    history = []
    for _ in range(NUM_STEPS):
        terms = objective(pairs, 0, WHOLE, judges)
        history.append({name: term.item() for name, term in terms.items()})
        optimizer.zero_grad()
        weigh(terms, recipe.weights).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.max_gradient_norm)
        optimizer.step()
    assert {name for name in terms if not history[-1][name] < history[0][name]} == set()


@ALL
def test_the_terms_are_those_of_the_weights(make, layout):
    model, sampler, recipe = make(layout)
    asked_for = {name for name, weight in recipe.weights.model_dump().items() if weight}
    assert terms_of(model, sampler, recipe).keys() == asked_for - UNASKED
    every = type(recipe.weights)(**dict.fromkeys(type(recipe.weights).model_fields, 1.0))
    recipe = recipe.model_copy(update={"weights": every})
    assert terms_of(model, sampler, recipe).keys() | UNASKED == every.model_dump().keys()


@ALL
def test_gradients_are_finite_and_reach_what_is_trained(make, layout):
    model, sampler, recipe = make(layout)
    parameter_groups(model, recipe)
    weigh(terms_of(model, sampler, recipe), recipe.weights).backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is None) == is_left(name, model, recipe), name
        assert parameter.grad is None or parameter.grad.isfinite().all(), name


@ALL
def test_shares_of_a_batch_add_up(make, layout):
    """The mean over two shares is the term of the whole batch, without the GAN's."""
    model, sampler, recipe = make(layout, batch_size=4)
    pairs, halves = sampler.sample(4, 0), []
    model.eval()
    whole = terms_of(model, sampler, recipe, pairs, with_critics=False)
    for share in (Share(0, 2), Share(1, 2)):
        part = Pairs(*(share.of(rows) for rows in vars(pairs).values() if rows is not None))
        halves.append(terms_of(model, sampler, recipe, part, share, with_critics=False))
    for name, value in whole.items():
        torch.testing.assert_close((halves[0][name] + halves[1][name]) / 2, value)


@ALL
def test_a_run_ends_in_a_model_that_is_scored(make, layout, tmp_path):
    model, sampler, recipe = make(layout, steps=2)
    recipe = recipe.model_copy(update={"validations": 1, "validation_stride": 2})
    trainer = Trainer(model, sampler, recipe, tmp_path, held_out=sampler.clips)
    before = {name: value.clone() for name, value in model.named_parameters()}
    records: list[Record] = []
    assert trainer.run(records.append)
    assert {"psnr", "still_psnr"} <= records[0].keys()
    assert (tmp_path / "best" / "model.safetensors").is_file()
    for name, value in model.named_parameters():
        assert not is_left(name, model, recipe) or torch.equal(value, before[name]), name
