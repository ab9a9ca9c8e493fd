"""The log of a run: JSON lines, and TensorBoard's scalars and pictures where that is installed."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from fnevr.media.files import atomic_path, writing

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

LOG_NAME = "log.jsonl"

Record = dict[str, float | int]


def record_json(record: Record) -> str:
    """Return a record as JSON, which has no infinity and no NaN: they become null."""
    known = {name: value if math.isfinite(value) else None for name, value in record.items()}
    return json.dumps(known, allow_nan=False)


class RunLog:
    """Appends to ``log.jsonl``; what was written after the checkpoint is cut off first.

    Attributes:
        num_lines: how many there are; part of the checkpoint.
    """

    def __init__(self, run_dir: Path, num_lines: int, step: int) -> None:
        """Take up the log where the checkpoint left it.

        Args:
            run_dir: the run's folder.
            num_lines: lines when the checkpoint was written.
            step: of the checkpoint; TensorBoard hides what it has of later ones.
        """
        self.path, self.num_lines, self.step = run_dir / LOG_NAME, num_lines, step
        self._writer: SummaryWriter | None = None
        self._has_looked = False
        if self.path.exists():
            lines = self.path.read_bytes().splitlines(keepends=True)
            if len(lines) > num_lines:
                with atomic_path(self.path) as temporary:
                    temporary.write_bytes(b"".join(lines[:num_lines]))

    def write(self, record: Record) -> None:
        """Append one record, which has a "step"."""
        with writing(self.path), self.path.open("a", encoding="utf-8") as log:
            log.write(record_json(record) + "\n")
        self.num_lines += 1
        if writer := self._tensorboard():
            step = int(record["step"])
            for name, value in record.items():
                if name != "step":
                    writer.add_scalar(name, value, step)

    def show(self, pictures: UInt8[np.ndarray, "H W 3"], step: int) -> None:
        """Hand a sheet of pictures to TensorBoard."""
        if writer := self._tensorboard():
            writer.add_image("pictures", pictures, step, dataformats="HWC")

    def close(self) -> None:
        """Write what TensorBoard still holds."""
        if self._writer is not None:
            self._writer.close()
        self._writer, self._has_looked = None, False

    def _tensorboard(self) -> SummaryWriter | None:
        if not self._has_looked:
            self._has_looked = True
            try:
                from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 (optional)
            except ImportError:
                return None
            folder = str(self.path.parent / "tensorboard")
            self._writer = SummaryWriter(folder, purge_step=self.step + 1)
        return self._writer
