from __future__ import annotations

import numpy as np
import pytest
import torch

from fnevr.data.cache import Clip
from fnevr.data.pairs import NEAR_FRAMES, PairSampler, flip, move, recolour
from fnevr.geometry.flow import centre_grid
from fnevr.geometry.patches import FacePatches

DOT = 4  # the landmark that a dot is drawn at, somewhere off the middle line for its mirror's sake


@pytest.fixture(scope="module")
def patches():
    return FacePatches.packaged()


def make_clip(name="clip", identity="someone", motion=0.1, lost=(), num_frames=6, size=32):
    """Frames of one gray level each, 10 times their index, and landmarks that say it too."""
    frames = np.empty((num_frames, size, size, 3), np.uint8)
    frames[:] = 10 * np.arange(num_frames)[:, None, None, None]
    landmarks = np.empty((num_frames, 478, 2), np.float32)
    landmarks[:] = 0.1 * np.arange(num_frames)[:, None, None]
    landmarks[list(lost)] = np.nan
    return Clip(name, identity, motion, frames, landmarks)


def draw_dots(points, size=96):
    """Pictures with a soft white dot at each place of [-1, 1]."""
    grid = centre_grid(size, size, like=points)
    distance = (grid - points[:, None, None]).square().sum(-1)
    return torch.exp(-distance / (2 * 0.05**2))[:, None].expand(-1, 3, -1, -1)


def find_dots(images):
    """The centre of mass of each picture."""
    grid = centre_grid(images.shape[-2], images.shape[-1], like=images)
    weights = images[:, 0] / images[:, 0].sum(dim=(1, 2), keepdim=True)
    return (weights[..., None] * grid).sum(dim=(1, 2))


def landmarks_with_dots(patches, index):
    """Random landmarks, in the middle half, and pictures with a dot at one of them."""
    landmarks = torch.rand(16, 478, 2) - 0.5
    return draw_dots(landmarks[:, index]), landmarks


def test_batch_has_the_promised_shapes_and_ranges(patches):
    pairs = PairSampler([make_clip()], patches, seed=0).sample(3, step=0)
    assert pairs.source_01.shape == pairs.driving_01.shape == (3, 3, 32, 32)
    assert pairs.source_landmarks.shape == pairs.driving_landmarks.shape == (3, 478, 2)
    assert 0 <= pairs.source_01.min() <= pairs.driving_01.max() <= 1


def test_same_seed_and_step_give_the_same_batch(patches):
    clips = [make_clip("one"), make_clip("two", "other")]
    batches = [
        PairSampler(clips, patches, seed=seed).sample(4, step)
        for seed, step in ((1, 7), (1, 7), (1, 8), (2, 7))
    ]
    first, *others = (torch.cat([b.source_01, b.driving_01]) for b in batches)
    assert [torch.equal(first, other) for other in others] == [True, False, False]
    assert torch.equal(batches[0].source_landmarks, batches[1].source_landmarks)


@pytest.fixture
def frames_of(patches, monkeypatch):
    """Draw 64 pairs and say which frames they are: without augmentation the gray level does."""
    for name in ("flip", "move"):
        monkeypatch.setattr(f"fnevr.data.pairs.{name}", lambda images, points, *_: (images, points))
    monkeypatch.setattr("fnevr.data.pairs.recolour", lambda images, _: images)

    def draw(clip, near_share):
        monkeypatch.setattr("fnevr.data.pairs.NEAR_SHARE", near_share)
        pairs = PairSampler([clip], patches, seed=0).sample(64, step=0)
        source, driving = (
            (images[:, 0, 0, 0] * 25.5).round().long()
            for images in (pairs.source_01, pairs.driving_01)
        )
        torch.testing.assert_close(pairs.source_landmarks[:, 0, 0], source * 0.1)
        torch.testing.assert_close(pairs.driving_landmarks[:, 0, 0], driving * 0.1)
        return source, driving

    return draw


def test_pairs_are_two_tracked_frames_of_one_clip(frames_of):
    source, driving = frames_of(make_clip(lost=(0, 3)), near_share=0.0)
    assert set(source.tolist()) == set(driving.tolist()) == {1, 2, 4, 5}
    assert (source != driving).all()


def test_near_pairs_are_a_few_frames_apart_or_the_same(frames_of):
    source, driving = frames_of(make_clip(num_frames=25), near_share=1.0)
    distance = (source - driving).abs()
    assert (distance.min(), distance.max()) == (0, NEAR_FRAMES - 1)
    assert source.max() - source.min() > 2 * NEAR_FRAMES


def test_moving_clips_are_drawn_more_often_and_identities_share(patches):
    clips = [
        make_clip("still", "a", motion=0.0),
        make_clip("moving", "b", motion=0.1),
        make_clip("wild", "c", motion=5.0),
        make_clip("first of d", "d", motion=0.1),
        make_clip("second of d", "d", motion=0.1),
        make_clip("nobody", "e", lost=range(5)),
    ]
    sampler = PairSampler(clips, patches, seed=0)
    weights = np.array([0.4, 1.2, 2.0, 1.2 / 2**0.5, 1.2 / 2**0.5])
    np.testing.assert_allclose(sampler.probabilities, weights / weights.sum())


def test_no_face_anywhere_says_so(patches):
    with pytest.raises(ValueError, match="no clip has a face in two frames or more"):
        PairSampler([make_clip(lost=range(1, 6))], patches, seed=0)


def test_flip_mirrors_both_pictures_of_a_pair(patches):
    images, points = torch.rand(16, 3, 8, 8), torch.randn(16, 478, 2)
    flipped, mirrored = flip(images, points, patches, np.random.default_rng(0))
    is_flipped = [torch.equal(flipped[i], images[i].flip(2)) for i in range(16)]
    is_kept = [torch.equal(flipped[i], images[i]) for i in range(16)]
    assert is_flipped[0::2] == is_flipped[1::2]
    assert [not f for f in is_flipped] == is_kept
    assert 0 < sum(is_flipped) < 16
    for i in range(16):
        expected = patches.mirrored(points[i : i + 1])[0] if is_flipped[i] else points[i]
        assert torch.equal(mirrored[i], expected)


@pytest.mark.parametrize("index", [DOT, 33, 468])
def test_flip_keeps_the_landmarks_on_the_picture(patches, index):
    """What was at landmark i is at its mirror image's place when flipped."""
    images, landmarks = landmarks_with_dots(patches, index)
    flipped, points = flip(images, landmarks, patches, np.random.default_rng(0))
    mirror = int(patches.mirror[index])
    found = find_dots(flipped)
    at_mirror = (found - points[:, mirror]).abs().amax(dim=1) < 1e-3
    at_index = (found - points[:, index]).abs().amax(dim=1) < 1e-3
    assert (at_mirror | at_index).all()
    assert at_mirror.any()
    assert at_index.any()


def test_move_keeps_the_landmarks_on_the_picture(patches):
    images, landmarks = landmarks_with_dots(patches, DOT)
    moved, points = move(images, landmarks, np.random.default_rng(0), probability=1.0)
    difference = (find_dots(moved) - points[:, DOT]).abs()
    assert difference.max() < 0.01
    assert (points - landmarks).abs().amax(dim=(1, 2)).min() > 0.01


def test_move_moves_both_pictures_of_a_pair_alike(patches):
    """The same landmarks in both stay the same; the map is a rotation and a scaling."""
    landmarks = torch.randn(8, 478, 2).repeat_interleave(2, dim=0)
    _, points = move(torch.rand(16, 3, 8, 8), landmarks, np.random.default_rng(0), probability=1.0)
    assert torch.equal(points[0::2], points[1::2])
    sides = [p - p.roll(1, dims=1) for p in (landmarks, points)]
    ratio = sides[1].norm(dim=2) / sides[0].norm(dim=2)
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio), atol=1e-3, rtol=1e-3)


def test_move_may_leave_everything_as_it_is(patches):
    images, points = torch.rand(4, 3, 8, 8), torch.randn(4, 478, 2)
    moved, kept = move(images, points, np.random.default_rng(0), probability=0.0)
    assert torch.equal(moved, images)
    assert torch.equal(kept, points)


def test_recolour_treats_a_pair_alike_and_stays_in_range():
    gray = torch.full((8, 3, 4, 4), 0.5)
    coloured = recolour(gray, np.random.default_rng(0))
    assert torch.equal(coloured[0::2], coloured[1::2])
    assert torch.equal(coloured, coloured[:, :, :1, :1].expand_as(coloured))
    assert not torch.equal(coloured[0], coloured[2])
    bright = recolour(torch.ones(8, 3, 4, 4), np.random.default_rng(0))
    assert bright.max() == 1


def test_augmentation_changes_nothing_in_place(patches):
    images, points = torch.rand(16, 3, 8, 8), torch.randn(16, 478, 2)
    before = images.clone(), points.clone()
    flip(images, points, patches, np.random.default_rng(0))
    move(images, points, np.random.default_rng(0), probability=1.0)
    recolour(images, np.random.default_rng(0))
    assert torch.equal(images, before[0])
    assert torch.equal(points, before[1])
