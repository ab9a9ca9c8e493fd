from __future__ import annotations

import math

import pytest
import torch

from fnevr.face3d.camera import signed_points
from fnevr.face3d.mesh_feature import mesh_feature
from fnevr.losses import sigma_matching
from fnevr.models import FNeVR

SIZE = (3, 4, 5)


def naive_sum(vertices, size, width_cells):
    depth, height, width = size
    volume = torch.zeros(depth, height, width, dtype=vertices.dtype)
    for d in range(depth):
        for y in range(height):
            for x in range(width):
                centre = [(2 * i + 1) / n - 1 for i, n in ((x, width), (y, height), (d, depth))]
                for vertex in vertices.tolist():
                    squared = 0.0
                    for c, v, n in zip(centre, vertex, (width, height, depth), strict=True):
                        squared += ((c - v) / (width_cells * 2 / n)) ** 2
                    volume[d, y, x] += math.exp(-squared / 2)
    return volume


@pytest.mark.parametrize("width_cells", [0.5, 1.0, 2.0])
def test_equals_the_naive_sum(width_cells):
    vertices = 0.8 * torch.randn(2, 30, 3, dtype=torch.float64)
    volume = mesh_feature(vertices, SIZE, width_cells=width_cells)
    expected = torch.stack([naive_sum(v, SIZE, width_cells) for v in vertices])
    torch.testing.assert_close(volume, expected, rtol=0, atol=1e-10)


def test_single_precision_on_the_renderer_s_grid():
    vertices = 0.5 * torch.randn(1, 478, 3)
    volume = mesh_feature(vertices, (8, 64, 64))
    torch.testing.assert_close(
        volume, mesh_feature(vertices.double(), (8, 64, 64)).float(), rtol=1e-4, atol=1e-4
    )


def test_a_vertex_at_the_front_top_right_is_there():
    corner = torch.tensor([[[1 - 1 / 5, -1 + 1 / 4, -1 + 1 / 3]]])
    volume = mesh_feature(corner, SIZE)
    assert volume.argmax() == volume[0, 0, 0, :].argmax() == SIZE[2] - 1
    assert volume.max() == pytest.approx(1)


def test_gradcheck():
    vertices = 0.5 * torch.randn(1, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: mesh_feature(v, SIZE), vertices)


def test_no_face_gives_zeros_and_no_gradient():
    vertices = torch.randn(2, 6, 3)
    vertices[1, 2, 0] = torch.nan
    vertices.requires_grad_()
    volume = mesh_feature(vertices, SIZE)
    volume.sum().backward()
    assert volume[0].min() > 0
    assert volume[1].abs().max() == 0
    assert vertices.grad is not None
    assert vertices.grad.isfinite().all()


def test_density_that_follows_the_mesh_costs_less():
    heads = 0.3 * torch.randn(2, 50, 3)
    features = torch.zeros(2, 6, 8, 16, 16)
    feature = mesh_feature(heads, (8, 16, 16))
    features += feature[:, None]
    assert sigma_matching(features, feature).item() == pytest.approx(0, abs=1e-5)
    moved = mesh_feature(heads + 0.5, (8, 16, 16))
    assert sigma_matching(features, moved) > 0.1


def test_matching_pulls_density_to_the_mesh():
    feature = mesh_feature(0.3 * torch.randn(1, 50, 3), (4, 8, 8))
    density = torch.randn(1, 2, 4, 8, 8, requires_grad=True)
    before = sigma_matching(density, feature)
    (gradient,) = torch.autograd.grad(before, density)
    after = sigma_matching(density - 5 * gradient / gradient.norm(), feature)
    assert after < before - 0.1


def test_sigma_matching_trains_a_model_s_renderer(tiny_fnevr_config):
    model = FNeVR(tiny_fnevr_config).train()
    source, driving = torch.rand(2, 2, 3, 32, 32)
    generated = model.generate(source, model.keypoints(source), model.keypoints(driving))
    assert generated.density_features is not None
    size = generated.density_features.shape[-3:]
    heads = signed_points(torch.rand(2, 478, 3) * 20 + 6, 32, 32)
    sigma_matching(generated.density_features, mesh_feature(heads, size)).backward()
    gradient = model.renderer.density_volume.project.weight.grad
    assert gradient is not None
    assert gradient.abs().max() > 0


@pytest.mark.parametrize(("size", "width"), [((0, 4, 4), 1.0), ((4, 4, 4), 0.0), ((4, 4), 1.0)])
def test_nothing_says_so(size, width):
    with pytest.raises(ValueError, match="all above 0"):
        mesh_feature(torch.zeros(1, 1, 3), size, width_cells=width)
