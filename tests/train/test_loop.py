from __future__ import annotations

import dataclasses
import itertools
import json
import math

import pytest
import torch

from fnevr.errors import CheckpointError, WriteError
from fnevr.train import loop
from fnevr.train.budget import FINAL_RATE, WARM_UP_STEPS
from fnevr.train.guard import DivergenceError
from fnevr.train.log import Record
from fnevr.train.loop import LOG_EVERY, Trainer
from fnevr.train.recipe import FullRecipe
from fnevr.train.start import new_model
from fnevr.train.validation import Validation


def minute_clock():
    """A clock that is a minute later at every look: the loop looks once, then once per step."""
    return itertools.count(0.0, 60.0).__next__


@pytest.fixture
def make_trainer(tiny_config, patches, sampler, tiny_recipe, tmp_path):
    def make(folder="run", stage="full", held_out=(), **changes):
        recipe = tiny_recipe(stage, **changes)
        model = new_model(tiny_config, patches, seed=0)
        run_dir = tmp_path / folder
        clock_s = minute_clock()
        return Trainer(model, sampler, recipe, run_dir, held_out=held_out, clock_s=clock_s)

    return make


def assert_same_state(one, other):
    """Weights, running statistics, their average and the optimizer's moments, bit for bit."""
    for part in ("model", "average"):
        state = other.parts[part].state_dict()
        mine = one.parts[part].state_dict()
        assert all(torch.equal(state[name], value) for name, value in mine.items())
    moments = other.optimizer.state_dict()["state"]
    for index, values in one.optimizer.state_dict()["state"].items():
        assert all(torch.equal(moments[index][name], value) for name, value in values.items())


@pytest.mark.parametrize("stage", ["motion", "full"])
def test_two_steps_on_one_batch_lower_the_loss(stage, make_trainer, monkeypatch):
    slow = {"motion_rate": 3e-4, "prior_rate": 3e-4}
    if stage == "full":
        slow |= {"generator_rate": 3e-4, "window": 64}
    weights = {"equivariance": 0.0}  # its warps differ from step to step
    trainer = make_trainer(stage=stage, batch_size=4, weights=weights, **slow)
    batch = trainer.sampler.sample(4, 0)
    monkeypatch.setattr(trainer, "_next_turns", lambda: [batch])
    weights, losses = trainer.recipe.weights, []
    trainer.model.train()
    for _ in range(3):
        terms = trainer.train_step()
        losses.append(sum(getattr(weights, name) * value for name, value in terms.items()))
    assert losses[0] > losses[1] > losses[2]


@pytest.mark.parametrize("stage", ["motion", "full"])
def test_resuming_equals_not_stopping_bit_for_bit(stage, make_trainer):
    """Interrupted in the step after a checkpoint; the same command ends with the same weights."""
    straight = make_trainer("straight", stage, minutes=8)
    straight.run()
    assert straight.step == 7

    stopped = make_trainer("stopped", stage, minutes=8, checkpoint_every=3)
    take_step, looks = stopped.train_step, []

    def interrupted_step():
        looks.append(stopped.step)
        if stopped.step == 4:
            raise KeyboardInterrupt
        return take_step()

    stopped.train_step = interrupted_step
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    assert looks == [0, 1, 2, 3, 4]

    resumed = make_trainer("stopped", stage, minutes=8)
    assert (resumed.step, resumed.progress.minutes) == (3, 3.0)
    assert not torch.equal(resumed.model.motion.biases, straight.model.motion.biases)
    resumed.run()
    assert resumed.step == straight.step
    assert_same_state(straight, resumed)


def test_workers_change_nothing(make_trainer):
    alone, helped = make_trainer("alone", minutes=3), make_trainer("helped", minutes=3, workers=1)
    alone.run()
    helped.run()
    assert helped.feed is None
    assert alone.step == helped.step == 2
    assert_same_state(alone, helped)


@pytest.mark.parametrize(
    ("last_is_best", "kept", "best_psnr"), [(False, [2, 4], 7.0), (True, [2, 4, 6], 6.0)]
)
def test_validates_over_the_budget_and_keeps_the_best(
    make_trainer, sampler, monkeypatch, last_is_best, kept, best_psnr
):
    monkeypatch.setattr(FullRecipe, "last_is_best", last_is_best)
    clip = sampler.clips[0]
    scores = iter([5.0, 7.0, 6.0])

    def validate(_model, clips, *, stride):
        assert (clips, stride) == ([clip], 2)
        psnr = next(scores)
        return Validation(psnr, still=4.0, gain_moving=psnr - 4, worst_gain=0.0, clips=())

    monkeypatch.setattr(loop, "validate", validate)
    trainer = make_trainer(minutes=7, held_out=[clip], validations=3, validation_stride=2)
    exported = []
    export = trainer._export

    def remember(name):
        exported.append((name, trainer.step))
        export(name)

    monkeypatch.setattr(trainer, "_export", remember)
    records: list[Record] = []
    assert trainer.run(records.append)
    validations = [record for record in records if "psnr" in record]
    assert [(r["step"], r["psnr"], r["still_psnr"]) for r in validations] == [
        (2, 5.0, 4.0),
        (4, 7.0, 4.0),
        (6, 6.0, 4.0),
    ]
    assert exported == [*(("best", step) for step in kept), ("model", 6)]
    again = make_trainer(minutes=7, held_out=[clip], validations=3, validation_stride=2)
    assert (again.progress.validations, again.progress.best_psnr) == (3, best_psnr)
    assert again.run()


@pytest.mark.parametrize(("num_clips", "steps"), [(1, [2, 4, 6, 8, 9]), (3, [5, 9]), (9, [9])])
def test_a_small_budget_does_not_go_to_validations(
    make_trainer, sampler, monkeypatch, num_clips, steps
):
    """Of 9 steps and 9 validations: 3 frames are scored of each clip, 2 pairs are a step."""
    monkeypatch.setattr(
        loop, "validate", lambda *_, **__: Validation(5.0, 4.0, math.nan, 0.0, clips=())
    )
    clips = [sampler.clips[0]] * num_clips
    options = {"held_out": clips, "validations": 9, "validation_stride": 2}
    trainer = make_trainer(minutes=None, steps=9, **options)
    records: list[Record] = []
    assert trainer.run(records.append)
    assert [record["step"] for record in records if "psnr" in record] == steps


def test_a_clip_that_stands_still_does_not_keep_the_best_from_being_found(make_trainer, sampler):
    """Repeating its first frame is exact: infinite PSNR would leave a mean that is not a number."""
    clip = sampler.clips[0]
    still = dataclasses.replace(clip, frames=clip.frames[:1].repeat(len(clip.frames), axis=0))
    trainer = make_trainer(minutes=5, held_out=[clip, still], validations=1, validation_stride=2)
    records: list[Record] = []
    assert trainer.run(records.append)
    (validation,) = [record for record in records if "psnr" in record]
    assert trainer.progress.best_psnr == validation["psnr"]
    assert math.isfinite(validation["psnr"])
    assert (trainer.run_dir / "best" / "model.safetensors").is_file()


def test_finished_run_does_nothing_more(make_trainer):
    first = make_trainer(minutes=3)
    first.run()
    again = make_trainer(minutes=3)
    again.run()
    assert again.step == first.step == 2
    assert_same_state(first, again)


def test_rates_warm_up_and_fall_with_time(make_trainer):
    trainer = make_trainer(minutes=100, motion_rate=1.0, prior_rate=2.0, generator_rate=3.0)

    def rates(step, minutes):
        trainer.progress.step = step
        trainer._set_rates(minutes / 100)
        return [group["lr"] for group in trainer.optimizer.param_groups]

    assert rates(WARM_UP_STEPS, 0.0) == [1.0, 2.0, 3.0]
    assert rates(0, 0.0)[0] == pytest.approx(1 / WARM_UP_STEPS)
    assert rates(WARM_UP_STEPS, 50.0)[0] == pytest.approx((1 + FINAL_RATE) / 2)
    assert rates(WARM_UP_STEPS, 100.0) == pytest.approx(
        [FINAL_RATE, 2 * FINAL_RATE, 3 * FINAL_RATE]
    )
    quarter = FINAL_RATE + (1 - FINAL_RATE) * (1 + math.sqrt(0.5)) / 2
    assert rates(WARM_UP_STEPS, 25.0)[0] == pytest.approx(quarter)


def test_optimizer_holds_every_parameter_that_the_stage_trains_once(make_trainer):
    for stage in ("motion", "full"):
        trainer = make_trainer(stage, stage)
        held = [p for group in trainer.optimizer.param_groups for p in group["params"]]
        model = trainer.model
        parts = [model.detector, model.motion.hourglass, model.motion.masks]
        wanted = {id(p) for part in parts for p in part.parameters()}
        wanted |= {id(model.motion.log_widths), id(model.motion.biases)}
        if stage == "full":
            wanted = {id(p) for p in model.parameters()}
        assert len(held) == len({id(p) for p in held})
        assert {id(p) for p in held} == wanted
        assert {id(p) for p in model.parameters() if p.requires_grad} == wanted


def test_motion_stage_leaves_the_generator_alone(make_trainer):
    trainer = make_trainer(stage="motion", minutes=3)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.run()
    after = trainer.model.state_dict()
    changed = {name.split(".")[0] for name in after if not torch.equal(after[name], before[name])}
    assert changed == {"detector", "motion"}


def test_log_holds_the_mean_of_the_steps_that_had_a_term(make_trainer, monkeypatch):
    trainer = make_trainer(minutes=2 * LOG_EVERY + 3)

    def step():
        trainer.progress.step += 1
        terms = {"image": float(trainer.step)}
        return terms | ({"equivariance": 3.0} if trainer.step % 4 == 0 else {})

    monkeypatch.setattr(trainer, "train_step", step)
    records: list[Record] = []
    trainer.run(records.append)
    lines = (trainer.run_dir / "log.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == records
    end = 2 * LOG_EVERY + 2
    assert [r["step"] for r in records] == [LOG_EVERY, 2 * LOG_EVERY, end]
    means = [(1 + LOG_EVERY) / 2, (1 + 3 * LOG_EVERY) / 2, end - 0.5]
    assert [r["image"] for r in records] == means
    assert [r.get("equivariance") for r in records] == [3.0, 3.0, None]
    assert [r["minutes"] for r in records] == [LOG_EVERY, 2 * LOG_EVERY, end + 1]


def test_a_term_that_is_not_finite_stops_the_run_and_is_named(make_trainer, monkeypatch):
    trainer = make_trainer(minutes=9, checkpoint_every=1)
    real = trainer._next_turns

    def next_turns():
        (pairs,) = real()
        if trainer.step == 2:
            pairs.driving_landmarks[:] = float("nan")
        return [pairs]

    monkeypatch.setattr(trainer, "_next_turns", next_turns)
    with pytest.raises(DivergenceError, match="at step 2, in position, jacobian: resume"):
        trainer.run()
    kept = torch.load(trainer.checkpoint, weights_only=True)
    assert kept["progress"]["step"] == 2
    assert all(value.isfinite().all() for value in kept["model"].values())


def test_a_gradient_that_is_not_finite_stops_before_the_weights_change(make_trainer):
    trainer = make_trainer()
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    bias = trainer.model.motion.biases
    bias.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(DivergenceError, match="gradient is not finite at step 0"):
        trainer.train_step()
    assert all(torch.equal(before[name], p) for name, p in trainer.model.named_parameters())


def test_checkpoint_that_cannot_be_written_leaves_the_last_one(make_trainer, monkeypatch):
    trainer = make_trainer(minutes=2)
    trainer.run()
    before = trainer.checkpoint.read_bytes()

    def save(_state, file):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(WriteError, match="disk full"):
        trainer.save()
    assert trainer.checkpoint.read_bytes() == before
    assert not [path for path in trainer.run_dir.iterdir() if path.name.startswith(".")]


def test_run_of_another_stage_says_so(make_trainer):
    make_trainer(stage="motion", minutes=2).run()
    with pytest.raises(CheckpointError, match=r"last\.pt: cannot take up this run; is it of"):
        make_trainer(stage="full")


@pytest.mark.parametrize("keep", [0, 10, 2000])
def test_damaged_checkpoint_says_so(make_trainer, keep):
    trainer = make_trainer(minutes=2)
    trainer.run()
    trainer.checkpoint.write_bytes(trainer.checkpoint.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="damaged"):
        make_trainer()
