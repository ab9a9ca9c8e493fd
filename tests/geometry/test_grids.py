from __future__ import annotations

import math

import pytest
import torch

from fnevr.geometry.grids import coordinate_grid, coordinate_volume, keypoint_gaussians


def test_corners_and_centre_of_the_grid():
    grid = coordinate_grid(3, 5, like=torch.empty(0, dtype=torch.float64))
    assert grid.shape == (3, 5, 2)
    assert grid.dtype == torch.float64
    assert grid[0, 0].tolist() == [-1, -1]
    assert grid[0, 4].tolist() == [1, -1]
    assert grid[2, 0].tolist() == [-1, 1]
    assert grid[1, 2].tolist() == [0, 0]


def test_grid_of_one_row_says_so():
    with pytest.raises(ValueError, match="got 1 x 5"):
        coordinate_grid(1, 5, like=torch.empty(0))


def test_gaussians_match_loops():
    positions = torch.rand(2, 3, 2, dtype=torch.float64) * 2 - 1
    drawn = keypoint_gaussians(positions, coordinate_grid(4, 6, positions), variance=0.3)
    for b in range(2):
        for k in range(3):
            for i in range(4):
                for j in range(6):
                    dx = 2 * j / 5 - 1 - positions[b, k, 0].item()
                    dy = 2 * i / 3 - 1 - positions[b, k, 1].item()
                    wanted = math.exp(-(dx * dx + dy * dy) / 2 / 0.3)
                    assert drawn[b, k, i, j].item() == pytest.approx(wanted, abs=1e-12)


def test_gaussian_peaks_at_its_keypoint():
    grid = coordinate_grid(9, 9, like=torch.empty(0))
    drawn = keypoint_gaussians(grid[2, 6][None, None], grid, variance=0.01)
    assert drawn[0, 0, 2, 6] == 1
    assert drawn.argmax() == 2 * 9 + 6


def test_gaussians_gradcheck():
    positions = torch.randn(1, 2, 2, dtype=torch.float64, requires_grad=True)
    grid = coordinate_grid(3, 4, positions)
    assert torch.autograd.gradcheck(lambda p: keypoint_gaussians(p, grid, 0.5), (positions,))


def test_volume_is_the_grid_at_each_depth():
    like = torch.empty(0, dtype=torch.float64)
    volume = coordinate_volume(3, 4, 5, like)
    assert volume.shape == (3, 4, 5, 3)
    for plane, z in enumerate((-1, 0, 1)):
        assert torch.equal(volume[plane, ..., :2], coordinate_grid(4, 5, like))
        assert (volume[plane, ..., 2] == z).all()
    with pytest.raises(ValueError, match="2 planes, got 1"):
        coordinate_volume(1, 4, 5, like)


def test_gaussians_in_three_dimensions_match_loops():
    positions = torch.rand(2, 3, 3, dtype=torch.float64) * 2 - 1
    volume = coordinate_volume(2, 3, 4, positions)
    drawn = keypoint_gaussians(positions, volume, variance=0.3)
    assert drawn.shape == (2, 3, 2, 3, 4)
    for index in ((0, 1, 1, 2, 3), (1, 2, 0, 1, 0)):
        b, k, *cell = index
        distance = (volume[tuple(cell)] - positions[b, k]).square().sum().item()
        assert drawn[index].item() == pytest.approx(math.exp(-distance / 0.6), abs=1e-12)
