from __future__ import annotations

import torch

from fnevr.losses import StyleLoss
from fnevr.losses.style import gram
from fnevr.models.perceptual import VGG19


def test_gram_matches_loops():
    features = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    expected = torch.zeros(2, 3, 3, dtype=torch.float64)
    for b in range(2):
        for i in range(3):
            for j in range(3):
                expected[b, i, j] = (features[b, i] * features[b, j]).sum() / (3 * 4 * 5)
    torch.testing.assert_close(gram(features), expected)


def test_it_is_the_distance_of_grams_and_only_the_image_learns():
    network = VGG19(width=2)
    image = torch.rand(2, 3, 32, 32, requires_grad=True)
    target = torch.rand(2, 3, 32, 32, requires_grad=True)
    loss = StyleLoss(network)(image, target)
    grams = [[gram(f) for f in network(picture)] for picture in (image, target)]
    expected = sum((a - b).abs().mean() for a, b in zip(*grams, strict=True))
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert image.grad is not None
    assert image.grad.any()
    assert target.grad is None
    assert StyleLoss(network)(target, target) == 0


def test_where_things_are_does_not_matter():
    """Of features, that is: what is mixed up here are places."""
    features = torch.rand(1, 3, 4, 4)
    mixed = features.flatten(2)[..., torch.randperm(16)].unflatten(2, (4, 4))
    torch.testing.assert_close(gram(features), gram(mixed))
