from __future__ import annotations

import torch

from fnevr.geometry.grids import coordinate_grid, coordinate_volume
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.warps import local_affine_motions, warp


def keypoints(batch_size=2, num_keypoints=3):
    jacobians = torch.eye(2, dtype=torch.float64) + 0.3 * torch.randn(
        batch_size, num_keypoints, 2, 2, dtype=torch.float64
    )
    positions = torch.rand(batch_size, num_keypoints, 2, dtype=torch.float64) - 0.5
    return Keypoints(positions, jacobians)


def motions_naive(source, driving, height, width):
    """T_k(z), one keypoint and one pixel at a time."""
    batch_size, num_keypoints = driving.positions.shape[:2]
    out = torch.zeros(batch_size, num_keypoints, height, width, 2, dtype=torch.float64)
    for b in range(batch_size):
        for k in range(num_keypoints):
            affine = source.jacobians[b, k] @ torch.linalg.inv(driving.jacobians[b, k])
            for i in range(height):
                for j in range(width):
                    z = torch.tensor([2 * j / (width - 1) - 1, 2 * i / (height - 1) - 1]).double()
                    moved = affine @ (z - driving.positions[b, k])
                    out[b, k, i, j] = source.positions[b, k] + moved
    return out


def test_motions_match_loops():
    source, driving = keypoints(), keypoints()
    grid = coordinate_grid(3, 5, like=source.positions)
    motions = local_affine_motions(source, driving, grid)
    wanted = motions_naive(source, driving, 3, 5)
    torch.testing.assert_close(motions, wanted, atol=1e-6, rtol=1e-6)


def test_nothing_moves_when_driver_and_source_agree():
    same = keypoints()
    grid = coordinate_grid(4, 4, like=same.positions)
    motions = local_affine_motions(same, same, grid)
    torch.testing.assert_close(motions, grid.expand_as(motions))


def test_a_shifted_driver_looks_back_by_the_shift():
    source = keypoints()
    shift = torch.tensor([0.25, -0.5], dtype=torch.float64)
    driving = Keypoints(source.positions + shift, source.jacobians)
    grid = coordinate_grid(4, 4, like=source.positions)
    motions = local_affine_motions(source, driving, grid)
    torch.testing.assert_close(motions, (grid - shift).expand_as(motions))


def test_identity_grid_is_the_identity_with_aligned_corners():
    image = torch.rand(2, 3, 6, 8)
    grid = coordinate_grid(6, 8, like=image).expand(2, -1, -1, -1)
    torch.testing.assert_close(warp(image, grid, align_corners=True), image, atol=1e-5, rtol=0)


def test_identity_grid_magnifies_by_default_as_in_the_reference():
    """Pixel i of n reads at i n / (n - 1) - 1/2: half a pixel outwards at both ends."""
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    grid = coordinate_grid(8, 8, like=ramp)[None]
    row = warp(ramp, grid, padding_mode="border")[0, 0, 4]
    wanted = (torch.arange(8.0) * 8 / 7 - 0.5).clamp(0, 7)
    torch.testing.assert_close(row, wanted)


def test_outside_of_the_image_is_black_or_the_border():
    image = torch.ones(1, 1, 4, 4)
    outside = torch.full((1, 4, 4, 2), 3.0)
    assert warp(image, outside).sum() == 0
    assert warp(image, outside, padding_mode="border").sum() == 16


def test_small_grid_is_resized_to_the_image():
    image = torch.rand(1, 3, 8, 8)
    constant = torch.zeros(1, 2, 2, 2)
    warped = warp(image, constant)
    assert warped.shape == image.shape
    centre = image[:, :, 3:5, 3:5].mean(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(warped, centre.expand_as(image))


def test_three_dimensional_motions_match_loops():
    def points():
        jacobians = torch.eye(3) + 0.3 * torch.randn(2, 3, 3, 3)
        return Keypoints(torch.rand(2, 3, 3).double() - 0.5, jacobians.double())

    source, driving = points(), points()
    volume = coordinate_volume(2, 3, 4, like=source.positions)
    motions = local_affine_motions(source, driving, volume)
    assert motions.shape == (2, 3, 2, 3, 4, 3)
    for b in range(2):
        for k in range(3):
            affine = source.jacobians[b, k] @ torch.linalg.inv(driving.jacobians[b, k])
            for cell in ((0, 0, 0), (1, 2, 3), (0, 1, 2)):
                wanted = source.positions[b, k] + affine @ (volume[cell] - driving.positions[b, k])
                torch.testing.assert_close(motions[(b, k, *cell)], wanted)
