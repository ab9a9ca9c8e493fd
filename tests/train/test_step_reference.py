from __future__ import annotations

import copy

import pytest
import torch
from torch import Generator

from fnevr.losses import PerceptualLoss
from fnevr.models import FOMM, FNeVR
from fnevr.models.discriminator import MultiScaleDiscriminator
from fnevr.models.perceptual import VGG19
from fnevr.train.step_reference import (
    ReferenceLossWeights,
    ReferenceNetworks,
    discriminator_terms,
    generator_terms,
    update,
    weigh_terms,
)

TERMS = {
    "perceptual",
    "generator",
    "feature_matching",
    "equivariance_position",
    "equivariance_jacobian",
}
BOTH = pytest.mark.parametrize("kind", ["fnevr", "fomm"])


@pytest.fixture
def networks(tiny_fnevr_config, tiny_fomm_config):
    """Make the tiny networks of one kind."""

    def make(kind, **options):
        model = FNeVR(tiny_fnevr_config) if kind == "fnevr" else FOMM(tiny_fomm_config)
        discriminator = MultiScaleDiscriminator(width=2, max_width=8, num_blocks=2, **options)
        perceptual = PerceptualLoss(VGG19(width=2), downscales=(1, 2))
        return ReferenceNetworks(model.train(), discriminator, perceptual)

    return make


@pytest.fixture
def pair():
    return torch.rand(2, 2, 3, 32, 32).unbind()


def terms_of(networks, pair, seed=0):
    return generator_terms(networks, pair[0], pair[1], Generator().manual_seed(seed))


@BOTH
def test_each_model_has_its_terms_and_every_term_a_weight(networks, pair, kind):
    made = networks(kind)
    terms, generated_01, driving = terms_of(made, pair)
    assert set(terms) == (TERMS | {"auxiliary"} if kind == "fnevr" else TERMS)
    judged = discriminator_terms(made.discriminator, generated_01, pair[1], driving)
    assert set(terms) | set(judged) <= set(ReferenceLossWeights.model_fields)
    assert all(term.ndim == 0 and term > 0 for term in (terms | judged).values())


@BOTH
def test_gradients_are_finite_and_reach_every_parameter_of_the_model_alone(networks, pair, kind):
    made = networks(kind)
    weigh_terms(terms_of(made, pair)[0], ReferenceLossWeights()).backward()
    for name, parameter in made.model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert all(parameter.grad is None for parameter in made.discriminator.parameters())
    assert all(parameter.requires_grad for parameter in made.discriminator.parameters())


def test_the_discriminators_loss_reaches_the_discriminator_alone(networks, pair):
    made = networks("fnevr")
    _, generated_01, driving = terms_of(made, pair)
    terms = discriminator_terms(made.discriminator, generated_01, pair[1], driving)
    weigh_terms(terms, ReferenceLossWeights()).backward()
    assert all(parameter.grad is not None for parameter in made.discriminator.parameters())
    assert all(parameter.grad is None for parameter in made.model.parameters())


@BOTH
def test_one_step_lowers_the_models_loss_on_its_batch(networks, pair, kind):
    made, weights = networks(kind), ReferenceLossWeights()
    fixed = copy.deepcopy(made.discriminator)
    optimizers = made.optimizers(rate=1e-4)
    losses = []
    for _ in range(2):
        judge = ReferenceNetworks(made.model, copy.deepcopy(fixed), made.perceptual)
        losses.append(weigh_terms(terms_of(judge, pair)[0], weights).item())
        update(made, optimizers, pair[0], pair[1], weights, Generator().manual_seed(0))
    assert losses[1] < losses[0]


def test_updates_alternate(networks, pair):
    """Each optimizer changes its own network only, the discriminator on the pictures of before."""
    made, weights = networks("fomm"), ReferenceLossWeights()
    optimizers = made.optimizers()
    changes = []
    before = {}

    def parameters():
        both = {"model": made.model, "discriminator": made.discriminator}
        return {k: [p.detach().clone() for p in v.parameters()] for k, v in both.items()}

    def watch(*_):
        before.update(parameters())

    def compare(*_):
        after = parameters()
        changes.append(
            {
                name
                for name in after
                if any(not torch.equal(*p) for p in zip(after[name], before[name], strict=True))
            }
        )

    for optimizer in (optimizers.model, optimizers.discriminator):
        optimizer.register_step_pre_hook(watch)
        optimizer.register_step_post_hook(compare)
    terms = update(made, optimizers, pair[0], pair[1], weights, Generator().manual_seed(0))
    assert changes == [{"model"}, {"discriminator"}]
    assert set(terms) == TERMS | {"discriminator"}


def test_the_discriminator_learns_to_tell(networks, pair):
    made = networks("fomm")
    optimizers = made.optimizers(rate=1e-3)
    weights = ReferenceLossWeights(
        perceptual=0, feature_matching=0, generator=0, equivariance_jacobian=0,
        equivariance_position=0,
    )  # fmt: skip
    rng = Generator().manual_seed(0)
    losses = [
        update(made, optimizers, pair[0], pair[1], weights, rng)["discriminator"] for _ in range(15)
    ]
    assert losses[-1] < losses[0]


def test_a_discriminator_may_see_the_keypoints(networks, pair):
    made = networks("fomm", num_keypoints=3)
    terms, generated_01, driving = terms_of(made, pair)
    judged = discriminator_terms(made.discriminator, generated_01, pair[1], driving)
    assert (terms["generator"] + judged["discriminator"]).isfinite()


def test_same_generator_gives_the_same_warps(networks, pair):
    made = networks("fomm")
    made.model.eval()
    first, second, other = (terms_of(made, pair, seed)[0] for seed in (3, 3, 4))
    assert torch.equal(first["equivariance_position"], second["equivariance_position"])
    assert not torch.equal(first["equivariance_position"], other["equivariance_position"])


def test_weighed_sum_with_the_released_weights():
    terms = {"perceptual": torch.tensor(0.5), "auxiliary": torch.tensor(2.0)}
    assert weigh_terms(terms, ReferenceLossWeights()).item() == 10 * 0.5 + 5 * 2.0
