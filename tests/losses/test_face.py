from __future__ import annotations

import math

import pytest
import torch

from fnevr.faces.alignment import ALIGNED_POINTS
from fnevr.geometry.flow import affine_view
from fnevr.losses import FaceLoss
from fnevr.models.perceptual import FeatureNetwork


class Pixels(FeatureNetwork):
    """The picture itself, and the colours of its quarters."""

    min_side = 2

    def forward(self, image_01):
        return [image_01, torch.nn.functional.adaptive_avg_pool2d(image_01, 2)]


def face(batch=1):
    """Landmarks of an upright face in the middle."""
    landmarks = torch.zeros(batch, 478, 2)
    places = [[-0.38, -0.28], [-0.16, -0.27], [0.15, -0.27], [0.36, -0.28], [0.0, 0.13]]
    landmarks[:, list(ALIGNED_POINTS)] = torch.tensor(places)
    return landmarks


def test_equal_pictures_have_no_distance():
    image = torch.rand(2, 3, 64, 64)
    identity, features = FaceLoss(Pixels())(image, image.clone(), face(2))
    assert identity.abs() < 1e-6
    assert features == 0


def test_identity_is_one_minus_the_cosine():
    red, green = torch.zeros(2, 1, 3, 64, 64)
    red[:, 0], green[:, :2] = 1, 1
    identity, _ = FaceLoss(Pixels())(red, green, face())
    assert identity == pytest.approx(1 - 1 / math.sqrt(2), abs=1e-6)


def test_features_are_relative_to_those_expected():
    image = torch.full((1, 3, 64, 64), 0.6)
    _, features = FaceLoss(Pixels())(image, image / 2, face())
    assert features == pytest.approx(2.0, rel=1e-5)  # one for each of the two layers


def test_only_the_face_counts():
    image = torch.rand(1, 3, 128, 128)
    changed = image.clone()
    changed[..., :8, :] = 0
    assert FaceLoss(Pixels())(changed, image, face())[1] == 0
    changed[..., 60:70, 60:70] = 0
    assert FaceLoss(Pixels())(changed, image, face())[1] > 0


def test_a_turned_face_is_turned_back():
    """A picture and its landmarks turned together show the network the same."""
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, 128)] * 2, indexing="ij")
    image = (torch.stack([x, y, x * y]) * 2).sin()[None] / 2 + 0.5
    turn = torch.tensor([[math.cos(0.4), -math.sin(0.4)], [math.sin(0.4), math.cos(0.4)]])
    turned = affine_view(image, turn[None], torch.tensor([[0.1, -0.05]]))
    landmarks = (face() - torch.tensor([0.1, -0.05])) @ turn  # z from A z + t
    seen = []

    class Seeing(Pixels):
        def forward(self, image_01):
            seen.append(image_01)
            return super().forward(image_01)

    FaceLoss(Seeing())(image, image, face())
    FaceLoss(Seeing())(turned, turned, landmarks)
    torch.testing.assert_close(seen[2], seen[0], rtol=0, atol=0.01)


def test_no_gradient_reaches_the_expected_picture():
    image, target = (torch.rand(1, 3, 64, 64, requires_grad=True) for _ in range(2))
    sum(FaceLoss(Pixels())(image, target, face())).backward()
    assert image.grad is not None
    assert target.grad is None


def test_a_picture_without_landmarks_is_compared_as_a_whole():
    landmarks = face(2)
    landmarks[1] = torch.nan
    image = torch.rand(2, 3, 64, 64, requires_grad=True)
    identity, features = FaceLoss(Pixels())(image, torch.rand(2, 3, 64, 64), landmarks)
    (identity + features).backward()
    assert image.grad is not None
    assert image.grad.isfinite().all()
    assert (image.grad[1] != 0).any(dim=0).float().mean() > 0.9
