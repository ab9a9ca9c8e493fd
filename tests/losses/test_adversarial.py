from __future__ import annotations

import pytest
import torch

from fnevr.losses import discriminator_adversarial, generator_adversarial


@pytest.fixture
def scores():
    """Maps of scores of real and of generated pictures, at two scales."""

    def draw():
        return [torch.randn(2, 1, side, side, dtype=torch.float64) for side in (3, 2)]

    return draw(), draw()


def mean_square_distance(scores, wanted):
    """The mean over patches, one at a time."""
    values = [(score - wanted) ** 2 for score in scores.flatten().tolist()]
    return sum(values) / len(values)


def test_match_loops(scores):
    real, fake = scores
    generator = sum(mean_square_distance(score, 1) for score in fake)
    assert generator_adversarial(fake).item() == pytest.approx(generator)
    discriminator = sum(mean_square_distance(score, 1) for score in real)
    discriminator += sum(mean_square_distance(score, 0) for score in fake)
    assert discriminator_adversarial(real, fake).item() == pytest.approx(discriminator)


def test_whoever_wins_pays_nothing():
    ones, zeros = [torch.ones(1, 1, 2, 2)], [torch.zeros(1, 1, 2, 2)]
    assert generator_adversarial(ones) == 0
    assert discriminator_adversarial(ones, zeros) == 0
    assert generator_adversarial(zeros) == 1
    assert discriminator_adversarial(zeros, ones) == 2


def test_no_scale_says_so():
    with pytest.raises(ValueError, match="at least one scale"):
        generator_adversarial([])
    with pytest.raises(ValueError, match="at least one scale"):
        discriminator_adversarial([], [])


def test_other_number_of_scales_says_so(scores):
    real, fake = scores
    with pytest.raises(ValueError, match="2 of real pictures and 1 of generated"):
        discriminator_adversarial(real, fake[:1])


def test_gradcheck(scores):
    real, fake = scores
    inputs = [score.requires_grad_() for score in (*real, *fake)]
    assert torch.autograd.gradcheck(lambda *x: generator_adversarial(x[2:]), inputs)
    assert torch.autograd.gradcheck(lambda *x: discriminator_adversarial(x[:2], x[2:]), inputs)
