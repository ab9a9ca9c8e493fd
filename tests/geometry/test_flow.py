from __future__ import annotations

import pytest
import torch

from fnevr.geometry.flow import affine_displacements, centre_grid, flow_to_grid, sample
from fnevr.geometry.keypoints import Keypoints


def random_keypoints(batch_size=2, num_keypoints=3):
    noise = torch.randn(batch_size, num_keypoints, 2, 2, dtype=torch.float64)
    jacobians = torch.eye(2, dtype=torch.float64) + 0.3 * noise
    positions = torch.rand(batch_size, num_keypoints, 2, dtype=torch.float64) - 0.5
    return Keypoints(positions, jacobians)


def displacements_naive(source, driving, height, width):
    """T_k(z) - z, one keypoint and one pixel at a time."""
    batch_size, num_keypoints = driving.positions.shape[:2]
    out = torch.zeros(batch_size, num_keypoints, height, width, 2, dtype=torch.float64)
    for b in range(batch_size):
        for k in range(num_keypoints):
            affine = source.jacobians[b, k] @ torch.linalg.inv(driving.jacobians[b, k])
            for i in range(height):
                for j in range(width):
                    z = torch.tensor([(2 * j + 1) / width - 1, (2 * i + 1) / height - 1]).double()
                    moved = source.positions[b, k] + affine @ (z - driving.positions[b, k])
                    out[b, k, i, j] = moved - z
    return out


def test_pixel_centres_lie_half_a_pixel_inside_the_edges():
    grid = centre_grid(2, 4, like=torch.empty(0, dtype=torch.float64))
    assert grid.dtype == torch.float64
    assert grid[0, :, 0].tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert grid[:, 0, 1].tolist() == [-0.5, 0.5]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (4, 8), (16, 16), (64, 128), (256, 256)])
def test_zero_flow_returns_the_picture_exactly(height, width):
    image = torch.rand(1, 3, height, width)
    grid = flow_to_grid(torch.zeros(1, 2, height, width), height, width)
    assert torch.equal(sample(image, grid), image)


@pytest.mark.parametrize(("height", "width"), [(5, 7), (96, 100), (123, 45)])
def test_zero_flow_returns_a_picture_of_any_size_to_rounding(height, width):
    image = torch.rand(1, 3, height, width)
    grid = flow_to_grid(torch.zeros(1, 2, 4, 4), height, width)
    torch.testing.assert_close(sample(image, grid), image, atol=2e-5, rtol=0)


def test_flow_of_whole_pixels_shifts_the_picture():
    image = torch.rand(1, 3, 8, 16)
    flow = torch.zeros(1, 2, 8, 16)
    flow[:, 0] = 3 * 2 / 16  # looks three pixels to the right
    flow[:, 1] = -2 * 2 / 8  # and two up
    shifted = sample(image, flow_to_grid(flow, 8, 16))
    assert torch.equal(shifted[:, :, 2:, :-3], image[:, :, :-2, 3:])
    border = image[:, :, 0, 3:]
    assert torch.equal(shifted[:, :, 0, :-3], border)
    assert torch.equal(shifted[:, :, 1, :-3], border)


def test_coarse_flow_moves_every_size_by_the_same_share():
    flow = torch.zeros(1, 2, 4, 4)
    flow[:, 0] = 0.25
    for size in (8, 16, 64):
        image = torch.rand(1, 1, size, size)
        shifted = sample(image, flow_to_grid(flow, size, size))
        step = size // 8
        torch.testing.assert_close(shifted[..., :-step], image[..., step:])


def test_displacements_match_loops():
    source, driving = random_keypoints(), random_keypoints()
    displacements = affine_displacements(source, driving, centre_grid(3, 5, source.positions))
    torch.testing.assert_close(displacements, displacements_naive(source, driving, 3, 5))


def test_nothing_is_displaced_when_driver_and_source_agree():
    same = random_keypoints()
    displacements = affine_displacements(same, same, centre_grid(4, 6, same.positions))
    torch.testing.assert_close(displacements, torch.zeros_like(displacements))


def test_all_keypoints_agree_on_a_global_affine_motion():
    """When the driver is A source + t, every keypoint says A^-1 (z - t) - z."""
    source = random_keypoints()
    matrix = torch.tensor([[1.1, 0.2], [-0.1, 0.9]], dtype=torch.float64)
    offset = torch.tensor([0.1, -0.3], dtype=torch.float64)
    driving = Keypoints(source.positions @ matrix.T + offset, matrix @ source.jacobians)
    grid = centre_grid(6, 6, like=source.positions)
    displacements = affine_displacements(source, driving, grid)
    expected = (grid - offset) @ torch.linalg.inv(matrix).T - grid
    torch.testing.assert_close(displacements, expected.expand_as(displacements))


def test_gradcheck():
    source, driving = random_keypoints(1, 2), random_keypoints(1, 2)
    grid = centre_grid(2, 3, like=source.positions)

    def displacements(*tensors):
        return affine_displacements(Keypoints(*tensors[:2]), Keypoints(*tensors[2:]), grid)

    inputs = (source.positions, source.jacobians, driving.positions, driving.jacobians)
    assert torch.autograd.gradcheck(displacements, [x.requires_grad_() for x in inputs])
