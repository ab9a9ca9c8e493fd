from __future__ import annotations

import numpy as np
import torch

from fnevr.faces.alignment import ALIGNED_POINTS, TEMPLATE, alignment


def test_a_moved_template_is_found_in_either_library():
    matrix, shift = np.array([[0.4, -0.3], [0.3, 0.4]]), np.array([0.1, -0.2])
    landmarks = np.zeros((1, 478, 2))
    landmarks[0, list(ALIGNED_POINTS)] = (2 * TEMPLATE - 1) @ matrix.T + shift
    for points in (landmarks, torch.from_numpy(landmarks)):
        found = alignment(points, 1.0)
        assert all(type(part) is type(points) for part in found)
        np.testing.assert_allclose(found[0][0], matrix, rtol=0, atol=1e-12)
        np.testing.assert_allclose(found[1][0], shift, rtol=0, atol=1e-12)


def test_libraries_agree_and_tensors_have_gradients():
    landmarks = np.random.default_rng(0).normal(0, 0.3, (2, 478, 2)).astype(np.float32)
    for ours, theirs in zip(
        alignment(landmarks, 0.8), alignment(torch.from_numpy(landmarks), 0.8), strict=True
    ):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)
    points = torch.from_numpy(landmarks[:, :300]).double().requires_grad_()
    rest = torch.from_numpy(landmarks[:, 300:]).double()
    assert torch.autograd.gradcheck(lambda p: alignment(torch.cat((p, rest), 1), 0.8), (points,))
