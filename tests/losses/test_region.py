from __future__ import annotations

import math

import pytest
import torch

from fnevr.geometry.patches import FacePatches
from fnevr.losses import region_weights, weighted_l1
from fnevr.losses.region import REGIONS


@pytest.fixture
def face():
    """A face half as high as the picture; its contours are ellipses around known points."""
    landmarks = torch.zeros(2, 478, 2, dtype=torch.float64)
    landmarks[:, 10, 1], landmarks[:, 152, 1] = -0.5, 0.5
    for region, (x, y) in zip(REGIONS, [(-0.25, -0.1), (0.25, -0.1), (0.0, 0.3)], strict=True):
        for i, index in enumerate(region):
            angle = 2 * math.pi * i / len(region)
            landmarks[:, index, 0] = x + 0.1 * math.cos(angle)
            landmarks[:, index, 1] = y + 0.04 * math.sin(angle)
    return landmarks


def weights_naive(landmarks, size, gain):
    """One pixel and one region at a time; the ellipses from torch.cov."""
    floor = (0.03 * (landmarks[152] - landmarks[10]).norm()) ** 2
    weights = torch.ones(size, size, dtype=torch.float64)
    for row in range(size):
        for column in range(size):
            z = torch.tensor([(2 * column + 1) / size - 1, (2 * row + 1) / size - 1])
            peak = 0.0
            for region in REGIONS:
                contour = landmarks[list(region)]
                spread = 1.5**2 * torch.cov(contour.T, correction=0) + floor * torch.eye(2)
                offset = z.double() - contour.mean(0)
                square = offset @ torch.linalg.solve(spread, offset)
                peak = max(peak, math.exp(-0.5 * square))
            weights[row, column] += gain * peak
    return weights / weights.mean()


def test_weights_match_loops(face):
    face[1] += 0.02 * torch.randn_like(face[1])
    weights = region_weights(face, 16, gain=4.0)
    for b in range(2):
        torch.testing.assert_close(weights[b, 0], weights_naive(face[b], 16, 4.0))


def test_eyes_and_mouth_weigh_the_most(face):
    weights = region_weights(face, 160, gain=9.0)[0, 0]
    background = weights[0, 0]
    for x, y in [(-0.25, -0.1), (0.25, -0.1), (0.0, 0.3)]:
        pixel = weights[int(80 * (y + 1)), int(80 * (x + 1))]
        assert (pixel / background).item() == pytest.approx(10, rel=0.02)
    lid = weights[int(80 * 0.9), int(80 * 0.85)]  # the corner of an eye
    assert (lid / background - 1).item() / 9 > 0.6


def test_the_mean_is_one_whatever_the_gain(face):
    for gain in (0.0, 3.0, 100.0):
        weights = region_weights(face, 32, gain)
        torch.testing.assert_close(weights.mean((1, 2, 3)), torch.ones(2, dtype=torch.float64))
    assert (region_weights(face, 32, 0.0) == 1).all()


def test_no_face_weighs_the_same_everywhere(face):
    face[1] = math.nan
    weights = region_weights(face, 8, gain=5.0)
    assert (weights[1] == 1).all()
    assert weights[0].max() > 1.5


def test_a_face_of_one_point_stays_finite():
    assert region_weights(torch.zeros(1, 478, 2), 8, gain=5.0).isfinite().all()


def test_the_regions_lie_on_the_canonical_face():
    """Eyes are mirror images of each other, the mouth of itself."""
    mirror = FacePatches.packaged().mirror
    left, right, mouth = (set(region) for region in REGIONS)
    assert {int(mirror[index]) for index in left} == right
    assert {int(mirror[index]) for index in mouth} == mouth


@pytest.mark.parametrize(("size", "gain"), [(8, -1.0), (0, 1.0)])
def test_bad_gain_or_size_says_so(face, size, gain):
    with pytest.raises(ValueError, match=f"got {gain} and {size}"):
        region_weights(face, size, gain)


def test_weighted_l1_matches_loops():
    image, target = torch.rand(2, 2, 3, 4, 5, dtype=torch.float64)
    weights = torch.rand(2, 1, 4, 5, dtype=torch.float64)
    total = 0.0
    for b in range(2):
        for c in range(3):
            for y in range(4):
                for x in range(5):
                    difference = image[b, c, y, x] - target[b, c, y, x]
                    total += weights[b, 0, y, x].item() * abs(difference.item())
    assert weighted_l1(image, target, weights).item() == pytest.approx(total / 120)


def test_errors_cost_what_they_weigh(face):
    weights = region_weights(face, 160, gain=9.0)
    target = torch.zeros(2, 3, 160, 160, dtype=torch.float64)
    assert weighted_l1(target + 0.5, target, weights).item() == pytest.approx(0.5)
    in_eye, in_corner = target.clone(), target.clone()
    in_eye[:, :, 72, 60], in_corner[:, :, 0, 0] = 1, 1
    ratio = weighted_l1(in_eye, target, weights) / weighted_l1(in_corner, target, weights)
    assert ratio.item() == pytest.approx(10, rel=0.02)


@pytest.mark.usefixtures("bad_argument")
def test_other_sizes_say_so():
    image = torch.rand(1, 3, 4, 4)
    with pytest.raises(ValueError, match=r"weights of shape \(1, 1, 4, 4\) are wanted"):
        weighted_l1(image, image, torch.ones(1, 1, 2, 2))


def test_gradcheck():
    image = torch.rand(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    target, weights = torch.rand(1, 2, 3, 3).double(), torch.rand(1, 1, 3, 3).double()
    assert torch.autograd.gradcheck(lambda x: weighted_l1(x, target, weights), image)
