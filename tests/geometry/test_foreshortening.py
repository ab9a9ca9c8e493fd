from __future__ import annotations

import numpy as np
import pytest

from fnevr.geometry.foreshortening import at_least_this_wide


def rotation(degrees):
    sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    return np.array([[cosine, -sine], [sine, cosine]])


def patch(width, degrees=0.0):
    """A patch as wide as given along a direction, and 1 across."""
    turn = rotation(degrees)
    return (turn @ np.diag([width, 1.0]) @ turn.T)[None, None]


@pytest.mark.parametrize("width", [0.5, 0.8, 1.0, 3.0])
def test_patches_that_are_wide_enough_stay_as_they_are(width):
    source = (rotation(20) @ np.diag([0.3, 0.2]))[None, None]
    driving = patch(width, 30) @ source
    np.testing.assert_array_equal(at_least_this_wide(driving, source, 0.499), driving)


@pytest.mark.parametrize("width", [0.4, 0.1, 1e-9, 0.0, -1e-9, -0.3, -2.0])
@pytest.mark.parametrize("degrees", [0.0, 35.0, 80.0])
def test_narrow_and_mirrored_patches_become_half_as_wide(width, degrees):
    """Only along the direction in which they are narrow, and without a jump at the edge."""
    source = (rotation(-10) @ np.diag([0.3, 0.2]))[None, None]
    limited = at_least_this_wide(patch(width, degrees) @ source, source, 0.5)
    change = limited[0, 0] @ np.linalg.inv(source[0, 0])
    assert np.linalg.det(change) > 0
    narrow, wide = np.sort(np.linalg.svd(change, compute_uv=False))
    if abs(width) <= 1:
        np.testing.assert_allclose(change, patch(0.5, degrees)[0, 0], atol=1e-6)
    assert narrow == pytest.approx(0.5)
    assert wide == pytest.approx(max(1.0, abs(width)))
