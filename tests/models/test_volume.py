from __future__ import annotations

import math

import pytest
import torch

from fnevr.models.volume import AuxiliaryDecoder, FaceVolumeRenderer, composite


def composite_naive(features, density, *, is_inclusive=False):
    """The same sum, one ray and one sample at a time."""
    out = torch.zeros(features.shape[0], features.shape[-1], dtype=features.dtype)
    for ray in range(features.shape[0]):
        light = 1.0
        for i in range(features.shape[1]):
            alpha = 1.0 - math.exp(-density[ray, i])
            out[ray] += (
                (light * (1.0 - alpha) if is_inclusive else light) * alpha * features[ray, i]
            )
            light *= 1.0 - alpha
    return out


@pytest.mark.parametrize("rule", ["exclusive", "inclusive"])
def test_composite_matches_loops(rule):
    features = torch.randn(5, 8, 3, dtype=torch.float64)
    density = torch.rand(5, 8, dtype=torch.float64)
    blended, _ = composite(features, density, transmittance=rule)
    wanted = composite_naive(features, density, is_inclusive=rule == "inclusive")
    torch.testing.assert_close(blended, wanted)


def test_opacity_is_what_the_ray_absorbs():
    density = torch.rand(5, 8, dtype=torch.float64)
    _, opacity = composite(torch.randn(5, 8, 3, dtype=torch.float64), density)
    torch.testing.assert_close(opacity, 1 - torch.exp(-density.sum(-1)))


def test_opaque_surface_hides_what_is_behind():
    features = torch.tensor([[[1.0], [2.0], [3.0]]])
    blended, opacity = composite(features, torch.tensor([[0.0, 50.0, 50.0]]))
    assert (blended.item(), opacity.item()) == (2.0, 1.0)


def test_inclusive_rule_makes_an_opaque_sample_invisible():
    blended, _ = composite(torch.ones(1, 1, 1), torch.tensor([[50.0]]), transmittance="inclusive")
    assert blended.item() < 1e-6


@pytest.mark.usefixtures("bad_argument")
def test_unknown_rule_says_what_was_given():
    with pytest.raises(ValueError, match="got 'inverted'"):
        composite(torch.ones(1, 1, 1), torch.ones(1, 1), transmittance="inverted")  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", ["exclusive", "inclusive"])
def test_composite_gradcheck(rule):
    features = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    density = torch.rand(2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda f, d: composite(f, d, transmittance=rule), (features, density)
    )


def renderer(rule):
    """A small renderer whose densities are all positive, so that every sample counts."""
    model = FaceVolumeRenderer(
        feature_width=6,
        num_planes=4,
        plane_width=3,
        num_residual_blocks=2,
        hidden_width=8,
        auxiliary_width=5,
        num_ups=2,
        transmittance=rule,
    )
    model.field.density.bias = torch.nn.Parameter(torch.tensor([1.0]))
    return model.double().eval()


def render_naive(model, warped, *, is_inclusive):
    """Every ray and sample on its own, from the projections' channel c * D + d on."""
    color = model.color_volume.project(warped)[0]
    projected = model.density_volume.project(warped)[0]
    height, width = warped.shape[-2:]
    volume = torch.zeros(1, 3, 4, height, width, dtype=torch.float64)
    for c in range(3):
        for d in range(4):
            volume[0, c, d] = projected[c * 4 + d]
    volume = model.density_volume.residual(volume)[0]

    field = model.field
    out = torch.zeros(6, height, width, dtype=torch.float64)
    for i in range(height):
        for j in range(width):
            emitted, density = [], []
            for d in range(4):
                hidden = field.shared[0](volume[:, d, i, j]).relu()
                hidden = field.shared[1](hidden).relu()
                density.append(field.density(hidden).relu())
                seen = torch.stack([color[c * 4 + d, i, j] for c in range(3)])
                both = torch.cat(
                    (field.density_feature(hidden).relu(), field.color_feature(seen).relu())
                )
                both = field.emission[1](field.emission[0](both).relu()).relu()
                emitted.append(field.emission[2](both))
            out[:, i, j] = composite_naive(
                torch.stack(emitted)[None],
                torch.stack(density)[None, :, 0],
                is_inclusive=is_inclusive,
            )[0]
    return out.sigmoid()[None]


@pytest.mark.parametrize("rule", ["exclusive", "inclusive"])
def test_renderer_matches_loops(rule):
    model, warped = renderer(rule), torch.randn(1, 6, 3, 5, dtype=torch.float64)
    with torch.no_grad():
        rendering = model(warped, auxiliary=False)
        wanted = render_naive(model, warped, is_inclusive=rule == "inclusive")
    torch.testing.assert_close(rendering.features, wanted)
    assert rendering.features.std() > 1e-3
    assert rendering.density_features.shape == (1, 3, 4, 3, 5)


def test_the_two_rules_differ():
    warped = torch.randn(1, 6, 3, 5, dtype=torch.float64)
    paper = renderer("exclusive")
    released = renderer("inclusive")
    released.load_state_dict(paper.state_dict())
    drawn = [model(warped, auxiliary=False).features for model in (paper, released)]
    assert (drawn[0] - drawn[1]).abs().max() > 1e-3


def test_auxiliary_image_has_the_size_of_the_picture():
    image = AuxiliaryDecoder(6, 5, num_ups=2)(torch.rand(2, 6, 4, 4))
    assert image.shape == (2, 3, 16, 16)
    assert image.min() >= 0.5
    assert image.max() < 1


def test_every_parameter_of_the_renderer_gets_a_gradient():
    model = renderer("exclusive").train()
    rendering = model(torch.randn(2, 6, 4, 4, dtype=torch.float64), auxiliary=True)
    (rendering.features.sum() + rendering.image.sum()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
