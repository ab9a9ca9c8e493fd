"""Eyes and mouth of `lite` in their view: where it is, and that only they are drawn anew."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from fnevr.config.models import LiteConfig
from fnevr.geometry.flow import centre_grid, sample
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.patches import FacePatches
from fnevr.models.encoded_source import VIEW_SCALE
from fnevr.models.lite.inner_face import (
    HEIGHT,
    WIDTH,
    from_view,
    head_coordinates,
    to_view,
    view_grid,
)
from fnevr.models.lite.layers import drawn_parts, eyes_and_mouth
from fnevr.train.start import new_model

NUM_FACE = 25
SMALL: dict[str, Any] = {
    "image_size": 64,
    "num_keypoints": 29,
    "num_free_keypoints": 4,
    "detector_widths": (4, 6, 8),
    "motion_widths": (6, 8),
    "width": 8,
    "num_planes": 3,
    "plane_width": 2,
    "hidden_width": 8,
}


@pytest.fixture
def model():
    model = new_model(LiteConfig(**SMALL, inner_face_width=8), FacePatches.packaged(), seed=0)
    return model.eval()


@pytest.fixture
def heads():
    """Two heads: one upright in the middle, one that is turned, smaller and elsewhere."""
    positions, jacobians = torch.zeros(2, 29, 2), torch.eye(2).repeat(2, 29, 1, 1)
    positions[1, NUM_FACE - 1] = torch.tensor([0.2, -0.1])
    jacobians[1, NUM_FACE - 1] = torch.tensor([[0.6, -0.3], [0.2, 0.7]])
    return Keypoints(positions, jacobians)


def test_the_view_goes_with_the_head(heads):
    grid = view_grid(heads, NUM_FACE, HEIGHT, WIDTH)
    upright = head_coordinates(HEIGHT, WIDTH, like=grid)
    torch.testing.assert_close(grid[0], upright)
    torch.testing.assert_close(
        grid[1], upright @ heads.jacobians[1, NUM_FACE - 1].T + torch.tensor([0.2, -0.1])
    )
    pixel = upright[0, 1] - upright[0, 0], upright[1, 0] - upright[0, 0]
    torch.testing.assert_close(torch.stack(pixel), torch.eye(2) / VIEW_SCALE)


def test_a_place_of_the_view_is_found_from_the_picture(heads):
    affine, grid = to_view(heads, NUM_FACE), view_grid(heads, NUM_FACE, HEIGHT, WIDTH)
    found = torch.einsum("bij,bhwj->bhwi", affine[:, :, :2], grid) + affine[:, None, None, :, 2]
    torch.testing.assert_close(found, centre_grid(HEIGHT, WIDTH, like=grid).expand_as(found))


def test_what_is_in_the_view_is_shown_where_it_was(heads):
    """All of both ovals lies in the view: beyond its edge the border would be shown."""
    grid = centre_grid(128, 128, like=heads.positions)
    picture = torch.stack((grid[..., 0], grid[..., 1], grid[..., 0] * grid[..., 1]))
    pictures = picture.expand(2, -1, -1, -1)
    view = sample(pictures, view_grid(heads, NUM_FACE, HEIGHT, WIDTH))
    shown = from_view(view, to_view(heads, NUM_FACE), grid)
    parts = drawn_parts(heads, NUM_FACE, 128, 128) > 0
    assert parts.flatten(1).sum(dim=1).min() > 500
    inside = (grid.abs() < 0.98).all(dim=-1)
    difference = ((shown - pictures).abs() * parts * inside).amax()
    assert difference < 2e-3


def test_the_ovals_do_not_reach_the_edge_of_the_view():
    parts = eyes_and_mouth(head_coordinates(HEIGHT, WIDTH, like=torch.zeros(1)))
    edge = torch.cat((parts[0], parts[-1], parts[:, 0], parts[:, -1]))
    assert parts.max() == 1
    assert edge.max() == 0


def test_it_starts_by_changing_nothing(model):
    """A picture drawn through the view is the decoder's, up to sampling twice."""
    source_01, driving_01 = torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        source, driving = model.read_source(source_01), model.keypoints(driving_01)
        decoded, mask, *_, view, affine = model.draw_layers(source, driving)
        seen = sample(
            torch.cat([decoded, mask], dim=1), view_grid(driving, NUM_FACE, HEIGHT, WIDTH)
        )
    assert affine.shape == (1, 2, 3)
    torch.testing.assert_close(view, seen)


def test_what_it_draws_is_shown_at_eyes_and_mouth_alone(model):
    source_01, driving_01 = torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        source, driving = model.read_detailed(source_01), model.keypoints(driving_01)
        before = model.draw(source, driving)
        model.inner_face.out.bias += torch.tensor([0.5, 0.5, 0.5, -8.0])
        change = (model.draw(source, driving) - before).abs().amax(dim=1)
    parts = drawn_parts(driving, NUM_FACE, 64, 64)[:, 0]
    assert change[parts == 1].mean() > 0.05
    # The ovals are made on cells of 4 pixels, and enlarged.
    reach = torch.nn.functional.max_pool2d(parts[:, None], 9, stride=1, padding=4)[:, 0]
    assert change[reach == 0].max() < 1e-6


def test_models_without_it_say_so():
    model = new_model(LiteConfig(**SMALL), FacePatches.packaged(), seed=0).eval()
    source = model.read_source(torch.rand(1, 3, 64, 64))
    with pytest.raises(ValueError, match="inner_face_width is 0"):
        model.draw_inner_face(source, source.keypoints)


def test_it_needs_a_composite():
    with pytest.raises(ValidationError, match="inner_face_width needs the mask of a composite"):
        LiteConfig(**SMALL, composite=False, inner_face_width=8)
