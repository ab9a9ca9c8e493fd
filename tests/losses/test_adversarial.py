from __future__ import annotations

import pytest
import torch

from fnevr.losses import (
    GANS,
    discriminator_adversarial,
    discriminator_relativistic,
    generator_adversarial,
    generator_hinge,
)


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


def hinge(score, wanted):
    """max(0, 1 - wanted * score), its mean over patches, one at a time."""
    values = [max(0.0, 1 - wanted * value) for value in score.flatten().tolist()]
    return sum(values) / len(values)


def test_hinges_match_loops(scores):
    real, fake = scores
    expected = sum(hinge(score, 1) for score in real) + sum(hinge(score, -1) for score in fake)
    assert GANS["hinge"].discriminator(real, fake).item() == pytest.approx(expected)
    expected = -sum(score.mean().item() for score in fake)
    assert GANS["hinge"].generator(real, fake).item() == pytest.approx(expected)
    for loss, (one, other) in (("discriminator", (real, fake)), ("generator", (fake, real))):
        expected = sum(
            hinge(a - b.mean(), 1) + hinge(b - a.mean(), -1)
            for a, b in zip(one, other, strict=True)
        )
        result = getattr(GANS["relativistic-hinge"], loss)(real, fake).item()
        assert result == pytest.approx(expected)


def test_in_every_game_generator_and_discriminator_pull_against_each_other(scores):
    real = scores[0]
    for gan in GANS.values():
        fake = [torch.zeros(2, 1, 3, 3, dtype=torch.float64, requires_grad=True)]
        (up,) = torch.autograd.grad(gan.generator(real[:1], fake), fake)
        (down,) = torch.autograd.grad(gan.discriminator(real[:1], [fake[0] + 0.1]), fake)
        assert (up < 0).all()
        assert (down > 0).all()


def test_missing_scales_say_so_in_hinges():
    with pytest.raises(ValueError, match="no scores"):
        generator_hinge([])
    with pytest.raises(ValueError, match="one map of scores per scale"):
        discriminator_relativistic([torch.zeros(1, 1, 2, 2)], [torch.zeros(1, 1, 2, 2)] * 2)
