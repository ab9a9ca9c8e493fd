from __future__ import annotations

import torch

from fnevr.train.share import WHOLE, Share


def test_shares_are_a_partition():
    rows = torch.arange(12)
    parts = [Share(index, 3).of(rows) for index in range(3)]
    assert [part.tolist() for part in parts][1] == [1, 4, 7, 10]
    assert sorted(torch.cat(parts).tolist()) == rows.tolist()
    assert torch.equal(WHOLE.of(rows), rows)


def test_pairs_stay_together(sampler):
    pairs = sampler.sample(4, 0)
    part = Share(1, 2).of_pairs(pairs, torch.device("cpu"))
    assert torch.equal(part.source_01, pairs.source_01[[1, 3]])
    assert torch.equal(part.driving_landmarks, pairs.driving_landmarks[[1, 3]])
