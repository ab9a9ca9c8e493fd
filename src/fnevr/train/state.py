"""Save and restore the state of a run: everything that the next step depends on."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from fnevr.errors import CheckpointError
from fnevr.models.checkpoint_file import read_checkpoint, write_checkpoint

CHECKPOINT_NAME = "last.pt"
MAX_STEPS = 10**12


@dataclass
class RunProgress:
    """How far a run is.

    Attributes:
        step: steps done.
        minutes: spent in them.
        validations: parts of the budget at whose end there was one.
        validated_step: the step of the last one.
        best_psnr: of the best validation so far, in dB; None before the first.
        log_lines: written.
        sums: of each term since the last record of the log.
        counts: how many steps since then had each term.
        means: running mean of each term.
        num_seen: how many steps had each term.
    """

    step: int = 0
    minutes: float = 0.0
    validations: int = 0
    validated_step: int = 0
    best_psnr: float | None = None
    log_lines: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    means: dict[str, float] = field(default_factory=dict)
    num_seen: dict[str, int] = field(default_factory=dict)

    def check(self) -> None:
        """Raise a ValueError unless a run can be as far as this."""
        for name in ("step", "validations", "validated_step", "log_lines"):
            if type(getattr(self, name)) is not int or not 0 <= getattr(self, name) <= MAX_STEPS:
                raise ValueError(f"{name} is {getattr(self, name)!r}")
        if not 0 <= self.minutes < math.inf:
            raise ValueError(f"minutes is {self.minutes!r}")
        if self.best_psnr is not None and math.isnan(self.best_psnr):
            raise ValueError(f"best_psnr is {self.best_psnr!r}")
        for terms in (self.sums, self.counts, self.means, self.num_seen):
            for name, value in terms.items():
                if not isinstance(name, str) or not math.isfinite(value):
                    raise ValueError(f"the term {name!r} is {value!r}")


def save_state(path: Path, progress: RunProgress, parts: dict[str, Any]) -> None:
    """Write the checkpoint beside, then rename.

    Args:
        path: of the checkpoint.
        progress: how far the run is.
        parts: what has a `state_dict`, by name.

    Raises:
        WriteError: if it cannot be written, as when the disk is full.
    """
    state = {name: part.state_dict() for name, part in parts.items()}
    state["progress"] = asdict(progress)
    write_checkpoint(path, state)


def _check_moments(optimizer: torch.optim.Optimizer) -> None:
    """Raise a ValueError unless what an optimizer remembers fits its parameters."""
    for parameter, memory in optimizer.state.items():
        for name, value in memory.items():
            if not isinstance(value, torch.Tensor) or value.shape not in {parameter.shape, ()}:
                raise ValueError(f"the optimizer's {name} does not fit the model")


def _check_finite(name: str, value: object) -> None:
    """Raise a ValueError if a tensor, however deep in dictionaries and lists, holds no numbers."""
    if isinstance(value, torch.Tensor):
        if value.is_floating_point() and not value.isfinite().all():
            raise ValueError(f"{name} holds infinities or NaN")
    elif isinstance(value, dict):
        for key, part in value.items():
            _check_finite(f"{name}.{key}", part)
    elif isinstance(value, (list, tuple)):
        for index, part in enumerate(value):
            _check_finite(f"{name}[{index}]", part)


def restore_state(path: Path, parts: dict[str, Any]) -> RunProgress:
    """Put a checkpoint into the parts of a run.

    Raises:
        CheckpointError: if it is damaged, or of another model, stage or set of losses.
    """
    try:
        state = read_checkpoint(path, "Start in a new folder.")
        progress = RunProgress(**state.pop("progress"))
        progress.check()
        if set(state) != set(parts):
            raise KeyError(f"holds {sorted(state)}, wanted {sorted(parts)}")
        for name, part in parts.items():
            _check_finite(name, state[name])
            part.load_state_dict(state[name])
            if isinstance(part, torch.optim.Optimizer):
                _check_moments(part)
    except (
        RuntimeError, ValueError, KeyError, TypeError, AttributeError, CheckpointError,
    ) as error:  # fmt: skip
        raise CheckpointError(
            f"{path}: cannot take up this run; is it of another model or stage, or damaged? Start "
            f"in a new folder. ({error})"
        ) from error
    return progress
