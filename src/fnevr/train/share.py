"""Which rows of a step's batch one process takes, and in which turn."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from fnevr.data.pairs import Pairs


@dataclass(frozen=True)
class Share:
    """The rows ``index, index + count, ...`` of a batch.

    All processes draw the same numbers for the whole batch and take their rows, so that a step
    does not depend on how many share it.
    """

    index: int = 0
    count: int = 1

    def of(self, rows: Tensor) -> Tensor:
        """Return the rows of this share."""
        return rows[self.index :: self.count]

    def of_pairs(self, pairs: Pairs, device: torch.device) -> Pairs:
        """Return the pairs of this share, on the device that trains."""
        parts = {part.name: self.of(getattr(pairs, part.name)) for part in fields(pairs)}
        return Pairs(**{name: rows.to(device, non_blocking=True) for name, rows in parts.items()})


WHOLE = Share()
