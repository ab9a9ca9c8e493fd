from __future__ import annotations

import math

import pytest
import torch

from fnevr.geometry.flow import affine_view, centre_grid
from fnevr.geometry.thin_plate import ThinPlateWarp


@pytest.fixture
def warp():
    """A strong warp of two pictures."""
    rng = torch.Generator().manual_seed(3)
    return ThinPlateWarp.random(2, rng, torch.zeros((), dtype=torch.float64), sigma_bending=0.02)


def points(num_points):
    return 2 * torch.rand(2, num_points, 2, dtype=torch.float64) - 1


def test_points_match_loops(warp):
    z = points(4)
    moved = warp.points(z)
    for b in range(2):
        for p in range(4):
            bent = 0.0
            for n in range(25):
                x, y = (z[b, p] - warp.control_points[n]).abs().tolist()
                bent += warp.bending[b, n].item() * (x + y) ** 2 * math.log(x + y + 1e-6)
            expected = warp.matrix[b] @ z[b, p] + warp.offset[b] + bent
            torch.testing.assert_close(moved[b, p], expected)


def test_jacobians_are_those_of_autograd(warp):
    z = points(50)
    expected = torch.autograd.functional.jacobian(lambda z: warp.points(z).sum(dim=(0, 1)), z)
    # The derivative of output i by point (b, p): every output depends on its own point only.
    torch.testing.assert_close(warp.jacobians(z), expected.permute(1, 2, 0, 3))


def test_at_a_control_point_everything_is_finite(warp):
    z = warp.control_points.expand(2, -1, -1).clone().requires_grad_()
    (warp.points(z).sum() + warp.jacobians(z).sum()).backward()
    assert z.grad is not None
    assert z.grad.isfinite().all()


def test_gradients(warp):
    z = points(3).requires_grad_()
    assert torch.autograd.gradcheck(warp.points, z)
    assert torch.autograd.gradcheck(warp.jacobians, z)


def test_without_noise_it_is_the_identity():
    warp = ThinPlateWarp.random(
        2, torch.Generator(), torch.zeros(()), sigma_affine=0.0, sigma_bending=0.0
    )
    z = 2 * torch.rand(2, 5, 2) - 1
    torch.testing.assert_close(warp.points(z), z)
    torch.testing.assert_close(warp.jacobians(z), torch.eye(2).expand(2, 5, 2, 2))
    image = torch.rand(2, 3, 8, 6)
    torch.testing.assert_close(warp.view(image), image, rtol=0, atol=1e-5)


def test_without_bending_the_view_is_the_affine_one():
    rng = torch.Generator().manual_seed(0)
    warp = ThinPlateWarp.random(2, rng, torch.zeros(()), sigma_bending=0.0)
    image = torch.rand(2, 3, 9, 12)
    torch.testing.assert_close(warp.view(image), affine_view(image, warp.matrix, warp.offset))


def test_the_view_shows_at_z_what_the_picture_shows_at_t_of_z(warp):
    """A picture whose colour is the coordinate itself shows T(z) where T(z) is inside."""
    grid = centre_grid(64, 64, like=warp.offset)
    image = grid.permute(2, 0, 1).expand(2, 2, 64, 64)
    moved = warp.points(grid.flatten(0, 1).expand(2, -1, 2)).unflatten(1, (64, 64))
    inside = (moved.abs() < 1 - 1 / 64).all(dim=-1)
    assert inside.double().mean() > 0.5
    torch.testing.assert_close(warp.view(image).permute(0, 2, 3, 1)[inside], moved[inside])


def test_the_draw_depends_on_the_generator_alone():
    draws = [
        ThinPlateWarp.random(3, torch.Generator().manual_seed(seed), torch.zeros(()))
        for seed in (1, 1, 2)
    ]
    assert torch.equal(draws[0].bending, draws[1].bending)
    assert torch.equal(draws[0].matrix, draws[1].matrix)
    assert not torch.equal(draws[0].bending, draws[2].bending)


def test_spread_is_the_released_configurations():
    warp = ThinPlateWarp.random(4000, torch.Generator().manual_seed(0), torch.zeros(()))
    assert (warp.matrix - torch.eye(2)).std().item() == pytest.approx(0.05, rel=0.05)
    assert warp.offset.std().item() == pytest.approx(0.05, rel=0.05)
    assert warp.bending.std().item() == pytest.approx(0.005, rel=0.05)
    assert warp.control_points[[0, 1, -1]].tolist() == [[-1, -1], [-0.5, -1], [1, 1]]


def test_one_control_point_has_no_extent():
    with pytest.raises(ValueError, match="at least 2 x 2"):
        ThinPlateWarp.random(1, torch.Generator(), torch.zeros(()), points_per_side=1)
