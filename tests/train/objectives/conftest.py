from __future__ import annotations

import pytest
from torch import Generator

from fnevr.train.objectives.lite import lite_terms
from fnevr.train.objectives.lite_motion import motion_terms
from fnevr.train.recipe import MotionRecipe


@pytest.fixture
def terms_of(patches, sampler):
    """Terms of a stage of `lite` on the sampler's first pairs."""

    def terms(model, recipe, step=0, seed=0):
        pairs, rng = sampler.sample(recipe.batch_size, 0), Generator().manual_seed(seed)
        if isinstance(recipe, MotionRecipe):
            return motion_terms(model, patches, pairs, recipe, rng, step)[0]
        return lite_terms(model, patches, pairs, recipe, rng, step)

    return terms
