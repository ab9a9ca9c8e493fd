from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from fnevr.geometry.keypoints import Keypoints
from fnevr.losses import discriminator_adversarial, feature_matching, generator_adversarial
from fnevr.models.discriminator import MultiScaleDiscriminator


def tiny(**options):
    return MultiScaleDiscriminator(width=2, max_width=8, num_blocks=2, **options)


def judge_naive(network, x):
    """One scale, layer by layer; the singular values by SVD instead of power iteration."""
    features = []
    last = len(network.blocks) - 1
    for index, block in enumerate(network.blocks):
        weight = block.conv.parametrizations.weight.original
        weight = weight / torch.linalg.matrix_norm(weight.flatten(1), ord=2)
        x = F.conv2d(x, weight, block.conv.bias)
        if index > 0:
            mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), correction=0, keepdim=True)
            x = (x - mean) / (variance + 1e-5).sqrt()
            x = x * block.norm.weight[:, None, None] + block.norm.bias[:, None, None]
        x = torch.where(x > 0, x, 0.2 * x)
        if index < last:
            height, width = x.shape[2] // 2 * 2, x.shape[3] // 2 * 2
            x = x[:, :, :height, :width]
            x = (
                x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]
            ) / 4
        features.append(x)
    weight = network.score.parametrizations.weight.original
    weight = weight / torch.linalg.matrix_norm(weight.flatten(1), ord=2)
    return F.conv2d(x, weight, network.score.bias), features


def test_matches_the_naive_network():
    discriminator = tiny().double()
    image = torch.rand(2, 3, 24, 21, dtype=torch.float64)
    with torch.no_grad():
        for _ in range(200):  # the power iteration converges
            discriminator(image)
        (judgement,) = discriminator.eval()(image)
        score, features = judge_naive(discriminator.networks[0], image)
    torch.testing.assert_close(judgement.score, score, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(list(judgement.features), features, rtol=1e-5, atol=1e-7)


def test_the_default_is_the_released_configuration():
    with torch.device("meta"):
        discriminator = MultiScaleDiscriminator()
    (network,) = discriminator.networks.children()
    weights = network.state_dict()
    assert [tuple(x.shape) for name, x in weights.items() if name.endswith("weight.original")] == [
        (64, 3, 4, 4), (128, 64, 4, 4), (256, 128, 4, 4), (512, 256, 4, 4), (1, 512, 1, 1)
    ]  # fmt: skip
    assert [name for name in weights if name.endswith("norm.weight")] == [
        f"blocks.{index}.norm.weight" for index in (1, 2, 3)
    ]
    (judgement,) = discriminator.to_empty(device="cpu")(torch.rand(1, 3, 256, 256))
    assert judgement.score.shape == (1, 1, 26, 26)
    assert [x.shape[-1] for x in judgement.features] == [126, 61, 29, 26]


def test_each_scale_sees_a_smaller_picture():
    judgements = tiny(downscales=(1, 2))(torch.rand(2, 3, 32, 32))
    assert [judgement.score.shape for judgement in judgements] == [(2, 1, 11, 11), (2, 1, 3, 3)]


def test_the_smallest_picture_passes_and_a_smaller_one_says_so():
    discriminator = tiny(downscales=(1, 2))
    side = discriminator.networks[0].min_side
    assert len(discriminator(torch.rand(1, 3, 2 * side, 2 * side))) == 2
    with pytest.raises(ValueError, match=f"12 x 40 at one of its scales, it needs {side}"):
        discriminator(torch.rand(1, 3, 24, 80))


def test_keypoints_are_seen():
    discriminator = tiny(num_keypoints=2).eval()
    image = torch.rand(1, 3, 16, 16)
    left = Keypoints(torch.tensor([[[-0.5, 0.0], [0.0, 0.0]]]), torch.eye(2).expand(1, 2, 2, 2))
    right = Keypoints(-left.positions, left.jacobians)
    scores = [discriminator(image, keypoints)[0].score for keypoints in (left, right)]
    assert not torch.allclose(*scores)


@pytest.mark.parametrize(("wanted", "given"), [(0, 3), (3, 0), (3, 2)])
def test_other_keypoints_say_so(wanted, given):
    keypoints = Keypoints(torch.zeros(1, given, 2), torch.zeros(1, given, 2, 2)) if given else None
    with pytest.raises(ValueError, match=f"built for {wanted} keypoints, got {given}"):
        tiny(num_keypoints=wanted)(torch.rand(1, 3, 16, 16), keypoints)


@pytest.mark.parametrize("options", [{"downscales": ()}, {"downscales": (0,)}, {"num_blocks": 0}])
def test_nothing_to_build_says_so(options):
    with pytest.raises(ValueError, match="one block and one down-sampling factor"):
        MultiScaleDiscriminator(**options)


def test_learns_to_tell_and_the_generator_learns_from_it():
    """Two updates of each in turn lower the loss that each one minimizes."""
    discriminator = tiny()
    real, fake = torch.rand(2, 3, 16, 16), torch.full((2, 3, 16, 16), 0.5, requires_grad=True)
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=1e-2)

    def discriminator_loss():
        judged = [discriminator(x) for x in (real, fake.detach())]
        return discriminator_adversarial(*([j.score for j in scales] for scales in judged))

    losses = []
    for _ in range(20):
        losses.append(discriminator_loss())
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]

    judged = [discriminator(x) for x in (fake, real)]
    loss = generator_adversarial([j.score for j in judged[0]])
    loss = loss + feature_matching(*([j.features for j in scales] for scales in judged))
    (gradient,) = torch.autograd.grad(loss, fake)
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0
