from __future__ import annotations

import itertools

import pytest
import torch

from fnevr.data.clips import load_clips
from fnevr.data.loader import batches
from fnevr.data.pairs import PairSampler
from fnevr.geometry.patches import FacePatches


@pytest.fixture(scope="module")
def sampler(small):
    return PairSampler(load_clips(small, "train"), FacePatches.packaged(), seed=4)


def parts(pairs):
    return pairs.source_01, pairs.driving_01, pairs.source_landmarks, pairs.driving_landmarks


# A machine with fewer processors than workers is told so; the order must hold there too.
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_are_those_of_the_sampler_in_order(sampler, workers):
    loaded = batches(sampler, 2, first_step=7, workers=workers)
    for step, pairs in enumerate(itertools.islice(loaded, 5), start=7):
        for found, expected in zip(parts(pairs), parts(sampler.sample(2, step)), strict=True):
            assert torch.equal(found, expected)
    loaded.close()
