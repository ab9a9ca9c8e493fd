import numpy as np

from fnevr.animation.retargeting import Ride
from fnevr.face3d.face_fit import Similarity
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.rotations import rotation_matrices
from fnevr.train.retarget_map import SeenClip, _fit_beside, _fit_lids

NUM_FACE = 25


def keypoints(positions, jacobians):
    return Keypoints(np.asarray(positions, np.float32), np.asarray(jacobians, np.float32))


def heads(rng, count):
    return [
        Similarity(
            float(0.6 + 0.05 * rng.standard_normal()),
            rotation_matrices(0.25 * rng.standard_normal(3)),
            0.1 * rng.standard_normal(3),
        )
        for _ in range(count)
    ]


def face(rng, count):
    """Keypoints on a face, all of one head: the last has its frame."""
    jacobians = np.eye(2) + 0.1 * rng.standard_normal((count, NUM_FACE, 2, 2))
    return keypoints(0.2 * rng.standard_normal((count, NUM_FACE, 2)), jacobians)


def test_shares_and_depths_are_found_in_spite_of_outliers():
    rng = np.random.default_rng(0)
    shifts, turns, depths, bends = [0.9, 0.5], [0.8, 0.3], [0.1, 0.6], [0.2, 0.7]
    clips = []
    for _ in range(6):
        places = heads(rng, 12)
        start = keypoints(rng.uniform(-1, 1, (1, 2, 2)), np.tile(np.eye(2), (1, 2, 1, 1)))
        positions, jacobians = [], []
        for place in places:
            ride = Ride.between(places[0], place, start)
            turned = ride.turned + np.array(depths)[:, None] * ride.deepened
            moved = np.array(shifts)[:, None] * ride.shifted + np.array(turns)[:, None] * turned
            positions.append(start.positions[0] + moved)
            jacobians.append(start.jacobians[0] + np.array(bends)[:, None, None] * ride.bent)
        positions[5] = positions[5] + 3.0  # a hand
        on_face = face(rng, len(places))
        found = keypoints(
            np.concatenate((on_face.positions, positions), axis=1),
            np.concatenate((on_face.jacobians, jacobians), axis=1),
        )
        clips.append(SeenClip(found, on_face, places[:1] + places[1:]))
    found_shifts, found_turns, found_depths, found_bends = _fit_beside(clips)
    np.testing.assert_allclose(found_shifts, shifts, atol=0.15)
    np.testing.assert_allclose(found_turns, turns, atol=0.15)
    np.testing.assert_allclose(found_depths, depths, atol=0.2)
    np.testing.assert_allclose(found_bends, bends, atol=0.15)


def test_lids_that_go_twice_as_far_are_found():
    rng, lid = np.random.default_rng(1), 20
    clips = []
    for _ in range(40):
        expected = face(rng, 24)
        expected.positions[:, -1] = 0.0
        expected.jacobians[:, -1] = np.eye(2)
        positions = expected.positions.copy()
        positions[:, lid, 1] += positions[:, lid, 1]
        clips.append(SeenClip(keypoints(positions, expected.jacobians), expected, heads(rng, 24)))
    weights = _fit_lids(clips)
    assert abs(weights[6 * lid + 1, 1] - 1.0) < 0.15
    weights[6 * lid + 1, 1] = 0
    assert np.abs(weights).max() < 0.15
