from __future__ import annotations

import numpy as np
import pytest
import torch

from fnevr.face3d.camera import WeakPerspective, signed_points

LIBRARIES = pytest.mark.parametrize("array", [torch.tensor, np.array])


@LIBRARIES
def test_up_is_up_and_near_is_near(array):
    camera = WeakPerspective(array([100.0]), array([[30.0, 40.0]]))
    points = array([[[0.1, 0.2, 0.3], [-0.1, 0.0, -0.3]]])
    expected = np.array([[[40.0, 20, -30], [20, 40, 30]]])
    np.testing.assert_allclose(camera.project(points), expected, rtol=1e-6)


@LIBRARIES
def test_signed_points_reach_the_edges(array):
    points = array([[[0.0, 100, 0], [200, 0, 75], [100, 50, -75]]])
    expected = np.array([[[-1.0, 1, 0], [1, -1, 1], [0, 0, -1]]])
    np.testing.assert_allclose(signed_points(points, 200, 100), expected, atol=1e-6)
