from __future__ import annotations

import torch

from fnevr.geometry.grids import coordinate_grid
from fnevr.models.keypoints import KeypointDetector


def detector(num_keypoints=3, temperature=0.1):
    return KeypointDetector(
        num_keypoints,
        width=4,
        max_width=8,
        num_levels=2,
        downscale=2,
        temperature=temperature,
    ).eval()


def test_untrained_jacobians_are_the_identity():
    found = detector()(torch.rand(2, 3, 32, 32))
    assert found.positions.shape == (2, 3, 2)
    torch.testing.assert_close(found.jacobians, torch.eye(2).expand(2, 3, 2, 2))


def test_flat_heatmaps_put_keypoints_in_the_middle():
    model = detector()
    torch.nn.init.zeros_(model.heatmap.weight)
    found = model(torch.rand(1, 3, 32, 48))
    torch.testing.assert_close(found.positions, torch.zeros(1, 3, 2), atol=1e-6, rtol=0)


def test_means_under_the_heatmap_match_loops():
    model = detector()
    torch.nn.init.normal_(model.jacobian.weight, std=0.1)
    image = torch.rand(1, 3, 32, 32)
    features = model.hourglass(model.downsample(image))
    logits, maps = model.heatmap(features)[0] / 0.1, model.jacobian(features)[0]
    found = model(image)
    grid = coordinate_grid(logits.shape[-2], logits.shape[-1], like=logits)
    for k in range(3):
        weights = logits[k].exp() / logits[k].exp().sum()
        position, jacobian = torch.zeros(2), torch.zeros(4)
        for i in range(weights.shape[0]):
            for j in range(weights.shape[1]):
                position += weights[i, j] * grid[i, j]
                jacobian += weights[i, j] * maps[4 * k : 4 * k + 4, i, j]
        torch.testing.assert_close(found.positions[0, k], position)
        torch.testing.assert_close(found.jacobians[0, k], jacobian.reshape(2, 2))


def test_every_parameter_gets_a_gradient():
    model = detector().train()
    found = model(torch.rand(2, 3, 32, 32))
    (found.positions.square().sum() + found.jacobians.square().sum()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
