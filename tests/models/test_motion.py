from __future__ import annotations

import pytest
import torch

from fnevr.geometry.grids import coordinate_grid
from fnevr.geometry.keypoints import Keypoints
from fnevr.models.motion import DenseMotion, Motion


@pytest.fixture
def network():
    return DenseMotion(
        3, width=4, max_width=8, num_levels=2, downscale=4, gaussian_variance=0.01
    ).eval()


def keypoints(batch_size=2):
    jacobians = torch.eye(2).expand(batch_size, 3, 2, 2) + 0.1 * torch.randn(batch_size, 3, 2, 2)
    return Keypoints(torch.rand(batch_size, 3, 2) - 0.5, jacobians)


def test_masks_sum_to_one_and_occlusion_is_a_fraction(network):
    motion = network(torch.rand(2, 3, 32, 32), keypoints(), keypoints())
    assert motion.flow.shape == (2, 8, 8, 2)
    torch.testing.assert_close(motion.masks.sum(dim=1), torch.ones(2, 8, 8))
    assert 0 < motion.occlusion.min() < motion.occlusion.max() < 1


def test_flow_is_the_masked_sum_of_the_candidates(network):
    image, source, driving = torch.rand(2, 3, 32, 32), keypoints(), keypoints()
    motion = network(image, source, driving)
    candidates = network.candidate_motions(source, driving, network.downsample(image))
    wanted = torch.zeros(2, 8, 8, 2)
    for b in range(2):
        for k in range(4):
            for i in range(8):
                for j in range(8):
                    wanted[b, i, j] += motion.masks[b, k, i, j] * candidates[b, k, i, j]
    torch.testing.assert_close(motion.flow, wanted)


def test_background_alone_keeps_still(network):
    torch.nn.init.zeros_(network.mask.weight)
    network.mask.bias = torch.nn.Parameter(torch.tensor([50.0, 0.0, 0.0, 0.0]))
    flow = network(torch.rand(1, 3, 32, 32), keypoints(1), keypoints(1)).flow
    torch.testing.assert_close(flow, coordinate_grid(8, 8, like=flow)[None])


def test_heatmaps_mark_where_keypoints_come_and_go(network):
    grid = coordinate_grid(8, 8, like=torch.empty(0))
    eye = torch.eye(2).expand(1, 3, 2, 2)
    source = Keypoints(grid[1, 1].expand(1, 3, 2), eye)
    driving = Keypoints(grid[6, 5].expand(1, 3, 2), eye)
    difference = network.heatmap_differences(source, driving, torch.rand(1, 3, 8, 8))
    assert difference[0, 0].abs().max() == 0
    assert difference[0, 1, 6, 5] == pytest.approx(1, abs=1e-6)
    assert difference[0, 1, 1, 1] == pytest.approx(-1, abs=1e-6)


def test_occluded_features_vanish():
    flow = coordinate_grid(4, 4, like=torch.empty(0))[None]
    motion = Motion(flow, torch.ones(1, 1, 4, 4), torch.zeros(1, 1, 4, 4))
    assert motion.warp_features(torch.rand(1, 5, 8, 8)).abs().max() == 0


def test_occlusion_is_resized_to_the_features():
    motion = Motion(torch.zeros(1, 4, 4, 2), torch.ones(1, 1, 4, 4), torch.full((1, 1, 4, 4), 0.5))
    features = torch.ones(1, 2, 8, 8)
    torch.testing.assert_close(motion.warp_features(features), 0.5 * features)
