from __future__ import annotations

from importlib.resources import files

import pytest
import torch
from safetensors.torch import load

from fnevr.geometry.patches import NUM_MESH_POINTS, RIDGE, FacePatches


@pytest.fixture(scope="module")
def asset():
    return load((files("fnevr") / "assets" / "face_patches.safetensors").read_bytes())


@pytest.fixture(scope="module")
def patches():
    return FacePatches.packaged()


def members(asset, keypoint):
    """Landmarks of a keypoint; the last keypoint is the whole mesh."""
    count = int(asset["labels"].max()) + 1
    if keypoint < count:
        return torch.nonzero(asset["labels"] == keypoint).flatten()
    return torch.arange(NUM_MESH_POINTS)


def fit_naive(canonical, landmarks, indices, towards=None):
    """Least squares with numerical tools: the ridge is two more equations, sqrt(r) J = sqrt(r) J0.

    With r = RIDGE * trace(M) / 2, minimizing |X J^T - Y|^2 + r |J - J0|^2.
    """
    x = canonical[indices, :2] - canonical[indices, :2].mean(0)
    y = landmarks[indices] - landmarks[indices].mean(0)
    if towards is not None:
        root = (RIDGE * x.square().sum() / 2).sqrt()
        x = torch.cat([x, root * torch.eye(2, dtype=x.dtype)])
        y = torch.cat([y, root * towards.T])
    return torch.linalg.lstsq(x, y).solution.T


def test_affine_image_of_the_canonical_face_gives_that_map(asset, patches):
    matrix = torch.tensor([[0.9, -0.3], [0.2, 1.2]], dtype=torch.float64)
    offset = torch.tensor([0.1, -0.2], dtype=torch.float64)
    landmarks = asset["canonical"][:, :2].double() @ matrix.T + offset
    keypoints = patches(landmarks[None])
    expected = matrix.expand_as(keypoints.jacobians)
    torch.testing.assert_close(keypoints.jacobians, expected, atol=1e-5, rtol=0)
    for k in range(patches.num_keypoints):
        mean = asset["canonical"][members(asset, k), :2].double().mean(0)
        expected = matrix @ mean + offset
        torch.testing.assert_close(keypoints.positions[0, k], expected, atol=1e-5, rtol=0)


def test_fit_matches_least_squares_with_two_more_equations(asset, patches):
    canonical = asset["canonical"].double()
    landmarks = canonical[:, :2] + 0.05 * torch.randn(478, 2, dtype=torch.float64)
    jacobians = patches(landmarks[None].float()).jacobians[0].double()
    face = fit_naive(canonical, landmarks, members(asset, patches.num_keypoints - 1))
    torch.testing.assert_close(jacobians[-1], face, atol=1e-5, rtol=0)
    for k in range(patches.num_keypoints - 1):
        expected = fit_naive(canonical, landmarks, members(asset, k), towards=face)
        torch.testing.assert_close(jacobians[k], expected, atol=1e-4, rtol=0)


def test_shift_moves_positions_alone(patches):
    landmarks = torch.rand(2, 478, 2) - 0.5
    shift = torch.tensor([0.25, -0.5])
    before, after = patches(landmarks), patches(landmarks + shift)
    torch.testing.assert_close(after.positions, before.positions + shift)
    torch.testing.assert_close(after.jacobians, before.jacobians, atol=1e-5, rtol=1e-5)


def test_every_landmark_is_in_at_most_one_patch_and_every_patch_has_a_few(asset, patches):
    labels = asset["labels"]
    assert labels.shape == (478,)
    assert patches.num_keypoints == 25
    sizes = torch.bincount(labels[labels >= 0])
    assert sizes.min() >= 4
    assert torch.equal(sizes[0::2], sizes[1::2])


def test_mirror_is_an_involution(patches):
    landmarks = torch.randn(2, 478, 2)
    assert torch.equal(patches.mirrored(patches.mirrored(landmarks)), landmarks)
    permutation = patches.keypoint_mirror
    assert [permutation[k] for k in permutation] == list(range(patches.num_keypoints))
    assert permutation[-1] == patches.num_keypoints - 1


def test_mirrored_landmarks_have_mirrored_keypoints(patches):
    """With F the flip of x: p_mirror(k) = F p_k and J_mirror(k) = F J_k F."""
    landmarks = torch.randn(3, 478, 2) * 0.3
    keypoints, mirrored = patches(landmarks), patches(patches.mirrored(landmarks))
    flip = torch.diag(torch.tensor([-1.0, 1.0]))
    order = patches.keypoint_mirror
    positions = mirrored.positions[:, order]
    torch.testing.assert_close(positions, keypoints.positions @ flip, atol=1e-5, rtol=0)
    expected = flip @ keypoints.jacobians @ flip
    torch.testing.assert_close(mirrored.jacobians[:, order], expected, atol=1e-3, rtol=1e-4)
