from __future__ import annotations

import numpy as np
import pytest

from fnevr.evaluate.metrics.openness import (
    blinks_followed,
    closures_followed,
    correlation,
    eye_opening,
    eye_shares,
    mouth_opening,
    pooled_correlation,
    pooled_slope,
    slope,
)


def rotated(points, angle):
    cosine, sine = np.cos(angle), np.sin(angle)
    turned = points.copy()
    turned[:, :2] = points[:, :2] @ np.array([[cosine, sine], [-sine, cosine]])
    return turned


@pytest.fixture
def landmarks():
    return np.random.default_rng(0).normal(size=(478, 3))


def test_mouth_opening_is_gap_over_width(landmarks):
    landmarks[[13, 14, 78, 308], :2] = [[0, 1], [0, 4], [-5, 2], [5, 2]]
    assert mouth_opening(landmarks) == pytest.approx(0.3)


@pytest.mark.parametrize("ratio", [mouth_opening, eye_opening])
def test_openings_do_not_depend_on_size_and_tilt(ratio, landmarks):
    assert ratio(rotated(3 * landmarks + 7, 0.4)) == pytest.approx(ratio(landmarks))


def test_eye_opening_is_the_mean_of_both_eyes(landmarks):
    """Lids 2 apart on an eye 10 wide; lids 4 and 6 apart on the other."""
    landmarks[[33, 133], :2] = [[0, 0], [10, 0]]
    landmarks[[160, 144, 158, 153], :2] = [[3, -1], [3, 1], [7, -1], [7, 1]]
    landmarks[[362, 263], :2] = [[20, 0], [30, 0]]
    landmarks[[385, 380, 387, 373], :2] = [[23, -2], [23, 2], [27, -3], [27, 3]]
    assert eye_opening(landmarks) == pytest.approx((0.2 + 0.5) / 2)


def test_correlation_leaves_unknown_frames_out():
    driver = np.array([0.0, 1.0, 2.0, 3.0, np.nan])
    output = np.array([1.0, 3.0, np.nan, 7.0, 0.0])
    assert correlation(output, driver) == pytest.approx(1.0)
    assert correlation(-output, driver) == pytest.approx(-1.0)


def test_correlation_is_unknown_without_variation_or_frames():
    driver = np.array([0.0, 1.0, 2.0])
    assert np.isnan(correlation(np.full(3, 0.5), driver))
    assert np.isnan(correlation(driver[:2], driver[:2]))


def test_pooled_correlation_does_not_reward_telling_people_apart():
    """Two people with different mouths; within each, the output moves against the driver."""
    drivers = [np.array([0.0, 0.1, 0.2]), np.array([10.0, 10.1, 10.2])]
    outputs = [np.array([0.2, 0.1, 0.0]), np.array([10.2, 10.1, 10.0])]
    assert pooled_correlation(outputs, drivers) == pytest.approx(-1.0)
    assert np.corrcoef(np.concatenate(outputs), np.concatenate(drivers))[0, 1] > 0.99


def test_pooled_slope_is_the_share_of_the_drivers_change():
    """Two people that open their mouths by half as much as their drivers, one frame unknown."""
    drivers = [np.array([0.0, 1.0, 2.0, 1.0]), np.array([5.0, 7.0])]
    outputs = [np.array([0.3, 0.8, 1.3, np.nan]), np.array([9.0, 10.0])]
    assert pooled_slope(outputs, drivers) == pytest.approx(0.5)
    assert pooled_correlation(outputs, drivers) == pytest.approx(1.0)
    assert np.isnan(pooled_slope(outputs, [np.ones(4), np.ones(2)]))


def test_pooled_correlation_without_any_frame_is_unknown():
    assert np.isnan(pooled_correlation([np.full(3, np.nan)], [np.zeros(3)]))


def test_slope_is_the_change_per_change_of_the_driver():
    driver = np.array([0.1, 0.3, 0.2, np.nan, 0.5])
    assert slope(0.4 * driver + 7, driver) == pytest.approx(0.4)
    assert np.isnan(slope(driver, np.full(5, 0.2)))


def test_eye_shares_are_0_shut_and_1_as_usual():
    openings = np.array([0.08] * 2 + [0.30] * 8)
    np.testing.assert_allclose(eye_shares(openings), [0] * 2 + [1] * 8)
    assert np.isnan(eye_shares(np.full(3, np.nan))).all()


def test_blinks_count_where_the_driver_blinks():
    driver = np.array([0.3] * 8 + [0.1, 0.09])
    assert blinks_followed(driver * 0.9, driver) == 1
    assert blinks_followed(np.array([0.3] * 9 + [0.1]), driver) == 0.5
    assert blinks_followed(np.array([0.3] * 9 + [np.nan]), driver) == 0
    assert np.isnan(blinks_followed(driver, np.full(10, 0.3)))


def test_lips_count_where_the_drivers_touch():
    driver = np.array([0.0, 0.01, 0.3, 0.5])
    assert closures_followed(np.array([0.0, 0.2, 0.0, 0.5]), driver) == 0.5
    assert np.isnan(closures_followed(driver, np.full(4, 0.3)))
