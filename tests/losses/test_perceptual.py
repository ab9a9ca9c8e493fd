from __future__ import annotations

import pytest
import torch

from fnevr.losses import PerceptualLoss
from fnevr.models.blocks import AntiAliasDownsample
from fnevr.models.perceptual import VGG19, FeatureNetwork


class MeanAndEdges(FeatureNetwork):
    """Two layers with known features: the picture itself, and its halved horizontal steps."""

    min_side = 2

    def forward(self, image_01):
        return [image_01, (image_01[..., 1:] - image_01[..., :-1]) / 2]


def blurred_and_subsampled(image, factor):
    """Gaussian blur with black outside, then every factor-th pixel, one output at a time."""
    sigma = (factor - 1) / 2
    radius = round(4 * sigma)
    offsets = range(-radius, radius + 1)
    weights = [
        torch.tensor(-(i**2) / (2 * sigma**2)).exp().item() if sigma else 1.0 for i in offsets
    ]
    total = sum(weights)
    batch, channels, height, width = image.shape
    out = image.new_zeros(batch, channels, -(-height // factor), -(-width // factor))
    for y in range(out.shape[2]):
        for x in range(out.shape[3]):
            for i, a in zip(offsets, weights, strict=True):
                for j, b in zip(offsets, weights, strict=True):
                    row, column = y * factor + i, x * factor + j
                    if 0 <= row < height and 0 <= column < width:
                        out[:, :, y, x] += a * b / total**2 * image[:, :, row, column]
    return out


@pytest.mark.parametrize("downscales", [(1,), (1, 2), (2, 4)])
def test_matches_loops_in_value_and_gradient(downscales):
    image, target = torch.rand(2, 1, 3, 12, 10, dtype=torch.float64)
    image.requires_grad_()
    loss = PerceptualLoss(MeanAndEdges(), downscales).double()(image, target)
    expected = torch.zeros((), dtype=torch.float64)
    for factor in downscales:
        x, y = blurred_and_subsampled(image, factor), blurred_and_subsampled(target, factor)
        expected = expected + (x - y).abs().mean()
        steps_x, steps_y = x[..., 1:] - x[..., :-1], y[..., 1:] - y[..., :-1]
        expected = expected + (steps_x - steps_y).abs().mean() / 2
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(
        *(torch.autograd.grad(value, image)[0] for value in (loss, expected)), rtol=1e-6, atol=1e-9
    )


def test_equal_pictures_cost_nothing_and_a_constant_costs_itself_per_scale():
    image = torch.rand(1, 3, 64, 64)
    loss = PerceptualLoss(MeanAndEdges(), (1,))
    assert loss(image, image) == 0
    torch.testing.assert_close(loss(image + 0.25, image), torch.tensor(0.25))


def test_the_coarse_scales_see_what_the_fine_one_sees():
    """The released configuration's scales: one sum over all of them."""
    image, target = torch.rand(2, 1, 3, 128, 128)
    network = VGG19(width=2)
    whole = PerceptualLoss(network)(image, target)
    parts = []
    for factor in (1, 2, 4, 8):
        x, y = (network(AntiAliasDownsample(3, factor)(z)) for z in (image, target))
        parts += [(a - b).abs().mean() for a, b in zip(x, y, strict=True)]
    assert len(parts) == 20
    torch.testing.assert_close(whole, torch.stack(parts).sum())


def test_gradients_reach_the_picture_but_not_the_target_or_the_network():
    image, target = torch.rand(2, 1, 3, 32, 32, requires_grad=True).unbind()
    image, target = image.detach().requires_grad_(), target.detach().requires_grad_()
    loss = PerceptualLoss(VGG19(width=2), (1, 2))
    loss(image, target).backward()
    assert image.grad is not None
    assert image.grad.isfinite().all()
    assert image.grad.abs().sum() > 0
    assert target.grad is None
    assert not any(parameter.requires_grad for parameter in loss.parameters())


@pytest.mark.usefixtures("bad_argument")
def test_shapes_that_differ_say_so():
    loss = PerceptualLoss(MeanAndEdges(), (1,))
    with pytest.raises(ValueError, match=r"\(1, 3, 4, 4\) and \(1, 3, 4, 5\)"):
        loss(torch.rand(1, 3, 4, 4), torch.rand(1, 3, 4, 5))


def test_small_pictures_say_so():
    image = torch.rand(1, 3, 127, 130)
    with pytest.raises(ValueError, match="pictures of 128 x 128 at least, got 127 x 130"):
        PerceptualLoss(VGG19(width=2))(image, image)


@pytest.mark.parametrize("downscales", [(), (1, 0)])
def test_bad_scales_say_so(downscales):
    with pytest.raises(ValueError, match="factors of 1 or more"):
        PerceptualLoss(MeanAndEdges(), downscales)
