"""Folded models are the plain ones but for rounding."""

from __future__ import annotations

import copy

import pytest
import torch
from support.settled import settled
from torch import nn
from torch.nn import functional as F

from fnevr.models.blocks import ConvBlock, ResidualBlock
from fnevr.models.decoder import Spade, SpadeDecoder
from fnevr.models.lite import blocks as lite
from fnevr.models.lite.decoder import LiteDecoder
from fnevr.models.volume import RadianceField
from fnevr.runtime.folding import FOLDED, UpsampledConv, fold
from fnevr.runtime.folding.blocks import FoldedConvBlock
from fnevr.runtime.folding.decoder import FoldedSpade, FoldedSpadeDecoder
from fnevr.runtime.folding.volume import FoldedField

NAMES = ("fnevr", "fomm", "face-vid2vid", "face-vid2vid-s", "dagan", "dagan-spade", "lite")


def assert_close(ours, theirs):
    torch.testing.assert_close(ours, theirs, atol=1e-11, rtol=1e-11)


def pictures(model, dtype, count=1):
    side = model.config.image_size
    return torch.rand(2, count, 3, side, side, dtype=dtype)


@torch.inference_mode()
def drawn(model, source_01, driving_01):
    """Return what a model makes of a source and its drivers, stage by stage."""
    source = model.read_source(source_01)
    driving = model.driving_keypoints(driving_01, source.keypoints)
    image = model.draw(source, driving)
    own = source.keypoints
    return own.positions, own.jacobians, source.features, driving.positions, image


@pytest.mark.parametrize("winograd", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_folded_model_is_the_plain_one(tiny_models, name, winograd):
    plain = tiny_models[name].double()
    source_01, driving_01 = pictures(plain, torch.float64, count=2)
    before = copy.deepcopy(plain.state_dict())
    folded = fold(plain, winograd=winograd)
    expected = drawn(plain, source_01[:1], driving_01)
    for ours, theirs in zip(drawn(folded, source_01[:1], driving_01), expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-9)
    assert expected[-1].std() > 1e-3
    for key, tensor in plain.state_dict().items():
        assert torch.equal(tensor, before[key])


@pytest.mark.parametrize("winograd", [None, False, True])
@pytest.mark.parametrize("name", NAMES)
def test_draw_is_the_image_of_generate(tiny_models, name, winograd):
    plain = tiny_models[name]
    model = plain if winograd is None else fold(plain, winograd=winograd)
    source_01, driving_01 = pictures(plain, torch.float32)
    with torch.inference_mode():
        source = model.read_source(source_01)
        driving = model.driving_keypoints(driving_01, source.keypoints)
        generated = model.generate(source_01, source.keypoints, driving)
        torch.testing.assert_close(model.draw(source, driving), generated.image)
        expected = plain.generate(source_01, source.keypoints, driving).rendered
    if expected is not None:
        torch.testing.assert_close(generated.rendered, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("block", "shape"),
    [
        (ConvBlock(3, 5, resample="up"), (2, 3, 5, 7)),
        (ConvBlock(3, 5, resample="down"), (2, 3, 6, 4)),
        (ConvBlock(3, 5, kernel_size=7), (1, 3, 9, 8)),
        (ConvBlock(3, 5, resample="up", ndim=3), (1, 3, 2, 5, 4)),
        (ConvBlock(3, 5, resample="down", ndim=3), (1, 3, 3, 4, 4)),
        (ResidualBlock(4), (2, 4, 5, 5)),
        (ResidualBlock(4, ndim=3), (1, 4, 3, 5, 5)),
        (nn.BatchNorm2d(4), (2, 4, 3, 3)),
        (nn.BatchNorm3d(4), (2, 4, 2, 3, 3)),
        (lite.ConvBlock(3, 5, stride=2), (2, 3, 8, 6)),
        (lite.ResidualBlock(4), (2, 4, 5, 5)),
        (lite.StridedHourglass(3, (4, 6, 8), num_ups=2), (2, 3, 16, 8)),
        (lite.StridedHourglass(3, (4, 6, 8), num_ups=1), (1, 3, 8, 8)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else str(value),
)
def test_a_folded_block_is_the_plain_one(block, shape):
    block = settled(block.double())
    x = torch.randn(*shape, dtype=torch.float64)
    assert_close(FOLDED[type(block)](block)(x), block(x))


@pytest.mark.parametrize("factor", [1, 2, 4])
@pytest.mark.parametrize("winograd", [False, True])
def test_a_folded_spade_is_the_plain_one(factor, winograd):
    spade = settled(Spade(6, 5, 7).double())
    x = torch.randn(2, 6, 8 * factor, 4 * factor, dtype=torch.float64)
    modulation = torch.randn(2, 5, 8, 4, dtype=torch.float64)
    folded = FoldedSpade(spade, factor, winograd=winograd)
    ours = folded(x, UpsampledConv.views(modulation))
    assert_close(ours, spade(x, modulation))


@pytest.mark.parametrize("size", [(4, 4), (8, 12), (16, 16)])
@pytest.mark.parametrize("winograd", [False, True])
def test_float32_decoders_are_within_1e_4(size, winograd):
    decoder = settled(SpadeDecoder(16, (256, 128, 16, 16), 2, 32, 32))
    features = torch.randn(1, 16, *size)
    exact = copy.deepcopy(decoder).double()(features.double()).float()
    ours = FoldedSpadeDecoder(decoder, winograd=winograd)(features)
    torch.testing.assert_close(ours, exact, atol=1e-4, rtol=0)


@pytest.mark.parametrize("composite", [True, False])
def test_a_folded_lite_decoder_is_the_plain_one(composite):
    decoder = settled(LiteDecoder(10, 8, composite=composite).double())
    features = torch.randn(2, 10, 6, 5, dtype=torch.float64)
    for ours, theirs in zip(FOLDED[LiteDecoder](decoder)(features), decoder(features), strict=True):
        assert_close(ours, theirs)


@pytest.mark.parametrize("transmittance", ["exclusive", "inclusive"])
def test_folded_samples_are_blended_before_the_last_layer(transmittance):
    field = RadianceField(4, 8, 6).double()
    volumes = torch.randn(2, 2, 4, 5, 3, 2, dtype=torch.float64)
    density, color = volumes
    ours = FoldedField(field).render(density, color, transmittance)
    theirs = field.render(density, color, transmittance)
    assert_close(ours, theirs)
    assert theirs.std() > 1e-3


def test_a_doubling_is_folded_at_the_lower_resolution():
    block = settled(ConvBlock(3, 5, resample="up"))
    folded = FoldedConvBlock(block)
    x = torch.randn(1, 3, 4, 4)
    up = F.interpolate(x, scale_factor=2.0, mode="nearest")
    assert isinstance(folded.conv, UpsampledConv)
    torch.testing.assert_close(folded(x), F.relu(block.norm(block.conv(up))), atol=1e-5, rtol=1e-5)
