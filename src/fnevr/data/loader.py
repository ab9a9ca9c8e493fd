"""Batches decoded and augmented in worker processes, handed over in the order of the steps."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from itertools import count

import torch
from torch.utils.data import DataLoader, Dataset

from fnevr.data.pairs import Pairs, PairSampler, RawPairs

PREFETCH = 4
"""Batches that each worker makes ahead."""


class _Steps(Dataset[RawPairs]):
    """The batch of each step, or some rows of it."""

    def __init__(self, sampler: PairSampler, batch_size: int, rows: Sequence[int] | None) -> None:
        self.sampler = sampler
        self.batch_size = batch_size
        self.rows = rows

    def __getitem__(self, step: int) -> RawPairs:
        return self.sampler.sample_raw(self.batch_size, step, self.rows)


def batches(
    sampler: PairSampler,
    batch_size: int,
    first_step: int,
    workers: int,
    rows: Sequence[int] | None = None,
    device: torch.device | None = None,
) -> Generator[Pairs, None, None]:
    """Yield the batches of ``first_step``, ``first_step + 1`` and so on, without end.

    They are those of `PairSampler.sample`, bit for bit, whatever the number of workers. Closing
    the iterator ends the workers.

    Args:
        sampler: draws them.
        batch_size: pairs in each.
        first_step: where to start, as when a run is resumed.
        workers: processes that decode and augment; 0 does it here, when a batch is asked for.
        rows: which of the pairs; None for all.
        device: where the batches go; they are sent as bytes and become floats there. None is the
            CPU.
    """
    loader = DataLoader(
        _Steps(sampler, batch_size, rows),
        batch_size=None,
        sampler=count(first_step),
        num_workers=workers,
        prefetch_factor=PREFETCH if workers else None,
        worker_init_fn=use_one_thread,
    )
    for raw in loader:
        yield raw.finish(device)


def use_one_thread(_worker: int) -> None:
    """Leave the other cores to the other workers."""
    torch.set_num_threads(1)
