from __future__ import annotations

import functools

import pytest
import torch

from fnevr.models.discriminator import MultiScaleDiscriminator
from fnevr.models.lite.inner_face import HEIGHT, WIDTH
from fnevr.models.perceptual import FaceRes
from fnevr.train.loop import Trainer
from fnevr.train.objectives import critics
from fnevr.train.objectives.critics import Critics
from fnevr.train.objectives.model import Objective, weigh
from fnevr.train.share import Share
from fnevr.train.start import new_model

WEIGHTS = {"perceptual": 1.0, "generator": 1.0, "feature_matching": 10.0}


@pytest.fixture
def make_trainer(tiny_config, patches, sampler, tiny_recipe, tmp_path, monkeypatch):
    small = functools.partial(MultiScaleDiscriminator, width=2, max_width=8)
    monkeypatch.setattr(critics, "MultiScaleDiscriminator", small)

    def make(folder="run", stage="full", weights=WEIGHTS, **changes):
        window = {"window": 64} if stage == "full" else {}
        budget = {"minutes": None, "validations": 0}
        recipe = tiny_recipe(stage, weights=weights, **window, **budget, **changes)
        config = tiny_config.model_copy(update={"inner_face_width": 0 if stage == "full" else 8})
        return Trainer(new_model(config, patches, seed=0), sampler, recipe, tmp_path / folder)

    return make


def snapshot(module):
    return [parameter.detach().clone() for parameter in module.parameters()]


def changed(module, before):
    return any(not torch.equal(p, q) for p, q in zip(module.parameters(), before, strict=True))


def test_plain_recipe_has_no_critics(tiny_recipe):
    critics = Critics(tiny_recipe("full"), 64, torch.device("cpu"))
    assert critics.discriminator is None
    assert critics.perceptual is None
    image, target = torch.rand(2, 1, 3, 64, 64)
    assert critics.compare(image, target, torch.zeros(1, 478, 2)) == {}


@pytest.mark.parametrize("stage", ["full", "inner-face", "composed"])
def test_step_trains_both_networks_and_reports_all_terms(stage, make_trainer):
    trainer = make_trainer(stage=stage, steps=1)
    assert trainer.critics.discriminator is not None
    networks = (trainer.model, trainer.critics.discriminator)
    before = [snapshot(network) for network in networks]
    terms = trainer.train_step()
    assert {*WEIGHTS, "discriminator"} <= terms.keys()
    assert all(value > 0 for value in terms.values())
    assert all(changed(*pair) for pair in zip(networks, before, strict=True))
    assert trainer.critics.pictures == []


def test_face_terms_come_with_their_network(tiny_recipe, monkeypatch, tmp_path):
    monkeypatch.setattr(FaceRes, "load", lambda path: FaceRes())
    critics = Critics(tiny_recipe("full", face_network=tmp_path), 64, torch.device("cpu"))
    image = torch.rand(1, 3, 64, 64, requires_grad=True)
    landmarks = torch.rand(1, 478, 2) - 0.5
    terms = critics.compare(image, torch.rand(1, 3, 64, 64), landmarks)
    assert terms.keys() == {"identity", "face_features"}
    assert terms["face_features"] > 0


@pytest.mark.parametrize(
    ("stage", "sides"), [("full", [(64, 64)]), ("composed", [(64, 64), (HEIGHT, WIDTH)])]
)
def test_turns_of_a_step_add_up_for_the_discriminator_too(stage, sides, make_trainer):
    trainer = make_trainer(stage=stage, steps=1, accumulate=2)
    assert trainer.discriminator is not None
    turns, loss = [], trainer.discriminator.loss
    trainer.discriminator.register_forward_pre_hook(lambda _, pairs: turns.append(pairs))
    losses = []

    def keep(*scores):
        losses.append(loss(*scores))
        return losses[-1]

    trainer.discriminator.loss = keep
    terms = trainer.train_step()
    assert terms["discriminator"] == pytest.approx(torch.stack(losses).sum().item() / 2)
    assert [[tuple(p.shape[-2:]) for p in pair] for turn in turns for pair in turn] == [
        [side, side] for side in sides * 2
    ]
    assert [len(turn) for turn in turns] == [len(sides)] * 2
    assert trainer.critics.pictures == []


def test_resuming_keeps_the_discriminator_and_its_optimizer(make_trainer):
    straight = make_trainer("straight", steps=2)
    straight.run()
    stopped = make_trainer("stopped", steps=2)
    done = []
    assert not stopped.run(on_step=lambda *_: done.append(1), should_stop=lambda: len(done) == 1)
    resumed = make_trainer("stopped", steps=2)
    assert resumed.step == 1
    assert resumed.run()
    for one, other in ((straight.model, resumed.model), (straight.critics, resumed.critics)):
        module = getattr(one, "discriminator", one)
        same = getattr(other, "discriminator", other).state_dict()
        assert all(torch.equal(same[n], value) for n, value in module.state_dict().items())
    moments = resumed.discriminator_optimizer.state_dict()["state"]
    for index, values in straight.discriminator_optimizer.state_dict()["state"].items():
        assert torch.equal(moments[index]["exp_avg"], values["exp_avg"])


@pytest.mark.parametrize("stage", ["motion", "full"])
def test_everything_happens_on_the_models_device(stage, tiny_model, sampler, tiny_recipe):
    """On the meta device, which refuses tensors of the CPU, nothing is drawn or made elsewhere."""
    recipe = tiny_recipe(stage, target_keypoints=1.0)
    module = Objective(tiny_model.train(), recipe).to("meta")
    pairs = sampler.sample_raw(4, 0).finish(torch.device("meta"))
    critics = Critics(recipe, 32, torch.device("meta"))
    terms = module(pairs, 0, Share(0, 2), critics)
    assert "equivariance" in terms
    assert {term.device.type for term in terms.values()} == {"meta"}
    weigh(terms, recipe.weights).backward()
    assert all(p.grad is not None for p in tiny_model.detector.hourglass.parameters())
