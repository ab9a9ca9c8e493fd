"""The resumable training loop: run the same command again and it goes on.

A run folder holds ``last.pt`` (weights, optimizer, step, minutes spent) and ``log.jsonl`` (one line
per LOG_EVERY steps: the mean of each term over the steps that had it).
"""

from __future__ import annotations

import json
import math
import pickle
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Generator
from torch.nn.utils import clip_grad_norm_

from fnevr.data.pairs import PairSampler
from fnevr.errors import CheckpointError
from fnevr.geometry.patches import FacePatches
from fnevr.media.files import atomic_path
from fnevr.models.lite import FNeVRLite
from fnevr.train.recipe import Recipe
from fnevr.train.step import loss_terms, weigh

LOG_EVERY = 50
WARM_UP_STEPS = 100
FINAL_RATE = 0.03
MAX_GRADIENT_NORM = 5.0

Record = dict[str, float | int]  # one line of the log


class Trainer:
    """Trains one model by one recipe in one run folder.

    Everything that is drawn comes from the seed and the step, so a run that was interrupted ends
    as if it had not been, given the same times.
    """

    def __init__(
        self,
        model: FNeVRLite,
        sampler: PairSampler,
        recipe: Recipe,
        run_dir: Path,
        *,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare a run, or take up the one that `run_dir` holds.

        Args:
            model: where to start; replaced by the run's own weights when there are some.
            sampler: where the pairs come from.
            recipe: what to do.
            run_dir: made if it does not exist.
            clock_s: seconds since any moment; the learning rates follow it.

        Raises:
            CheckpointError: if the run's checkpoint is damaged or of another model or stage.
        """
        self.model, self.sampler, self.recipe, self.run_dir = model, sampler, recipe, run_dir
        self.clock_s = clock_s
        self.patches = FacePatches.packaged()
        self.optimizer = torch.optim.Adam(_parameter_groups(model, recipe), betas=(0.9, 0.99))
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.step, self.minutes_before = 0, 0.0
        run_dir.mkdir(parents=True, exist_ok=True)
        if self.checkpoint.exists():
            self._restore()

    @property
    def checkpoint(self) -> Path:
        """Path of the last checkpoint."""
        return self.run_dir / "last.pt"

    def run(self, progress: Callable[[Record], None]) -> None:
        """Train until the recipe's minutes are spent, then write the last checkpoint.

        Args:
            progress: called with every record of the log.

        Raises:
            FloatingPointError: if the loss or its gradient is not finite; nothing is saved then.
        """
        start_s = self.clock_s()
        sums, counts = defaultdict[str, float](float), defaultdict[str, int](int)
        self.model.train()
        while (
            minutes := self.minutes_before + (self.clock_s() - start_s) / 60
        ) < self.recipe.minutes:
            self._set_rates(minutes)
            for name, value in self.train_step().items():
                sums[name] += value
                counts[name] += 1
            if self.step % LOG_EVERY == 0:
                means = {name: sums[name] / counts[name] for name in sums}
                record: Record = {"step": self.step, "minutes": round(minutes, 2), **means}
                self._log(record)
                progress(record)
                sums.clear()
                counts.clear()
            if self.step % self.recipe.checkpoint_every == 0:
                self.save(minutes)
        self.save(minutes)

    def train_step(self) -> dict[str, float]:
        """Take one step, at the learning rates that are set; return the unweighted terms."""
        rng = Generator().manual_seed(self.recipe.seed * 1_000_003 + self.step)
        pairs = self.sampler.sample(self.recipe.batch_size, self.step)
        terms = loss_terms(self.model, self.patches, pairs, self.recipe, rng, self.step)
        loss = weigh(terms, self.recipe)
        if not torch.isfinite(loss):
            bad = [name for name, term in terms.items() if not torch.isfinite(term)]
            raise FloatingPointError(
                f"the loss is not finite at step {self.step}, in {', '.join(bad) or 'the sum'}: "
                "resume from the last checkpoint with smaller learning rates"
            )
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        norm = clip_grad_norm_(self.model.parameters(), MAX_GRADIENT_NORM)
        if not torch.isfinite(norm):
            raise FloatingPointError(
                f"the gradient is not finite at step {self.step}: resume from the last checkpoint "
                "with smaller learning rates"
            )
        self.optimizer.step()
        self.step += 1
        return {name: float(term.detach()) for name, term in terms.items()}

    def save(self, minutes: float) -> None:
        """Write the checkpoint beside, then rename."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "minutes": minutes,
        }
        with atomic_path(self.checkpoint) as temporary:
            torch.save(state, temporary)

    def _set_rates(self, minutes: float) -> None:
        """Warm up over the first steps, then fall along a cosine to FINAL_RATE."""
        cosine = 0.5 * (1 + math.cos(math.pi * minutes / self.recipe.minutes))
        factor = FINAL_RATE + (1 - FINAL_RATE) * cosine
        factor *= min(1.0, (self.step + 1) / WARM_UP_STEPS)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor

    def _restore(self) -> None:
        try:
            state = torch.load(self.checkpoint, weights_only=True)
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.minutes_before = state["step"], state["minutes"]
        except (RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError) as error:
            raise CheckpointError(
                f"{self.checkpoint}: cannot take up this run; is it of another model or stage, or "
                f"damaged? Start in a new folder. ({error})"
            ) from error

    def _log(self, record: Record) -> None:
        with (self.run_dir / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(record) + "\n")


def _parameter_groups(model: FNeVRLite, recipe: Recipe) -> list[dict]:
    """Group parameters by learning rate: motion, Gaussian blend, generator."""
    prior = [model.motion.log_widths, model.motion.biases]
    motion = [*model.detector.parameters(), *model.motion.hourglass.parameters()]
    motion += [*model.motion.masks.parameters(), *model.motion.occlusion.parameters()]
    motion += [*model.motion.context.parameters()]
    groups = [
        {"params": motion, "lr": recipe.motion_rate},
        {"params": prior, "lr": recipe.prior_rate},
    ]
    if recipe.stage == "full":
        parts = (model.encoder, model.renderer, model.decoder)
        generator = [parameter for part in parts if part for parameter in part.parameters()]
        groups.append({"params": generator, "lr": recipe.generator_rate})
    return groups
