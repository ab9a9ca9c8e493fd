from __future__ import annotations

import math

import pytest
import torch

from fnevr.losses import sigma_matching


@pytest.fixture
def volumes():
    """Density features of two pictures, and mesh features on the same grid."""
    features = torch.randn(2, 3, 4, 3, 2, dtype=torch.float64)
    return features, torch.rand(2, 4, 3, 2, dtype=torch.float64)


def test_matches_loops(volumes):
    features, mesh = volumes
    losses = []
    for b in range(2):
        product, square, mesh_square = 0.0, 0.0, 0.0
        for d in range(4):
            for y in range(3):
                for x in range(2):
                    sigma = sum(features[b, c, d, y, x].item() for c in range(3)) / 3
                    value = mesh[b, d, y, x].item()
                    product += sigma * value
                    square += sigma**2
                    mesh_square += value**2
        losses.append(math.exp(-2 * product / math.sqrt(square * mesh_square)) - 0.1)
    loss = sigma_matching(features, mesh, alpha1=2.0, alpha2=0.1)
    assert loss.item() == pytest.approx(sum(losses) / 2)


def test_costs_of_a_match_an_opposite_and_nothing_in_common(volumes):
    _, mesh = volumes
    match = 3 * mesh[:, None].expand(-1, 5, -1, -1, -1)
    assert sigma_matching(match, mesh).item() == pytest.approx(0)
    assert sigma_matching(-match, mesh).item() == pytest.approx(math.e - math.exp(-1))
    front, back = match.clone(), mesh.clone()
    front[:, :, 2:] = 0
    back[:, :2] = 0
    assert sigma_matching(front, back).item() == pytest.approx(1 - math.exp(-1))


def test_channels_may_differ_as_long_as_their_mean_matches(volumes):
    _, mesh = volumes
    free = torch.randn(2, 1, 4, 3, 2, dtype=torch.float64)
    features = torch.cat([mesh[:, None] + free, mesh[:, None] - free], dim=1)
    assert sigma_matching(features, mesh).item() == pytest.approx(0)


def test_no_mesh_gives_no_gradient(volumes):
    features, mesh = volumes
    features.requires_grad_()
    loss = sigma_matching(features, torch.zeros_like(mesh))
    loss.backward()
    assert loss.item() == pytest.approx(1 - math.exp(-1))
    assert features.grad is not None
    assert features.grad.abs().max() == 0


@pytest.mark.usefixtures("bad_argument")
def test_another_grid_says_so(volumes):
    features, mesh = volumes
    with pytest.raises(ValueError, match=r"got \(2, 4, 3, 1\), wanted \(2, 4, 3, 2\)"):
        sigma_matching(features, mesh[..., :1])


def test_gradcheck(volumes):
    features, mesh = volumes
    assert torch.autograd.gradcheck(lambda x: sigma_matching(x, mesh), features.requires_grad_())
