from __future__ import annotations

import numpy as np
import pytest
import torch

from fnevr.data.augment import (
    CONTRAST,
    FLIP_SHARE,
    MOVE_SHARE,
    YIQ,
    Augmentation,
    augment,
    flip,
    hue_matrix,
    move,
    recolour,
    stretch_matrix,
)
from fnevr.geometry.flow import centre_grid
from fnevr.geometry.patches import FacePatches

DOT = 4  # the landmark that a dot is drawn at, somewhere off the middle line for its mirror's sake
NOTHING = Augmentation(False, None, np.zeros(2), np.eye(3), 1.0, 0.0)


@pytest.fixture(scope="module")
def patches():
    return FacePatches.packaged()


def draw_dots(points, size=96):
    """Pictures with a soft white dot at each place of [-1, 1]."""
    grid = centre_grid(size, size, like=points)
    distance = (grid - points[:, None, None]).square().sum(-1)
    return 255 * torch.exp(-distance / (2 * 0.05**2))[:, None].expand(-1, 3, -1, -1)


def find_dots(images):
    """The centre of mass of each picture."""
    grid = centre_grid(images.shape[-2], images.shape[-1], like=images)
    weights = images[:, 0] / images[:, 0].sum(dim=(1, 2), keepdim=True)
    return (weights[..., None] * grid).sum(dim=(1, 2))


def landmarks_with_dots(index):
    """Random landmarks, in the middle half, and pictures with a dot at one of them."""
    landmarks = torch.rand(2, 478, 2) - 0.5
    return draw_dots(landmarks[:, index]), landmarks


def draws(count=2000):
    rng = np.random.default_rng(0)
    return [Augmentation.draw(rng) for _ in range(count)]


def test_a_stretch_is_along_an_axis_and_inverted_across_it():
    np.testing.assert_array_equal(stretch_matrix(0.0, 0.0), np.eye(2))
    np.testing.assert_allclose(stretch_matrix(0.1, 0.0), np.diag([np.exp(0.1), np.exp(-0.1)]))
    diagonal = np.array([1.0, 1.0])
    np.testing.assert_allclose(stretch_matrix(0.0, 0.1) @ diagonal, np.exp(0.1) * diagonal)
    assert np.linalg.det(stretch_matrix(0.3, -0.2)) == pytest.approx(1)


def test_draws_are_as_likely_and_as_large_as_promised():
    drawn = draws()
    flipped = np.mean([one.is_flipped for one in drawn])
    moved = [one.matrix for one in drawn if one.matrix is not None]
    assert flipped == pytest.approx(FLIP_SHARE, abs=0.04)
    assert len(moved) / len(drawn) == pytest.approx(MOVE_SHARE, abs=0.04)
    # Of the rotation in the polar decomposition.
    angles = [np.arctan2(m[1, 0] - m[0, 1], m[0, 0] + m[1, 1]) for m in moved]
    scales = [np.linalg.det(matrix) ** 0.5 for matrix in moved]
    assert np.std(angles) == pytest.approx(0.15, rel=0.1)
    assert np.std(np.log(scales)) == pytest.approx(0.13, rel=0.1)
    longest, shortest = np.linalg.svd(np.stack(moved), compute_uv=False).T
    stretches = np.log(longest / shortest) / 2
    assert np.mean(stretches**2) == pytest.approx(2 * 0.1**2, rel=0.15)
    contrast = [one.contrast for one in drawn]
    assert (min(contrast), max(contrast)) == pytest.approx((1 - CONTRAST, 1 + CONTRAST), abs=2e-3)
    assert np.std([one.brightness for one in drawn]) == pytest.approx(0.05, rel=0.1)


def test_hue_turns_colour_and_leaves_gray():
    turned = hue_matrix(0.25, 1.0)
    np.testing.assert_allclose(turned @ np.ones(3), np.ones(3), atol=1e-3)
    np.testing.assert_allclose(np.linalg.matrix_power(turned, 4), np.eye(3), atol=1e-12)
    red = np.array([1.0, 0.0, 0.0])
    # A quarter turn: I becomes Q, and luma stays.
    before, after = YIQ @ red, YIQ @ turned @ red
    np.testing.assert_allclose(after, [before[0], -before[2], before[1]], atol=1e-12)


def test_saturation_scales_the_distance_from_gray():
    colour = np.array([0.8, 0.4, 0.1])
    luma = float(YIQ[0] @ colour)
    faded = hue_matrix(0.0, 0.5) @ colour
    np.testing.assert_allclose(faded - luma, 0.5 * (colour - luma), atol=1e-3)


def test_flip_mirrors_both_pictures_of_a_pair(patches):
    images, points = torch.rand(2, 3, 8, 8), torch.randn(2, 478, 2)
    flipped, mirrored = flip(images, points, patches)
    assert torch.equal(flipped, images.flip(3))
    assert torch.equal(mirrored, patches.mirrored(points))


@pytest.mark.parametrize("index", [DOT, 33, 468])
def test_flip_keeps_the_landmarks_on_the_picture(patches, index):
    """What was at landmark i is at its mirror image's place when flipped."""
    images, landmarks = landmarks_with_dots(index)
    flipped, points = flip(images, landmarks, patches)
    mirror = int(patches.mirror[index])
    assert (find_dots(flipped) - points[:, mirror]).abs().max() < 1e-3


@pytest.mark.parametrize("seed", range(4))
def test_move_keeps_the_landmarks_on_the_picture(seed):
    images, landmarks = landmarks_with_dots(DOT)
    rng = np.random.default_rng(seed)
    drawn = next(
        one for one in iter(lambda: Augmentation.draw(rng), None) if one.matrix is not None
    )
    assert drawn.matrix is not None
    moved, points = move(images, landmarks, drawn.matrix, drawn.shift)
    assert (find_dots(moved) - points[:, DOT]).abs().max() < 0.01
    assert (points - landmarks).abs().amax(dim=(1, 2)).min() > 0.01


def test_recolour_treats_a_pair_alike_and_stays_in_range():
    gray = torch.full((2, 3, 16, 16), 128.0)
    coloured = [recolour(gray, one) for one in draws(8)]
    for pair in coloured:
        assert torch.equal(pair[0], pair[1])
        assert torch.equal(pair, pair[:, :, :1, :1].expand_as(pair))
    assert not torch.equal(coloured[0], coloured[1])
    assert max(recolour(torch.full((2, 3, 8, 8), 255.0), one).max() for one in draws(8)) == 255


def test_recolour_is_the_formula():
    images = torch.rand(2, 3, 16, 16) * 255
    drawn = draws(1)[0]
    colour = torch.from_numpy(drawn.colour).float()
    expected = torch.einsum("ij,bjhw->bihw", colour, images)
    mean = (colour @ images[0, :, ::8, ::8].mean(dim=(1, 2))).mean()
    expected = mean + drawn.contrast * (expected - mean) + 255 * drawn.brightness
    found = recolour(images, drawn).float()
    assert (found - expected.clamp(0, 255)).abs().max() < 0.51


def test_nothing_drawn_changes_nothing(patches):
    images = torch.randint(0, 256, (2, 3, 8, 8)).float()
    points = torch.randn(2, 478, 2)
    same, kept = augment(images, points, NOTHING, patches)
    assert torch.equal(same.float(), images)
    assert torch.equal(kept, points)


def test_everything_is_applied_and_nothing_changed_in_place(patches):
    images, points = torch.rand(2, 3, 16, 16) * 255, torch.randn(2, 478, 2)
    before = images.clone(), points.clone()
    drawn = next(one for one in draws() if one.is_flipped and one.matrix is not None)
    found, moved_points = augment(images, points, drawn, patches)
    assert drawn.matrix is not None
    expected, expected_points = move(images, points, drawn.matrix, drawn.shift)
    expected, expected_points = flip(recolour(expected, drawn), expected_points, patches)
    assert torch.equal(found, expected)
    assert torch.equal(moved_points, expected_points)
    assert torch.equal(images, before[0])
    assert torch.equal(points, before[1])
