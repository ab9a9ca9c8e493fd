from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from fnevr.faces.landmarks import FaceMesh, landmarks_region
from fnevr.faces.tracker import MAX_LOST, FacesTracker, FaceTracker


@pytest.fixture
def tracker(detector, mesh):
    return FaceTracker(max_lost=3, detector=detector, mesh=mesh)


def shifted(rgb, dx, dy):
    return np.roll(rgb, (dy, dx), axis=(0, 1))


def test_follows_a_moving_face_without_detecting_again(portrait, tracker, landmarks):
    for step in range(6):
        track = tracker.update(shifted(portrait, 7 * step, 5 * step))
        assert track.status == ("tracked" if step else "detected")
        expected = landmarks[:, :2] + [7 * step, 5 * step]
        assert np.linalg.norm(track.landmarks[:, :2] - expected, axis=1).mean() < 1.5


def test_same_picture_again_gives_still_landmarks(portrait, tracker):
    tracks = [tracker.update(portrait).landmarks for _ in range(6)]
    assert np.abs(tracks[-1] - tracks[-2])[:, :2].max() < 0.5


class Spy(FaceMesh):
    """A landmark model that says where it looked."""

    def __init__(self):
        super().__init__()
        self.regions = []

    def mesh(self, rgb, region, num_passes=2):
        self.regions.append(region)
        return super().mesh(rgb, region, num_passes)


def test_where_to_look_stays_while_the_face_nearly_does(portrait, detector):
    """What was found is not what is looked at next, or every rounding would come back."""
    spy = Spy()
    tracker = FaceTracker(detector=detector, mesh=spy)
    tracker.update(portrait)
    spy.regions.clear()
    for brighter in range(4):
        tracker.update(np.minimum(portrait, 250) + np.uint8(brighter % 3))
    assert len({(region.centre_x, region.centre_y) for region in spy.regions}) == 1
    first = spy.regions[-1]
    tracker.update(shifted(portrait, 9, 0))
    tracker.update(shifted(portrait, 9, 0))
    assert spy.regions[-1].centre_x > first.centre_x + 4


def test_holds_a_lost_face_and_finds_it_again(portrait, tracker):
    black = np.zeros_like(portrait)
    seen = tracker.update(portrait)
    lost = [tracker.update(black) for _ in range(2)]
    assert [track.status for track in lost] == ["held", "held"]
    assert [track.num_lost for track in lost] == [1, 2]
    np.testing.assert_array_equal(lost[-1].landmarks, seen.landmarks)
    again = tracker.update(portrait)
    assert (again.status, again.num_lost) == ("detected", 0)


def covered(rgb, landmarks, share, colour=None):
    """Draw a disc of one colour, that of the cheek or another, over a share of the face."""
    (left, top), (right, bottom) = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
    width, height = right - left, bottom - top
    picture = Image.fromarray(rgb)
    cheek = tuple(int(value) for value in rgb[tuple(landmarks[50, 1::-1].astype(int))])
    disc = [left - 0.15 * width, bottom - 1.25 * share * height]
    disc += [right + 0.15 * width, bottom + 0.2 * height]
    ImageDraw.Draw(picture).ellipse(disc, fill=colour or cheek)
    return np.asarray(picture)


@pytest.mark.parametrize(
    ("share", "colour"),
    [
        (1.0, None),
        (1.0, (235, 235, 230)),
        (1.0, (130, 90, 60)),
        (0.75, None),
        (0.75, (130, 90, 60)),
    ],
)
def test_what_hides_a_face_is_no_face(portrait, tracker, landmarks, mesh, share, colour):
    hidden = covered(portrait, landmarks, share, colour)
    assert mesh.mesh(hidden, landmarks_region(landmarks), 1).is_face, "by itself, it is misled"
    tracker.update(portrait)
    assert [tracker.update(hidden).status for _ in range(3)] == ["held"] * 3
    assert tracker.update(portrait).status == "detected"


def test_what_hides_a_face_is_noticed_a_little_later_where_that_is_asked_less_often(
    portrait, detector, mesh, landmarks
):
    tracker = FaceTracker(max_lost=9, detector=detector, mesh=mesh, asked_every=3)
    tracker.update(portrait)
    hidden = covered(portrait, landmarks, 1.0)
    found = [getattr(tracker.update(hidden), "status", None) for _ in range(4)]
    assert found == ["tracked", "tracked", "held", "held"]


@pytest.mark.parametrize(
    "change",
    [
        lambda rgb, landmarks: covered(rgb, landmarks, 0.5),
        lambda rgb, _: (0.1 * rgb).astype(np.uint8),
        lambda rgb, _: np.minimum(2.0 * rgb, 255).astype(np.uint8),
        lambda rgb, _: np.asarray(Image.fromarray(rgb).filter(ImageFilter.GaussianBlur(4))),
        lambda rgb, _: np.clip(
            rgb + np.random.default_rng(0).normal(0, 50, rgb.shape), 0, 255
        ).astype(np.uint8),
    ],
    ids=["half covered", "dark", "overexposed", "blurred", "noisy"],
)
def test_what_shows_a_face_poorly_is_followed(portrait, tracker, landmarks, change):
    tracker.update(portrait)
    for _ in range(2):
        assert tracker.update(change(portrait, landmarks)).status == "tracked"


def test_gives_up_after_a_while(portrait, tracker):
    tracker.update(portrait)
    lost = [tracker.update(np.zeros_like(portrait)) for _ in range(4)]
    assert lost[2] is not None
    assert lost[3] is None
    assert tracker.update(portrait).status == "detected"


def test_no_face_at_the_start(portrait, tracker):
    assert tracker.update(np.zeros_like(portrait)) is None


def test_stays_with_its_face_when_it_was_lost(portrait, detector, mesh):
    pair = np.concatenate([portrait, portrait[::2, ::2].repeat(2, axis=0)[:512, :256]], axis=1)
    tracker = FaceTracker(index=1, detector=detector, mesh=mesh)
    first = tracker.update(pair)
    tracker.update(np.zeros_like(pair))
    again = tracker.update(pair)
    largest = FaceTracker(detector=detector, mesh=mesh).update(pair)
    assert first is not None
    assert again is not None
    assert largest is not None
    np.testing.assert_allclose(again.landmarks, first.landmarks, atol=2)
    assert np.abs(largest.landmarks[:, 0].mean() - first.landmarks[:, 0].mean()) > 150


@pytest.fixture
def pair(portrait):
    """The portrait, and a smaller one beside it."""
    small = np.asarray(Image.fromarray(portrait).resize((400, 400)))
    padded = np.full((512, 400, 3), 90, np.uint8)
    padded[:400] = small
    return np.concatenate([portrait, padded], axis=1)


def middles(tracks):
    return [None if track is None else float(track.landmarks[:, 0].mean()) for track in tracks]


def test_several_faces_are_followed_in_the_order_asked_for(pair):
    tracker = FacesTracker((1, 0), num_threads=1)
    for step in range(3):
        tracks = tracker.update(shifted(pair, 3 * step, 0))
        assert middles(tracks) == pytest.approx([688 + 3 * step, 225 + 3 * step], abs=25)


def test_a_lost_face_does_not_take_its_neighbour(pair):
    tracker = FacesTracker((0, 1), num_threads=1)
    tracker.update(pair)
    hidden = pair.copy()
    hidden[:, :512] = 90
    for _ in range(2):
        lost, seen = tracker.update(hidden)
        assert lost is not None
        assert lost.status == "held"
        assert seen is not None
        assert seen.status == "tracked"
    assert [track and track.status for track in tracker.update(pair)] == ["detected", "tracked"]


def test_who_comes_later_is_a_face_that_nobody_follows(portrait, pair):
    alone = np.concatenate([portrait, np.full((512, 400, 3), 90, np.uint8)], axis=1)
    tracker = FacesTracker((0, 1), num_threads=1)
    first, second = tracker.update(alone)
    assert first is not None
    assert second is None
    assert middles(tracker.update(pair)) == pytest.approx([225, 688], abs=25)


@pytest.fixture
def beside(portrait):
    """The portrait's head, left or right in a wide picture."""
    small = np.asarray(Image.fromarray(portrait).crop((110, 0, 370, 260)).resize((256, 256)))

    def at(left):
        wide = np.full((300, 900, 3), 90, np.uint8)
        wide[20:276, left : left + 256] = small
        return wide

    return at


def test_a_face_that_comes_back_elsewhere_is_found(beside):
    tracker = FacesTracker()
    (first,) = tracker.update(beside(10))
    assert first is not None
    assert first.is_new
    gone = [tracker.update(np.full((300, 900, 3), 90, np.uint8))[0] for _ in range(MAX_LOST)]
    assert {track and track.status for track in gone} == {"held"}
    again = [tracker.update(beside(600))[0] for _ in range(12)]
    assert again[0] is None
    found = [track for track in again if track is not None]
    assert [track.is_new for track in found] == [True] + [False] * (len(found) - 1)
    assert found[-1].landmarks[:, 0].mean() > 600


def test_after_a_reset_the_next_face_is_another_one(beside):
    tracker = FacesTracker()
    tracker.update(beside(10))
    tracker.reset()
    (track,) = tracker.update(beside(600))
    assert track is not None
    assert (track.status, track.is_new) == ("detected", True)
    assert track.landmarks[:, 0].mean() > 600
