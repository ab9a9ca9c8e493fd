from __future__ import annotations

import functools

import pytest
import torch
from torch import Generator

from fnevr.data.pairs import Pairs
from fnevr.errors import FnevrError
from fnevr.losses import log_squared, pyramid_l1, region_weights, weighted_l1
from fnevr.models import FOMM, FNeVR
from fnevr.models.discriminator import MultiScaleDiscriminator
from fnevr.models.perceptual import VGG19
from fnevr.train.loop import Trainer
from fnevr.train.objectives import critics
from fnevr.train.objectives.model import weigh
from fnevr.train.objectives.reference import reference_terms
from fnevr.train.recipe import ReferenceWeights
from fnevr.train.share import Share

EQUIVARIANCE = {"equivariance_position", "equivariance_jacobian"}
JUDGED = {"perceptual", "generator", "feature_matching"}
OF_LITE = {"image": 1.0, "log_squared": 1.0, "regions": 1.0}
BOTH = pytest.mark.parametrize("kind", ["fnevr", "fomm"])


@pytest.fixture
def make_model(tiny_fnevr_config, tiny_fomm_config):
    def make(kind):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = FNeVR(tiny_fnevr_config) if kind == "fnevr" else FOMM(tiny_fomm_config)
        return model.train()

    return make


@pytest.fixture
def make_trainer(make_model, sampler, tiny_recipe, tmp_path, monkeypatch):
    """Trainers whose judging networks are tiny."""
    small = functools.partial(MultiScaleDiscriminator, width=2, max_width=8, num_blocks=2)
    monkeypatch.setattr(critics, "MultiScaleDiscriminator", small)
    features = VGG19(width=2)
    monkeypatch.setattr(critics, "load_features", lambda _: features)

    def make(folder="run", kind="fnevr", **changes):
        recipe = tiny_recipe("reference", minutes=None, validations=0, **changes)
        return Trainer(make_model(kind), sampler, recipe, tmp_path / folder)

    return make


def plain(tiny_recipe, **weights):
    """A recipe without judging networks."""
    none = dict.fromkeys((*JUDGED, *OF_LITE), 0.0)
    return tiny_recipe("reference", weights={**none, **weights})


@BOTH
def test_a_step_has_the_terms_of_the_released_configuration(make_trainer, kind):
    trainer = make_trainer(kind=kind, steps=1)
    networks = (trainer.model, trainer.critics.discriminator)
    before = [[p.detach().clone() for p in network.parameters()] for network in networks]
    terms = trainer.train_step()
    expected = EQUIVARIANCE | JUDGED | {"discriminator"}
    assert terms.keys() == (expected | {"auxiliary"} if kind == "fnevr" else expected)
    assert all(value > 0 for value in terms.values())
    for network, old in zip(networks, before, strict=True):
        assert any(not torch.equal(p, q) for p, q in zip(network.parameters(), old, strict=True))


def test_every_weight_is_of_a_term_that_some_objective_computes():
    """A weight in `PictureWeights` is also `lite`'s: both objectives compute its term."""
    asked_for = {"sigma", "identity", "face_features"}
    expected = EQUIVARIANCE | JUDGED | OF_LITE.keys() | {"auxiliary"} | asked_for
    assert set(ReferenceWeights.model_fields) == expected


@BOTH
def test_gradients_are_finite_and_reach_every_parameter(make_model, sampler, tiny_recipe, kind):
    model, recipe = make_model(kind), plain(tiny_recipe, **OF_LITE)
    terms = reference_terms(model, sampler.sample(2, 0), recipe, Generator().manual_seed(0))
    weigh(terms, recipe.weights).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_terms_of_lite_compare_what_they_say(make_model, sampler, tiny_recipe):
    recipe = plain(tiny_recipe, **OF_LITE)
    pairs, model = sampler.sample(2, 0), make_model("fnevr").eval()
    terms = reference_terms(model, pairs, recipe, Generator())
    out = model(pairs.source_01, pairs.driving_01)
    assert out.rendered is not None
    attention = region_weights(pairs.driving_landmarks, 64, recipe.region_gain)
    expected = {
        "image": pyramid_l1(out.image, pairs.driving_01, 4),
        "log_squared": log_squared(out.image, pairs.driving_01),
        "regions": weighted_l1(out.image, pairs.driving_01, attention),
        "auxiliary": (out.rendered - pairs.driving_01).abs().mean(),
    }
    assert terms.keys() == expected.keys() | EQUIVARIANCE
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value)


@BOTH
def test_a_step_moves_every_part(make_trainer, kind):
    trainer = make_trainer(kind=kind, steps=1)
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    trainer.train_step()
    after = dict(trainer.model.named_parameters())
    for part, _ in trainer.model.named_children():
        moved = [
            not torch.equal(before[name], after[name]) for name in after if name.startswith(part)
        ]
        assert sum(moved) > 0.9 * len(moved), part


@BOTH
def test_steps_on_one_batch_lower_the_loss(make_trainer, monkeypatch, kind):
    trainer = make_trainer(kind=kind, steps=9, weights={**OF_LITE, **dict.fromkeys(JUDGED, 0.0)})
    same = trainer.sampler.sample(2, 0)
    monkeypatch.setattr(trainer, "_next_turns", lambda: [same])
    losses = [sum(trainer.train_step()[name] for name in OF_LITE) for _ in range(8)]
    assert losses[-1] < losses[0]


def test_sigma_matching_is_a_term_of_models_with_a_volume(make_model, sampler, tiny_recipe):
    recipe = plain(tiny_recipe, **OF_LITE, sigma=1.0)
    pairs = sampler.sample(2, 0)
    for kind, has_it in (("fnevr", True), ("fomm", False)):
        terms = reference_terms(make_model(kind), pairs, recipe, Generator().manual_seed(0))
        assert ("sigma" in terms) is has_it


def test_same_generator_gives_the_same_warps(make_model, sampler, tiny_recipe):
    def terms(seed):
        rng = Generator().manual_seed(seed)
        return reference_terms(model, sampler.sample(2, 0), plain(tiny_recipe), rng)

    model = make_model("fomm").eval()
    first, same, other = (terms(seed)["equivariance_position"] for seed in (3, 3, 4))
    assert first == same
    assert first != other


def test_shares_of_a_batch_add_up(make_model, sampler, tiny_recipe):
    """The mean over two shares is the term of the whole batch: they take their own warps."""
    model, recipe = make_model("fnevr").eval(), plain(tiny_recipe, **OF_LITE)
    pairs = sampler.sample(4, 0)
    whole = reference_terms(model, pairs, recipe, Generator().manual_seed(1))
    halves = []
    for share in (Share(0, 2), Share(1, 2)):
        part = Pairs(*(share.of(rows) for rows in vars(pairs).values() if rows is not None))
        halves.append(reference_terms(model, part, recipe, Generator().manual_seed(1), share))
    for name, value in whole.items():
        torch.testing.assert_close((halves[0][name] + halves[1][name]) / 2, value)


def test_all_rates_fall_at_the_milestones(make_trainer):
    trainer = make_trainer(steps=10)

    def rates(share):
        trainer._set_rates(share)
        return {group["lr"] for each in trainer.optimizers for group in each.param_groups}

    assert len(trainer.optimizers) == 2  # the discriminator's is the other
    assert rates(0.0) == rates(0.59) == {2e-4}
    assert rates(0.6) == rates(0.89) == {2e-4 * 0.1}
    assert rates(0.9) == {2e-4 * 0.1**2}


def test_resuming_equals_not_stopping_bit_for_bit(make_trainer):
    straight = make_trainer("straight", steps=4)
    straight.run()
    stopped, done = make_trainer("stopped", steps=4), []
    assert not stopped.run(on_step=lambda *_: done.append(1), should_stop=lambda: len(done) == 2)
    resumed = make_trainer("stopped", steps=4)
    assert resumed.run()
    state = resumed.average.model.state_dict()
    for name, value in straight.average.model.state_dict().items():
        assert torch.equal(state[name], value), name


def test_a_recipe_for_other_models_says_so(make_model, tiny_model, sampler, tiny_recipe, tmp_path):
    for model, stage in ((make_model("fomm"), "full"), (tiny_model, "reference")):
        with pytest.raises(FnevrError, match=f"recipe '{stage}' does not train a model of"):
            Trainer(model, sampler, tiny_recipe(stage), tmp_path)
