from __future__ import annotations

import math

import pytest
import torch

from fnevr.losses import keypoint_distance, keypoint_prior


def pairs(points):
    return [(a, b) for i, a in enumerate(points) for j, b in enumerate(points) if i != j]


def test_match_loops():
    positions = 0.2 * torch.randn(2, 5, 3, dtype=torch.float64)
    prior, distance = 0.0, 0.0
    for points in positions.tolist():
        prior += sum(max(0.0, 0.1 - math.dist(a, b) ** 2) for a, b in pairs(points)) / 2
        prior += abs(sum(point[2] for point in points) / 5 - 0.33) / 2
        distance += sum(max(0.0, 1 - math.dist(a, b) / 0.2) for a, b in pairs(points)) / 25
    assert keypoint_prior(positions).item() == pytest.approx(prior)
    assert keypoint_distance(positions).item() == pytest.approx(distance, abs=1e-5)


def test_keypoints_far_apart_and_at_their_depth_cost_nothing():
    plane = torch.tensor([[-0.5, -0.5, 0.33], [0.5, -0.5, 0.33], [0.0, 0.5, 0.33]])[None]
    assert keypoint_prior(plane) < 1e-6
    assert keypoint_distance(plane[..., :2]) == 0
    assert keypoint_prior(plane - torch.tensor([0, 0, 0.2])).item() == pytest.approx(0.2)


def test_crowded_keypoints_are_driven_apart():
    points = torch.tensor([[[0.0, 0.0, 0.33], [0.05, 0.0, 0.33]]], requires_grad=True)
    for loss in (keypoint_prior, keypoint_distance):
        (gradient,) = torch.autograd.grad(loss(points), points)
        assert gradient[0, 0, 0] > 0 > gradient[0, 1, 0]


def test_keypoints_at_one_place_have_finite_gradients():
    points = torch.zeros(1, 3, 3, requires_grad=True)
    keypoint_distance(points).backward()
    assert points.grad is not None
    assert points.grad.isfinite().all()
