"""Save and restore the state of a run: everything that the next step depends on."""

from __future__ import annotations

import pickle
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fnevr.errors import CheckpointError
from fnevr.models.checkpoint_file import read_checkpoint, write_checkpoint

CHECKPOINT_NAME = "last.pt"


@dataclass
class RunProgress:
    """How far a run is.

    Attributes:
        step: steps done.
        minutes: spent in them.
        validations: done.
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
    best_psnr: float | None = None
    log_lines: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    means: dict[str, float] = field(default_factory=dict)
    num_seen: dict[str, int] = field(default_factory=dict)


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


def restore_state(path: Path, parts: dict[str, Any]) -> RunProgress:
    """Put a checkpoint into the parts of a run.

    Raises:
        CheckpointError: if it is damaged, or of another model, stage or set of losses.
    """
    try:
        state = read_checkpoint(path, "Start in a new folder.")
        progress = RunProgress(**state.pop("progress"))
        if set(state) != set(parts):
            raise KeyError(f"holds {sorted(state)}, wanted {sorted(parts)}")
        for name, part in parts.items():
            part.load_state_dict(state[name])
    except (
        RuntimeError, ValueError, KeyError, TypeError, AttributeError, EOFError,
        pickle.UnpicklingError,
    ) as error:  # fmt: skip
        raise CheckpointError(
            f"{path}: cannot take up this run; is it of another model or stage, or damaged? Start "
            f"in a new folder. ({error})"
        ) from error
    return progress
