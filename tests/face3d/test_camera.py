from __future__ import annotations

import torch

from fnevr.face3d.camera import WeakPerspective, signed_points


def test_up_is_up_and_near_is_near():
    camera = WeakPerspective(torch.tensor([100.0]), torch.tensor([[30.0, 40.0]]))
    points = torch.tensor([[[0.1, 0.2, 0.3], [-0.1, 0.0, -0.3]]])
    expected = torch.tensor([[[40.0, 20, -30], [20, 40, 30]]])
    torch.testing.assert_close(camera.project(points), expected)


def test_signed_points_reach_the_edges():
    points = torch.tensor([[[0.0, 100, 0], [200, 0, 75], [100, 50, -75]]])
    expected = torch.tensor([[[-1.0, 1, 0], [1, -1, 1], [0, 0, -1]]])
    torch.testing.assert_close(signed_points(points, 200, 100), expected)
