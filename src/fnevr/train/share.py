"""Which rows of a step's batch one process takes, and in which turn."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


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

    def rows(self, batch_size: int) -> range:
        """Return the numbers of its rows."""
        return range(self.index, batch_size, self.count)


WHOLE = Share()
