"""Head pose, jitter and landmark distance: known answers."""

from __future__ import annotations

import numpy as np
import pytest

from fnevr.evaluate.metrics.head_pose import head_turn, pose_error_deg
from fnevr.evaluate.metrics.jitter import jitter
from fnevr.evaluate.metrics.landmark_distance import landmark_distance, mesh_distance


def rotation(axis, degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = [other for other in range(3) if other != axis]
    matrix = np.eye(3)
    matrix[[i, i, j, j], [i, j, i, j]] = c, -s, s, c
    return matrix


@pytest.fixture
def mesh():
    return np.random.default_rng(0).normal(size=(478, 3)).astype(np.float32) * 40 + 128


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_turns_are_found_whatever_the_size_and_place(mesh, axis):
    turn = rotation(axis, 25)
    moved = (1.7 * mesh @ turn.T + [30, -20, 5]).astype(np.float32)
    np.testing.assert_allclose(head_turn(mesh, moved), turn, atol=1e-5)
    assert pose_error_deg(head_turn(mesh, moved), np.eye(3)) == pytest.approx(25, abs=1e-3)
    assert pose_error_deg(turn, turn) == 0


def test_a_mirrored_mesh_is_no_rotation_but_gives_one(mesh):
    mirrored = mesh * [-1, 1, 1]
    assert np.linalg.det(head_turn(mesh, mirrored.astype(np.float32))) == pytest.approx(1)


def test_half_a_turn():
    assert pose_error_deg(rotation(2, 180), np.eye(3)) == pytest.approx(180)


def test_jitter_of_known_tracks(mesh):
    steps = np.arange(8)[:, None, None]
    driver = mesh + 2.0 * steps * np.array([1, 0, 0])
    offset = driver + np.array([3, -1, 0])
    np.testing.assert_allclose(jitter(offset, driver, 256)[1:-1], 0, atol=1e-4)
    drifting = driver + 0.5 * steps
    np.testing.assert_allclose(jitter(drifting, driver, 256)[1:-1], 0, atol=1e-4)
    # One frame off by d: |d|, |2 d|, |d|; at 512 pixels half as much counts.
    off = driver.copy()
    off[4, :, :2] += [3, 4]
    np.testing.assert_allclose(jitter(off, driver, 256)[1:-1], [0, 0, 5, 10, 5, 0], atol=1e-4)
    np.testing.assert_allclose(jitter(off, driver, 512)[3], 2.5, atol=1e-4)


def test_jitter_is_unknown_at_the_ends_and_beside_lost_faces(mesh):
    track = np.stack([mesh] * 6)
    lost = track.copy()
    lost[2] = np.nan
    assert np.isnan(jitter(lost, track, 256)).tolist() == [True, True, True, True, False, True]
    assert np.isnan(jitter(track[:2], track[:2], 256)).all()


def test_landmark_distance_is_the_mean_of_both_coordinates_in_pixels_at_256(mesh):
    moved = mesh + np.array([1.0, -2.0, 50.0])
    assert landmark_distance(moved, mesh, side=256) == pytest.approx(1.5)
    assert landmark_distance(moved, mesh, side=128) == pytest.approx(3.0)
    moved[468:] += 100
    assert mesh_distance(moved, mesh, side=128) == pytest.approx(3.0)  # without the irises
    moved[468:] -= 100
    # As FOMM's script: the mean of the absolute differences of two arrays.
    assert landmark_distance(moved, mesh, 256) == pytest.approx(np.abs(moved - mesh)[:, :2].mean())
