from __future__ import annotations

import numpy as np
import pytest
import torch

from fnevr.data.clips import Clip
from fnevr.data.pairs import NEAR_FRAMES, PairSampler, neighbours
from fnevr.geometry.patches import FacePatches


@pytest.fixture(scope="module")
def patches():
    return FacePatches.packaged()


def make_clip(
    name="clip", identity="someone", motion=0.1, lost=(), num_frames=6, size=32, **values
):
    """Frames of one gray level each, 10 times their index, and landmarks that say it too."""
    frames = np.empty((num_frames, size, size, 3), np.uint8)
    frames[:] = 10 * np.arange(num_frames)[:, None, None, None]
    landmarks = np.empty((num_frames, 478, 2), np.float32)
    landmarks[:] = 0.1 * np.arange(num_frames)[:, None, None]
    landmarks[list(lost)] = np.nan
    return Clip(name, identity, motion, frames, landmarks, **values)


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
    monkeypatch.setattr(
        "fnevr.data.pairs.augment", lambda images, points, *_: (images.to(torch.uint8), points)
    )

    def draw(clip, near_share, expressive_share=0.0):
        monkeypatch.setattr("fnevr.data.pairs.NEAR_SHARE", near_share)
        monkeypatch.setattr("fnevr.data.pairs.EXPRESSIVE_SHARE", expressive_share)
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


def test_expressive_pairs_are_the_two_that_differ_most(frames_of):
    """All frames of the clip are candidates; one has its mouth wide open, one shut."""
    clip = make_clip(num_frames=8)
    height = np.array([0.0, 1.0])
    for frame, gap in enumerate((0.1, 0.12, 0.3, 0.1, 0.0, 0.13, 0.11, 0.1)):
        clip.landmarks[frame, [10, 152]] = clip.landmarks[frame, [10]] + np.stack([-height, height])
        clip.landmarks[frame, 14] = clip.landmarks[frame, 13] + gap * height
    clip.landmarks[:, 0] = 0.1 * np.arange(8)[:, None]
    source, driving = frames_of(clip, near_share=0.0, expressive_share=1.0)
    assert {frozenset(pair) for pair in zip(source.tolist(), driving.tolist(), strict=True)} == {
        frozenset({2, 4})
    }
    assert set(source.tolist()) == {2, 4}  # either is the source


def test_frames_of_one_expression_make_a_pair_all_the_same(frames_of):
    source, driving = frames_of(make_clip(), near_share=0.0, expressive_share=1.0)
    assert (source != driving).all()


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


def test_identity_balance_draws_people_alike(patches):
    """The id sampling of the released configuration."""
    clips = [
        make_clip("still", "a", motion=0.0),
        make_clip("first of d", "d", motion=0.3),
        make_clip("second of d", "d", motion=0.1),
    ]
    sampler = PairSampler(clips, patches, seed=0, balance="identity")
    np.testing.assert_allclose(sampler.probabilities, [0.5, 0.25, 0.25])


def test_some_pairs_take_any_hue(patches):
    """Red turns to green or blue in some, and stays red in most."""
    red = make_clip()
    red.frames[:] = (200, 0, 0)
    colours = PairSampler([red], patches, seed=0).sample(200, step=0).driving_01.mean(dim=(2, 3))
    is_red = (colours[:, 0] > colours[:, 1] + 0.2) & (colours[:, 0] > colours[:, 2] + 0.2)
    assert 0.75 < is_red.float().mean() < 0.95
    assert (colours[:, 1] > colours[:, 0]).any()
    assert (colours[:, 2] > colours[:, 0]).any()


def test_raw_batch_is_the_finished_one_in_bytes(patches):
    sampler = PairSampler([make_clip()], patches, seed=3)
    raw, pairs = sampler.sample_raw(3, step=5), sampler.sample(3, step=5)
    assert raw.images.dtype == torch.uint8
    assert torch.equal(raw.images[:, 0] / 255, pairs.source_01)
    assert torch.equal(raw.images[:, 1] / 255, pairs.driving_01)
    again = raw.finish(torch.device("cpu"))
    assert torch.equal(again.source_01, pairs.source_01)
    assert torch.equal(again.driving_landmarks, pairs.driving_landmarks)
    assert torch.equal(raw.landmarks[:, 0], pairs.source_landmarks)
    assert torch.equal(raw.landmarks[:, 1], pairs.driving_landmarks)


def test_no_face_anywhere_says_so(patches):
    with pytest.raises(ValueError, match="no clip has a face in two frames or more"):
        PairSampler([make_clip(lost=range(1, 6))], patches, seed=0)


def test_photograph_is_the_target_and_never_the_source_of_itself(frames_of):
    source, driving = frames_of(make_clip(real_frames=1, lost=(3,)), near_share=0.5)
    assert set(driving.tolist()) == {0}
    assert set(source.tolist()) == {1, 2, 4, 5}


def test_half_of_the_sources_are_photographs_where_there_are_several(frames_of):
    source, driving = frames_of(make_clip(real_frames=2), near_share=0.5)
    assert set(driving.tolist()) == {0, 1}
    assert (source != driving).all()
    assert 20 < (source < 2).sum() < 44
    assert set(source.tolist()) == {0, 1, 2, 3, 4, 5}


def test_photographs_without_views_are_sources_of_one_another(frames_of):
    source, driving = frames_of(make_clip(real_frames=2, num_frames=2), near_share=0.5)
    assert (source + driving == 1).all()


def test_stills_have_a_share_between_them(patches):
    clips = [
        make_clip("still", "a", motion=0.0),
        make_clip("moving", "b", motion=0.1),
        make_clip("one", "c", motion=0.0, real_frames=1),
        make_clip("two", "d", motion=0.0, real_frames=2, weight=3.0),
        make_clip("photograph without a face", "e", real_frames=1, lost=(0,)),
    ]
    expected = np.array([0.25, 0.75, 0.25, 0.75])
    for share, stills in ((None, 0.25), (0.4, 0.4), (1.0, 1.0)):
        sampler = PairSampler(clips, patches, seed=0, stills_share=share)
        shares = np.array([1 - stills, 1 - stills, stills, stills])
        np.testing.assert_allclose(sampler.probabilities, expected * shares)


def test_a_weight_counts_for_clips_too(patches):
    clips = [make_clip("one", "a"), make_clip("two", "b", weight=3.0)]
    np.testing.assert_allclose(PairSampler(clips, patches, seed=0).probabilities, [0.25, 0.75])


def test_share_for_stills_needs_some(patches):
    with pytest.raises(ValueError, match="no still has"):
        PairSampler([make_clip()], patches, seed=0, stills_share=0.5)


def test_without_stills_the_pairs_are_those_of_before(patches, monkeypatch):
    """Frames that were drawn when there were no stills yet."""
    monkeypatch.setattr(
        "fnevr.data.pairs.augment", lambda images, points, *_: (images.to(torch.uint8), points)
    )
    clips = [
        make_clip("one", num_frames=20),
        make_clip("two", "other", motion=0.02, num_frames=9),
    ]
    pairs = PairSampler(clips, patches, seed=5).sample(12, step=3)
    source, driving = (
        (images[:, 0, 0, 0] * 25.5).round().long().tolist()
        for images in (pairs.source_01, pairs.driving_01)
    )
    assert source == [7, 0, 1, 17, 10, 5, 8, 7, 8, 11, 14, 4]
    assert driving == [6, 1, 9, 5, 11, 12, 4, 1, 5, 2, 1, 1]


class Numbers:
    """Describes a pair by the numbers of the frames whose landmarks it is given."""

    def __init__(self, reach):
        self.reach = reach

    def __call__(self, images, landmarks):
        assert images.shape == (2, 3, 32, 32)
        return (landmarks[:, 0, 0] * 10).round()


@pytest.mark.parametrize("reach", [0, 2])
def test_pairs_are_described_with_the_landmarks_around_the_driving_frame(
    reach, patches, monkeypatch
):
    monkeypatch.setattr(
        "fnevr.data.pairs.augment", lambda images, points, *_: (images.to(torch.uint8), points)
    )
    clip = make_clip(num_frames=9, lost=(4,))
    pairs = PairSampler([clip], patches, seed=0, describe=Numbers(reach)).sample(16, 0)
    plain = PairSampler([clip], patches, seed=0).sample(16, 0)
    assert torch.equal(plain.driving_landmarks, pairs.driving_landmarks)
    assert plain.described is None
    driving = (pairs.driving_landmarks[:, 0, 0] * 10).round()
    assert pairs.described is not None
    assert torch.equal(pairs.described[:, 1], driving)
    window = pairs.described[:, 2:]
    assert window.shape == (16, 2 * reach + 1 if reach else 0)
    assert 4 not in window
    for row, middle in zip(window.tolist(), driving.tolist(), strict=True):
        wanted = [min(max(middle + offset, 0), 8) for offset in range(-reach, reach + 1)]
        for found, index in zip(row, wanted, strict=False):
            assert found in ((3, 5) if index == 4 else (index,))
    parts = [part.described for part in pairs.split(4)]
    assert [len(part) for part in parts if part is not None] == [4] * 4


def test_frames_of_a_still_have_no_neighbours():
    still = make_clip(num_frames=6, real_frames=2)
    assert neighbours(still, still.tracked, 3, 2).tolist() == [3] * 5
