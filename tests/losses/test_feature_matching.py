from __future__ import annotations

import pytest
import torch

from fnevr.losses import feature_matching


@pytest.fixture
def features():
    """Features of generated and of real pictures: two scales, of two layers and of one."""

    def draw(width, side):
        return torch.randn(2, width, side, side, dtype=torch.float64)

    return tuple([[draw(3, 4), draw(5, 2)], [draw(3, 2)]] for _ in range(2))


def test_matches_loops(features):
    fake, real = features
    expected = 0.0
    for scale in range(2):
        for a, b in zip(fake[scale], real[scale], strict=True):
            pairs = zip(a.flatten().tolist(), b.flatten().tolist(), strict=True)
            expected += sum(abs(x - y) for x, y in pairs) / a.numel()
    assert feature_matching(fake, real).item() == pytest.approx(expected)


def test_equal_features_cost_nothing_and_an_offset_costs_itself_per_layer(features):
    _, real = features
    assert feature_matching(real, real) == 0
    moved = [[layer + 0.5 for layer in layers] for layers in real]
    assert feature_matching(moved, real).item() == pytest.approx(3 * 0.5)


def test_real_features_are_targets(features):
    fake, real = features
    fake[0][0].requires_grad_()
    real[0][0].requires_grad_()
    feature_matching(fake, real).backward()
    assert real[0][0].grad is None
    torch.testing.assert_close(fake[0][0].grad, (fake[0][0] - real[0][0]).sign() / 96)


def test_gradcheck(features):
    fake, real = features
    x = fake[1][0].requires_grad_()
    assert torch.autograd.gradcheck(lambda x: feature_matching([fake[0], [x]], real), x)


@pytest.mark.parametrize("other", [[], [[]], [[torch.zeros(2, 1, 1, 1)]]])
def test_other_layers_say_so(features, other):
    with pytest.raises(ValueError, match="features of the same layers"):
        feature_matching(features[0], other)


def test_no_layers_say_so():
    with pytest.raises(ValueError, match="one at least"):
        feature_matching([[]], [[]])
