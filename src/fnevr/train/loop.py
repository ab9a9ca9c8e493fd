"""The resumable training loop: run the same command again and it goes on.

A run folder holds ``last.pt`` (everything that the next step depends on), ``best`` (the model that
validated best so far, or last: `Recipe.last_is_best`), ``model`` (the model where the run ended or
was stopped), ``log.jsonl`` (the mean of each term over the steps that had it, and the validations)
and TensorBoard's files. Both models are the moving average of the weights. `fnevr.train.launch`
adds ``recipe.json``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Adam

from fnevr.data.clips import Clip
from fnevr.data.loader import batches
from fnevr.data.pairs import Pairs, PairSampler
from fnevr.errors import FnevrError
from fnevr.media.files import make_folder
from fnevr.models.lite import inner_face
from fnevr.models.portrait import PortraitModel
from fnevr.runtime.precision import run_networks_in
from fnevr.train.average import WeightAverage
from fnevr.train.batchnorm import share_statistics
from fnevr.train.budget import rate_factor, spent
from fnevr.train.guard import Guard
from fnevr.train.log import Record, RunLog
from fnevr.train.objectives.critics import Critics
from fnevr.train.objectives.discriminator import DiscriminatorObjective
from fnevr.train.objectives.model import Objective, weigh
from fnevr.train.parameters import parameter_groups
from fnevr.train.recipe import ComposedRecipe, FullRecipe, InnerFaceRecipe, JudgedRecipe, Recipe
from fnevr.train.recipe_table import AnyRecipe
from fnevr.train.share import Share
from fnevr.train.state import CHECKPOINT_NAME, RunProgress, restore_state, save_state
from fnevr.train.validation import picture_sheet, validate

if TYPE_CHECKING:
    from accelerate import Accelerator

LOG_EVERY = 50


class Trainer:
    """Trains one model by one recipe in one run folder.

    Everything that is drawn comes from the seed and the step, so a run that was interrupted ends
    as if it had not been, given the same times. With several processes each takes its share of the
    same batches, and normalizes by the statistics of all.
    """

    def __init__(
        self,
        model: PortraitModel,
        sampler: PairSampler,
        recipe: AnyRecipe,
        run_dir: Path,
        *,
        accelerator: Accelerator | None = None,
        held_out: Sequence[Clip] = (),
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare a run, or take up the one that `run_dir` holds.

        Args:
            model: where to start; replaced by the run's own weights when there are some.
            sampler: where the pairs come from.
            recipe: what to do.
            run_dir: made if it does not exist; all processes must see the same one.
            accelerator: device and processes; None is one process on the CPU.
            held_out: clips to validate on, and perhaps stills after them.
            clock_s: a clock, for a budget in minutes: returns the seconds since some fixed moment.

        Raises:
            CheckpointError: if the run's checkpoint is damaged or of another model or stage.
            FnevrError: if the batch cannot be shared evenly, or the recipe is for other models.
        """
        self.sampler, self.recipe, self.run_dir = sampler, recipe, run_dir
        self.accelerator, self.held_out, self.clock_s = accelerator, list(held_out), clock_s
        self.shares = _shares(recipe, accelerator)
        self.device = torch.device("cpu") if accelerator is None else accelerator.device
        self.model = model.to(self.device).train()
        self.average = WeightAverage(self.model, recipe.average_decay)
        self.optimizer = Adam(parameter_groups(model, recipe), betas=recipe.betas)
        self.optimizers = [self.optimizer]
        self.critics = Critics(recipe, _compared_px(recipe, sampler.side_px), self.device)
        self.parts: dict[str, Any] = {
            "model": self.model, "average": self.average.model, "optimizer": self.optimizer
        }  # fmt: skip
        if self.critics.discriminator is not None:
            assert isinstance(recipe, JudgedRecipe)
            rate, parameters = recipe.discriminator_rate, self.critics.discriminator.parameters()
            self.discriminator_optimizer = Adam(parameters, lr=rate, betas=(0.5, 0.999))
            self.parts["discriminator"] = self.critics.discriminator
            self.parts["discriminator_optimizer"] = self.discriminator_optimizer
            self.optimizers.append(self.discriminator_optimizer)
        self.rates = [[group["lr"] for group in each.param_groups] for each in self.optimizers]

        make_folder(run_dir)
        self.progress, self.guard = RunProgress(), Guard()
        self.feed: Generator[Pairs, None, None] | None = None
        if self.checkpoint.exists():
            self.progress = restore_state(self.checkpoint, self.parts)
        self.guard.means, self.guard.num_seen = self.progress.means, self.progress.num_seen
        self._prepare()

    @property
    def checkpoint(self) -> Path:
        """Path of the last checkpoint."""
        return self.run_dir / CHECKPOINT_NAME

    @property
    def step(self) -> int:
        """Steps done."""
        return self.progress.step

    def run(
        self,
        on_record: Callable[[Record], None] = lambda _: None,
        on_step: Callable[[int, float], None] = lambda *_: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Train until the budget is spent, and write the last checkpoint.

        Args:
            on_record: called with every record of the log.
            on_step: called with the steps done and the share of the budget that is spent.
            should_stop: asked before each step; a run that it stops can be taken up again.

        Returns:
            Whether the budget is spent.

        Raises:
            DivergenceError: if the loss or its gradient diverges; the last checkpoint stays.
        """
        start_s, before = self.clock_s(), self.progress.minutes
        log = RunLog(self.run_dir, self.progress.log_lines, self.step) if self.is_main else None
        try:
            while True:
                elapsed = before + (self.clock_s() - start_s) / 60
                self.progress.minutes, stop = self._agree(elapsed, should_stop())
                share = spent(self.recipe, self.step, self.progress.minutes)
                self._validate_if_due(min(share, 1.0), log, on_record)
                if share >= 1 or stop:
                    break
                self._set_rates(share)
                self._count(self.train_step())
                on_step(self.step, share)
                if self.step % LOG_EVERY == 0:
                    self._log_terms(log, on_record)
                if self.step % self.recipe.checkpoint_every == 0:
                    self.save(log)
            if share >= 1:
                self._log_terms(log, on_record)
            self.save(log)
            self._export("model")
        finally:
            if self.feed is not None:
                self.feed.close()
            self.feed = None
            if log is not None:
                log.close()
        return share >= 1

    def train_step(self) -> dict[str, float]:
        """Take one step, at the learning rates that are set; return the unweighted terms."""
        turns = self._next_turns()
        self.optimizer.zero_grad(set_to_none=True)
        sums: dict[str, Tensor] = {}
        compared = []
        for share, pairs in zip(self.shares, turns, strict=True):
            with self._turn(share, self.objective):
                terms = self.objective(pairs, self.step, share, self.critics)
                torch.autograd.backward(weigh(terms, self.recipe.weights) / len(self.shares))
            compared.append(self.critics.take_pictures())
            for name, term in terms.items():
                sums[name] = sums.get(name, 0) + term.detach() / len(self.shares)
        norm = clip_grad_norm_(self.model.parameters(), self.recipe.max_gradient_norm)
        means = dict(zip(sums, self._over_processes(torch.stack([*sums.values()])), strict=True))
        self.guard.check(self.step, means, float(norm))
        self.optimizer.step()
        if self.discriminator is not None:
            means["discriminator"] = self._discriminator_step(compared)
        self.average.update(self.model, self.step)
        self.progress.step += 1
        return means

    def _next_turns(self) -> list[Pairs]:
        """Return this process's pairs of the step, for one turn after the other."""
        recipe = self.recipe
        rows = [row for share in self.shares for row in share.rows(recipe.batch_size)]
        if self.feed is None:
            self.feed = batches(
                self.sampler, recipe.batch_size, self.step, recipe.workers, rows, self.device
            )
        return next(self.feed).split(len(self.shares))

    def _discriminator_step(self, compared: list[list[tuple[Tensor, Tensor]]]) -> float:
        """Update the discriminator on what the model made before its update, of each turn."""
        assert self.discriminator is not None
        self.discriminator_optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.device)
        for share, pictures in zip(self.shares, compared, strict=True):
            with self._turn(share, self.discriminator):
                loss = self.discriminator(*pictures) / len(self.shares)
                torch.autograd.backward(loss)
            total += loss.detach()
        (value,) = self._over_processes(total[None])
        self.guard.check(self.step, {"discriminator": value}, 0.0)
        self.discriminator_optimizer.step()
        return value

    def save(self, log: RunLog | None = None) -> None:
        """Write the checkpoint beside, then rename; only the first process does."""
        if not self.is_main:
            return
        if log is not None:
            self.progress.log_lines = log.num_lines
        save_state(self.checkpoint, self.progress, self.parts)

    def _prepare(self) -> None:
        """Make what the steps call: after the average was copied and the weights restored."""
        if self.recipe.precision == "bfloat16":
            run_networks_in(self.model, torch.bfloat16)
        self.objective: nn.Module = Objective(self.model, self.recipe).to(self.device)
        self.discriminator: nn.Module | None = None
        if self.critics.discriminator is not None:
            assert isinstance(self.recipe, JudgedRecipe)
            self.discriminator = DiscriminatorObjective(self.critics.discriminator, self.recipe.gan)
        if self.accelerator is None or self.accelerator.num_processes == 1:
            return
        share_statistics(self.model)
        self.objective = self.accelerator.prepare(self.objective)
        if self.discriminator is not None:
            self.discriminator = self.accelerator.prepare(self.discriminator)

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files."""
        return self.accelerator is None or self.accelerator.is_main_process

    def _turn(self, share: Share, module: nn.Module) -> AbstractContextManager[Any]:
        """Leave the exchange of gradients to the last turn of a step."""
        if self.accelerator is None or share is self.shares[-1]:
            return nullcontext()
        return self.accelerator.no_sync(module)

    def _over_processes(self, values: Tensor) -> list[float]:
        """Average over the processes."""
        if self.accelerator is not None and self.accelerator.num_processes > 1:
            values = self.accelerator.reduce(values, reduction="mean")
        return values.tolist()

    def _agree(self, minutes: float, stop: bool) -> tuple[float, bool]:
        """Take the first process's time, and stop where any process is told to."""
        if self.accelerator is None or self.accelerator.num_processes == 1:
            return minutes, stop
        own = [minutes if self.is_main else 0.0, float(stop)]
        values = torch.tensor(own, device=self.device, dtype=torch.float64)
        minutes, stops = self.accelerator.reduce(values, reduction="sum").tolist()
        return minutes, stops > 0

    def _set_rates(self, share: float) -> None:
        factor = rate_factor(self.recipe, share, self.step)
        for optimizer, rates in zip(self.optimizers, self.rates, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor

    def _count(self, terms: dict[str, float]) -> None:
        sums, counts = self.progress.sums, self.progress.counts
        for name, value in terms.items():
            sums[name] = sums.get(name, 0.0) + value
            counts[name] = counts.get(name, 0) + 1

    def _log_terms(self, log: RunLog | None, on_record: Callable[[Record], None]) -> None:
        """Write the mean of each term since the last time."""
        sums, counts = self.progress.sums, self.progress.counts
        if sums:
            self._write({name: sums[name] / counts[name] for name in sums}, log, on_record)
        sums.clear()
        counts.clear()

    def _write(
        self, values: Record, log: RunLog | None, on_record: Callable[[Record], None]
    ) -> None:
        if log is not None:
            record = {"step": self.step, "minutes": round(self.progress.minutes, 2), **values}
            log.write(record)
            on_record(record)

    def _validate_if_due(
        self, share: float, log: RunLog | None, on_record: Callable[[Record], None]
    ) -> None:
        """Validate the average when the next even part of the budget is spent; keep the best.

        Small budgets have fewer validations; the last one is at the end of any.
        """
        due = int(share * self.recipe.validations + 1e-9)
        if due <= self.progress.validations or not self.held_out:
            return
        if share < 1 and self.step - self.progress.validated_step < self._validation_gap():
            return
        self.progress.validations, self.progress.validated_step = due, self.step
        if not self.is_main or log is None:
            return
        result = validate(self.average.model, self.held_out, stride=self.recipe.validation_stride)
        record: Record = {"psnr": result.psnr, "still_psnr": result.still}
        record |= {"gain_moving": result.gain_moving, "worst_gain": result.worst_gain}
        if result.stills_psnr is not None:
            record["stills_psnr"] = result.stills_psnr
        self._write(record, log, on_record)
        log.show(picture_sheet(self.average.model, self.held_out), self.step)
        before = self.progress.best_psnr
        if self.recipe.last_is_best or before is None or result.psnr > before:
            self.progress.best_psnr = result.psnr
            self._export("best")
        self.save(log)

    def _validation_gap(self) -> int:
        """Return the steps between two validations, so that these take a quarter of the time.

        A frame that is scored costs about a third of a pair that is trained on.
        """
        stride = self.recipe.validation_stride
        num_frames = sum(1 + (len(clip.frames) - 1) // stride for clip in self.held_out)
        return math.ceil(num_frames / self.recipe.batch_size)

    def _export(self, name: str) -> None:
        if self.is_main:
            self.average.model.save_pretrained(self.run_dir / name, half_precision=True)


def _compared_px(recipe: Recipe, side_px: int) -> int:
    """Return the shorter side of what is compared, of pictures of this side."""
    if isinstance(recipe, FullRecipe):
        return recipe.window
    has_view = isinstance(recipe, (InnerFaceRecipe, ComposedRecipe))
    return inner_face.WIDTH if has_view else side_px


def _shares(recipe: Recipe, accelerator: Accelerator | None) -> list[Share]:
    """Return what this process takes of a batch, one share per turn."""
    rank, size = (0, 1) if accelerator is None else _place(accelerator)
    count = size * recipe.accumulate
    if recipe.batch_size % count:
        raise FnevrError(
            f"a batch of {recipe.batch_size} cannot be shared by {size} processes in "
            f"{recipe.accumulate} turns each\nbatch_size must be a multiple of {count}"
        )
    return [Share(rank * recipe.accumulate + turn, count) for turn in range(recipe.accumulate)]


def _place(accelerator: Accelerator) -> tuple[int, int]:
    return accelerator.process_index, accelerator.num_processes
