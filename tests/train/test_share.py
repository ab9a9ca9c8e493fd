from __future__ import annotations

import pytest
import torch

from fnevr.train.share import WHOLE, Share


def test_shares_are_a_partition():
    rows = torch.arange(12)
    parts = [Share(index, 3).of(rows) for index in range(3)]
    assert [part.tolist() for part in parts][1] == [1, 4, 7, 10]
    assert sorted(torch.cat(parts).tolist()) == rows.tolist()
    assert torch.equal(WHOLE.of(rows), rows)


def test_numbers_are_those_of_the_rows():
    share = Share(2, 4)
    assert list(share.rows(10)) == share.of(torch.arange(10)).tolist() == [2, 6]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_pairs_of_all_processes_and_turns_are_the_batch(accumulate, sampler):
    whole = sampler.sample(8, 3)
    for rank in range(2):
        shares = [Share(rank * accumulate + turn, 2 * accumulate) for turn in range(accumulate)]
        rows = [row for share in shares for row in share.rows(8)]
        turns = sampler.sample(8, 3, rows).split(accumulate)
        for share, pairs in zip(shares, turns, strict=True):
            assert torch.equal(pairs.source_01, share.of(whole.source_01))
            assert torch.equal(pairs.driving_landmarks, share.of(whole.driving_landmarks))
