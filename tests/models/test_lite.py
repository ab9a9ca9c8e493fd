"""`lite`: stages, composite, windows, size."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from torch.utils.flop_counter import FlopCounterMode

from fnevr.config.models import MODEL_CONFIG, LiteConfig
from fnevr.config.presets import find_preset
from fnevr.errors import CheckpointError
from fnevr.geometry.flow import centre_grid, flow_to_grid, sample
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.patches import FacePatches
from fnevr.models import FOMM, load_model
from fnevr.models.encoded_source import Detail
from fnevr.models.lite import CELL, FNeVRLite, Window
from fnevr.models.lite.layers import drawn_parts, sharpened
from fnevr.models.lite.motion import suppress_noise
from fnevr.train.start import new_model

# A convolution of 3x3 on cells sees one cell further; these are on the longest way from warped
# features to picture: density volume, modulation, shared, gamma and beta, four in the two blocks,
# up, and two at higher resolution that make one cell together.
REACH_CELLS = 10


@pytest.fixture
def config():
    """Every stage of `lite` on 64x64 pixels, with four keypoints beyond the face's 25."""
    return LiteConfig(
        noise_floor=0.0,
        image_size=64,
        num_keypoints=29,
        num_free_keypoints=4,
        detector_widths=(4, 6, 8),
        motion_widths=(6, 8),
        width=8,
        num_planes=3,
        plane_width=2,
        hidden_width=8,
    )


@pytest.fixture
def model(config):
    model = new_model(config, FacePatches.packaged(), seed=0)
    # Without this the running statistics are still those of no data at all.
    model.train()(torch.rand(4, 3, 64, 64), torch.rand(4, 3, 64, 64))
    return model.eval()


def shake(model, scale=0.3):
    """Give weight to the heads that start at zero, so that what they see matters."""
    with torch.no_grad():
        for head in (model.motion.masks, model.motion.occlusion, model.detector.jacobians):
            head.weight.add_(scale * torch.randn_like(head.weight))
        # So small a field can be empty by chance: no density, no gradient.
        model.renderer.field.density.bias.fill_(1.0)
    return model


def test_shapes_and_ranges(model):
    keypoints = model.keypoints(torch.rand(2, 3, 64, 64))
    assert keypoints.positions.shape == (2, 29, 2)
    assert keypoints.jacobians.shape == (2, 29, 2, 2)
    assert model.encode(torch.rand(2, 3, 64, 64)).shape == (2, 8, 16, 16)
    out = model(torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64))
    for image in (out.image, out.warped, out.rendered, out.decoded):
        assert image.shape == (2, 3, 64, 64)
    for image in (out.image, out.rendered, out.decoded):  # bicubic sampling overshoots
        assert 0 <= image.min() < image.max() <= 1
    assert out.composite_mask.shape == (2, 1, 64, 64)
    assert out.occlusion.shape == (2, 1, 16, 16)
    assert out.masks.shape == (2, 30, 16, 16)
    assert out.flow.shape == (2, 64, 64, 2)
    assert out.density_features.shape == (2, 2, 3, 16, 16)


def test_masks_are_a_partition_and_the_picture_is_the_composite(model):
    out = shake(model)(torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64))
    torch.testing.assert_close(out.masks.sum(dim=1), torch.ones(2, 16, 16))
    composite = out.composite_mask * out.warped + (1 - out.composite_mask) * out.decoded
    torch.testing.assert_close(out.image, composite.clamp(0, 1), atol=1e-6, rtol=0)


def test_drawing_is_generating(model):
    source, driving = torch.rand(2, 2, 3, 64, 64)
    drawn = shake(model).draw(model.read_source(source), model.keypoints(driving))
    torch.testing.assert_close(drawn, model(source, driving).image, atol=1e-5, rtol=0)


def opaque(picture, margin=0):
    """One layer, all of which moves, with a border of its own edge around it."""
    around = torch.nn.functional.pad(picture, [margin] * 4, mode="replicate")
    return Detail(torch.cat([around, torch.ones_like(around[:, :1])], dim=1), picture)


@pytest.mark.parametrize("size", [(64, 64), (100, 86), (256, 256)])
def test_result_has_the_size_of_the_detail(model, size):
    source, driving = torch.rand(1, 3, 64, 64), torch.rand(2, 3, 64, 64)
    encoded = replace(shake(model).read_source(source), detail=opaque(torch.rand(1, 3, *size)))
    assert model.draw(encoded, model.keypoints(driving)).shape == (2, 3, *size)


def test_detail_of_the_networks_size_changes_nothing(model):
    source, driving = torch.rand(1, 3, 64, 64), torch.rand(2, 3, 64, 64)
    encoded, keypoints = shake(model).read_source(source), model.keypoints(driving)
    drawn = model.draw(replace(encoded, detail=opaque(source)), keypoints)
    torch.testing.assert_close(drawn, model.draw(encoded, keypoints), atol=1e-5, rtol=0)


def layers(decoded, mask=1.0, flow=(0.0, 0.0), person_flow=None, person=1.0, parts=0.0):
    """What `draw_layers` gives, each of one value but the decoded picture; flows in pixels."""

    def moved(pixels):
        return (torch.tensor(pixels) * 2 / 64)[None, :, None, None].expand(1, 2, 16, 16)

    cells = [torch.full((1, 1, 16, 16), share) for share in (person, parts)]
    flows = moved(flow), moved(flow if person_flow is None else person_flow)
    return decoded, torch.full((1, 1, *decoded.shape[-2:]), mask), *flows, *cells


def bar(first, last, colour=0.75):
    """A person of one colour, a bar from one column to another, and a plate behind."""
    alpha = torch.zeros(1, 1, 64, 64)
    alpha[..., first:last] = 1
    plate = torch.full((1, 3, 64, 64), 0.25)
    return Detail(torch.cat([colour * alpha.expand(-1, 3, -1, -1), alpha], dim=1), plate)


@pytest.mark.parametrize("margin", [0, 40])
def test_detail_that_does_not_move_stays_as_it_is(model, margin):
    """Where the mask is 1 and nothing moves, every pixel is the portrait's own."""
    picture = torch.rand(1, 3, 150, 150)
    blended = model.blend_layers(opaque(picture, margin), *layers(torch.rand(1, 3, 64, 64)))
    torch.testing.assert_close(blended, picture, atol=1e-3, rtol=0)


def test_a_person_at_rest_is_the_portrait(model):
    """Soft edges too, and where the background's motion has all of the weight."""
    alpha, picture = torch.rand(1, 1, 64, 64), torch.rand(1, 3, 64, 64)
    alpha[..., 50:] = 0
    plate = torch.rand(1, 3, 64, 64)
    plate[..., 50:] = picture[..., 50:]
    detail = Detail(torch.cat([picture - (1 - alpha) * plate, alpha], dim=1), plate)
    blended = model.blend_layers(detail, *layers(torch.rand(1, 3, 64, 64), 0.3, person=0.0))
    torch.testing.assert_close(blended, picture, atol=1e-3, rtol=0)


def test_where_the_mask_is_0_the_decoded_picture_shows(model):
    picture, decoded = torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64)
    blended = model.blend_layers(opaque(picture), *layers(decoded, mask=0.0))
    torch.testing.assert_close(blended, decoded)


def test_the_foreground_moves_and_the_plate_does_not(model):
    """A bar of the person moves by 10 pixels; where it was, the plate shows."""
    moved = layers(torch.rand(1, 3, 64, 64), person_flow=(-10.0, 0.0))  # looks to the left
    blended = model.blend_layers(bar(20, 30), *moved)
    expected = torch.full((1, 3, 64, 64), 0.25)
    expected[..., 30:40] = 0.75
    torch.testing.assert_close(blended, expected, atol=1e-4, rtol=0)


def test_one_layer_moves_by_the_flow_of_all_motions(model):
    picture = torch.rand(1, 3, 64, 64)
    moved = layers(torch.rand(1, 3, 64, 64), flow=(-10.0, 0.0), person_flow=(5.0, 0.0))
    blended = model.blend_layers(opaque(picture), *moved)
    torch.testing.assert_close(blended[..., 10:], picture[..., :-10], atol=1e-4, rtol=0)


@pytest.mark.parametrize(("parts", "expected"), [(0.0, 0.75), (1.0, 0.6)])
def test_of_a_person_only_eyes_and_mouth_are_decoded(model, parts, expected):
    decoded = torch.full((1, 3, 64, 64), 0.6)
    blended = model.blend_layers(bar(20, 40), *layers(decoded, mask=0.0, parts=parts))
    torch.testing.assert_close(blended[..., 22:38], torch.full((1, 3, 64, 16), expected))
    assert (blended[..., 44:] == 0.25).all()


@pytest.mark.parametrize(("person", "expected"), [(1.0, 0.75), (0.5, 0.75), (0.0, 0.25)])
def test_far_from_its_outline_the_person_shows_where_its_motions_have_weight(
    model, person, expected
):
    moved = layers(torch.rand(1, 3, 64, 64), person_flow=(-30.0, 0.0), person=person)
    blended = model.blend_layers(bar(10, 20), *moved)
    assert blended[..., 42:48].mean() == pytest.approx(expected, abs=1e-4)


def test_the_persons_flow_leaves_the_background_out(model):
    """All keypoints move alike: so do all cells, however much of them is background."""
    image = torch.rand(1, 3, 64, 64)
    source = Keypoints(0.5 * torch.randn(1, 29, 2), torch.eye(2).expand(1, 29, 2, 2))
    driving = Keypoints(source.positions + torch.tensor([0.25, 0.0]), source.jacobians)
    motion = shake(model).motion(image, source, driving)
    expected = torch.zeros_like(motion.flow)
    expected[:, 0] = -0.25
    torch.testing.assert_close(motion.person_flow, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(motion.flow, expected * motion.person, atol=1e-5, rtol=0)
    torch.testing.assert_close(motion.person, 1 - motion.masks[:, :1])


def test_drawn_parts_follow_the_head():
    """Eyes and mouth, a face of height 0.8 in the middle, and the same turned by 90 degrees."""
    size = torch.tensor([[0.8, 0.0], [0.0, 0.8]])
    turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    for jacobian in (size, turn @ size):
        head = Keypoints(torch.zeros(1, 3, 2), jacobian.expand(1, 3, 2, 2))
        parts = drawn_parts(head, 3, 64, 64)
        for place, expected in (
            ((0.17, -0.19), 1),  # eyes
            ((-0.17, -0.19), 1),
            ((0.0, 0.25), 1),  # mouth
            ((0.0, 0.0), 0),  # nose
            ((0.0, -0.45), 0),  # forehead
            ((0.35, 0.1), 0),  # cheek
        ):
            looked = (jacobian @ torch.tensor(place))[None, None, None]
            assert sample(parts, looked).item() == pytest.approx(expected, abs=1e-3)


def test_texture_survives_a_shift_of_half_a_pixel(model):
    """Bilinear sampling would take a fifth of this pattern's contrast."""
    stripes = 0.5 + 0.4 * torch.sin(torch.arange(256.0) * 2 * torch.pi / 5)
    moved = layers(torch.zeros(1, 3, 256, 256), flow=(0.5 / 4, 0.0))
    detail = opaque(stripes.expand(1, 3, 256, 256))
    blended = model.blend_layers(detail, *moved)[..., 8:-8]
    assert blended.std() > 0.85 * stripes.std()


def test_sizes_other_than_the_configs(model):
    out = model(torch.rand(1, 3, 96, 128), torch.rand(1, 3, 96, 128))
    assert out.image.shape == (1, 3, 96, 128)


def test_driver_that_equals_the_source_moves_nothing(model):
    image = torch.rand(2, 3, 64, 64)
    out = shake(model)(image, image)
    keypoints = model.keypoints(image)
    flow = model.motion(image, keypoints, keypoints).flow
    torch.testing.assert_close(flow, torch.zeros_like(flow), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.warped, image, atol=1e-3, rtol=0)


def test_fresh_motion_is_the_gaussian_blend(config):
    """The network's correction starts at zero: the blend of T_k(z) - z, one pixel at a time."""
    patches = FacePatches.packaged()
    model = new_model(config, patches, seed=0).eval()
    source, driving = (
        Keypoints(torch.rand(1, 29, 2) - 0.5, torch.eye(2) + 0.2 * torch.randn(1, 29, 2, 2))
        for _ in range(2)
    )
    flow = model.motion(torch.rand(1, 3, 64, 64), source, driving).flow
    widths, biases = model.motion.log_widths.exp(), model.motion.biases
    for i, j in itertools.product(range(0, 16, 3), repeat=2):
        z = torch.tensor([(2 * j + 1) / 16 - 1, (2 * i + 1) / 16 - 1])
        logits, moves = [biases[0]], [torch.zeros(2)]
        for k in range(29):
            offset = z - driving.positions[0, k]
            affine = source.jacobians[0, k] @ torch.linalg.inv(driving.jacobians[0, k])
            moves.append(source.positions[0, k] + affine @ offset - z)
            logits.append(biases[k + 1] - offset.square().sum() / (2 * widths[k] ** 2))
        masks = torch.stack(logits).softmax(0)
        expected = (masks[:, None] * torch.stack(moves)).sum(0)
        torch.testing.assert_close(flow[0, :, i, j], expected, atol=1e-5, rtol=1e-4)


def test_detector_finds_the_mean_of_its_heatmap(model):
    """p = sum_z softmax(t h - c)(z) z and J = sum_z softmax(t h - c)(z) j(z) at an eighth.

    c = (|z - a| / 0.45)^8 for the four keypoints with an anchor a, 0 for the others.
    """
    image, heads = torch.rand(1, 3, 64, 64), {}
    detector = shake(model).detector
    for name in ("heatmaps", "jacobians"):
        detector.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, name=name: heads.update({name: output[0].detach()})
        )
    keypoints = model.keypoints(image)
    logits = detector.sharpness * heads["heatmaps"]
    for k in range(25, 29):
        for i in range(8):
            for j in range(8):
                z = torch.tensor([(2 * j + 1) / 8 - 1, (2 * i + 1) / 8 - 1])
                logits[k, i, j] -= ((z - detector.anchors[k - 25].detach()).norm() / 0.45) ** 8
    attention = logits.flatten(1).softmax(1).unflatten(1, (8, 8))
    for k in (0, 28):
        position, jacobian = torch.zeros(2), torch.zeros(4)
        for i in range(8):
            for j in range(8):
                z = torch.tensor([(2 * j + 1) / 8 - 1, (2 * i + 1) / 8 - 1])
                position += attention[k, i, j] * z
                jacobian += attention[k, i, j] * heads["jacobians"][4 * k : 4 * k + 4, i, j]
        torch.testing.assert_close(keypoints.positions[0, k], position, atol=1e-5, rtol=0)
        torch.testing.assert_close(
            keypoints.jacobians[0, k].flatten(), jacobian, atol=1e-5, rtol=1e-4
        )


@pytest.mark.parametrize(("top", "left"), [(0, 0), (5, 3), (8, 8)])
def test_window_is_the_crop_of_the_whole_away_from_its_border(model, top, left):
    """A window that touches the picture's border is right up to it there."""
    cells, size = 32, 24
    source, driving = torch.rand(2, 1, 3, CELL * cells, CELL * cells)
    shake(model)
    motion = model.motion(source, model.keypoints(source), model.keypoints(driving))
    features, window = model.encode(source), Window(top, left, size)
    whole = model.compose(source, features, motion, details=True)
    part = model.compose(source, features, motion, window, details=True)
    assert part.image.shape == (1, 3, CELL * size, CELL * size)

    def border(start):
        first = 0 if start == 0 else REACH_CELLS
        last = size if start + size == cells else size - REACH_CELLS
        return slice(CELL * first, CELL * last)

    rows, columns = border(top), border(left)
    for name in ("image", "warped", "decoded", "composite_mask"):
        expected = window.of_image(getattr(whole, name))[..., rows, columns]
        found = getattr(part, name)[..., rows, columns]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(part.image, window.of_image(whole.image), atol=1e-5)


def test_points_move_into_the_window():
    """The corners of a window are its own [-1, 1], wherever it lies."""
    corners = torch.tensor([[[-0.5, 0.0], [0.5, 1.0]]])  # of 16 cells: 4 to 12 across, 8 to 16 down
    points = Window(top=8, left=4, size=8).of_points(corners, cells=16)
    torch.testing.assert_close(points, torch.tensor([[[-1.0, -1.0], [1.0, 1.0]]]))


def test_window_of_everything_changes_nothing(model):
    source, driving = torch.rand(2, 2, 3, 64, 64)
    motion = model.motion(source, model.keypoints(source), model.keypoints(driving))
    whole = model.compose(source, model.encode(source), motion, details=True)
    part = model.compose(source, model.encode(source), motion, Window(0, 0, 16), details=True)
    assert torch.equal(whole.image, part.image)


def test_one_source_serves_a_batch_of_frames(model):
    source, driving = torch.rand(1, 3, 64, 64), torch.rand(3, 3, 64, 64)
    kp_source, kp_driving = model.keypoints(source), model.keypoints(driving)
    together = model.generate(source, kp_source, kp_driving, model.encode(source)).image
    for frame in range(3):
        alone = model.generate(source, kp_source, kp_driving[frame]).image
        torch.testing.assert_close(together[frame : frame + 1], alone, atol=1e-5, rtol=1e-4)


def test_warp_of_the_picture_is_the_sampled_source(model):
    source, driving = torch.rand(2, 1, 3, 64, 64)
    kp_source, kp_driving = model.keypoints(source), model.keypoints(driving)
    motion = model.motion(source, kp_source, kp_driving)
    expected = sample(source, flow_to_grid(motion.flow, 64, 64), "bicubic")
    assert torch.equal(model.generate(source, kp_source, kp_driving).warped, expected)


def test_backward_reaches_every_parameter(model):
    shake(model).train()
    out = model(torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64))
    keypoints = model.keypoints(torch.rand(2, 3, 64, 64))
    terms = (out.image, out.rendered, keypoints.jacobians)
    sum((term * torch.randn_like(term)).sum() for term in terms).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    # A bias before a batch normalization is taken out by it; everything else must matter.
    still = [name for name, p in model.named_parameters() if not p.grad.any()]
    assert [name for name in still if not name.endswith(".bias")] == []


def test_half_precision_round_trip(model, tmp_path):
    shake(model).save_pretrained(tmp_path / "lite", half_precision=True)
    loaded = FNeVRLite.from_pretrained(tmp_path / "lite")
    assert type(load_model(tmp_path / "lite")) is FNeVRLite
    assert loaded.config == model.config
    assert not loaded.training
    state = loaded.state_dict()
    for name, value in model.state_dict().items():
        expected = value.half().float() if value.is_floating_point() else value
        assert torch.equal(state[name], expected)
    stored = load_file(tmp_path / "lite" / "model.safetensors")
    assert {t.dtype for t in stored.values()} == {torch.float16, torch.int64}
    source, driving = torch.rand(2, 1, 3, 64, 64)
    torch.testing.assert_close(
        loaded(source, driving).image, model(source, driving).image, atol=5e-3, rtol=0
    )


def test_wrong_class_says_which_model_it_is(model, tmp_path):
    model.save_pretrained(tmp_path / "lite")
    with pytest.raises(CheckpointError, match="architecture 'fnevr-lite'"):
        FOMM.from_pretrained(tmp_path / "lite")


@pytest.mark.usefixtures("bad_argument")
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 3, 64, 60), "multiples of 16, got 64 x 60: resize to 64 x 64"),
        ((1, 4, 64, 64), r"shape \(B, 3, H, W\), got \(1, 4, 64, 64\)"),
    ],
)
def test_pictures_of_a_wrong_shape_say_so(model, shape, message):
    for method in (model.keypoints, model.encode):
        with pytest.raises(ValueError, match=message):
            method(torch.rand(shape))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hidden_width", 6),
        ("image_size", 200),
        ("detector_widths", (4, 8)),
        ("motion_widths", (4,)),
        ("sharpness", 0),
        ("patches", 3),
    ],
)
def test_invalid_config_names_the_field(field, value):
    with pytest.raises(ValidationError, match=field):
        LiteConfig.model_validate({field: value})


def test_json_restores_the_config():
    restored = MODEL_CONFIG.validate_json(LiteConfig().model_dump_json())
    assert restored == LiteConfig()
    assert type(restored) is LiteConfig


def test_default_model_is_small_enough(capsys):
    """At most 6 M parameters, 4 G multiply-adds per frame at 256x256 with the source cached."""
    preset = find_preset("lite")
    assert preset is not None
    config = preset.config()
    assert isinstance(config, LiteConfig)
    model = FNeVRLite(config).eval()
    source_01, driving_01 = torch.rand(2, 1, 3, 256, 256)
    with torch.inference_mode():
        source = model.read_detailed(source_01)
        with FlopCounterMode(display=False) as counter:
            model.draw(source, model.keypoints(driving_01))
    parameters = sum(p.numel() for p in model.parameters()) / 1e6
    multiply_adds = counter.get_total_flops() / 2e9
    report = f"lite: {parameters:.3f} M parameters, {multiply_adds:.3f} G multiply-adds per frame"
    with capsys.disabled():
        print(f"\n{report}")  # noqa: T201
    assert parameters <= 6
    assert multiply_adds <= 4


def test_noise_floor_halves_what_is_as_long_as_it_and_spares_what_is_long():
    flow = torch.zeros(1, 2, 1, 4, dtype=torch.float64)
    flow[0, :, 0, 1] = torch.tensor([0.003, -0.004])  # of length 0.005
    flow[0, 0, 0, 2] = 0.5
    kept = suppress_noise(flow, 0.005)
    torch.testing.assert_close(kept[..., 1], flow[..., 1] / 2)
    torch.testing.assert_close(kept[..., 2], flow[..., 2], rtol=1e-3, atol=0)
    assert kept[..., [0, 3]].eq(0).all()
    assert suppress_noise(flow, 0.0) is flow


@pytest.mark.parametrize(("volume_rendering", "composite"), [(False, True), (True, False)])
def test_without_renderer_or_composite(config, volume_rendering, composite):
    """The ablations: what is left out is None, and the rest still trains."""
    changes = {"volume_rendering": volume_rendering, "composite": composite}
    model = new_model(config.model_copy(update=changes), FacePatches.packaged(), seed=0)
    out = model(torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64))
    assert (out.rendered is None) == (out.density_features is None) == (not volume_rendering)
    assert (out.composite_mask is None) == (not composite)
    if not composite:
        assert out.image is out.decoded
    out.image.mean().backward()
    weights = model.decoder.reduce.weight
    assert weights.shape[1] == 8 * (2 if volume_rendering else 1) + model.motion.context_width
    assert weights.grad is not None
    assert weights.grad.any()


def moved(keypoints, matrix, offset):
    """The keypoints of a picture under z -> A z + t."""
    return Keypoints(keypoints.positions @ matrix.T + offset, matrix @ keypoints.jacobians)


def context_of(model, source, driving):
    """The code, the coordinates and the maps that the decoder gets."""
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        context = model.motion(picture, source, driving).context
    first, width = model.config.context_width, model.config.code_width
    return context[:, first:].split([width, 2, context.shape[1] - first - width - 2], dim=1)


@pytest.fixture
def faces(config):
    """Keypoints of two faces, their heads somewhat turned."""
    count = config.num_keypoints
    rng = torch.Generator().manual_seed(1)
    positions = 0.5 * torch.randn(2, count, 2, generator=rng).clamp(-2, 2)
    jacobians = torch.eye(2) + 0.2 * torch.randn(2, count, 2, 2, generator=rng)
    return Keypoints(positions, jacobians)


def test_code_is_of_the_expression_and_not_of_the_pose(model, faces):
    """Turning, scaling and shifting a whole face changes nothing; moving one keypoint does."""
    matrix = torch.tensor([[0.8, -0.5], [0.5, 0.8]])
    code = context_of(model, faces[0], faces[1])[0]
    turned = context_of(model, faces[0], moved(faces[1], matrix, torch.tensor([0.1, -0.2])))[0]
    torch.testing.assert_close(turned, code, atol=1e-5, rtol=0)
    positions = faces.positions[1:].clone()
    positions[0, 3] += 0.1
    other = context_of(model, faces[0], Keypoints(positions, faces.jacobians[1:]))[0]
    assert (other - code).abs().max() > 1e-4
    assert code.std(dim=(2, 3)).max() < 1e-6  # the same everywhere


def test_maps_show_where_the_drivers_face_is(model, config, faces):
    _, coordinates, maps = context_of(model, faces[0], faces[1])
    grid = centre_grid(16, 16, like=maps)
    for k in range(config.num_face_keypoints - 1):
        expected = torch.exp(-0.5 * (grid - faces.positions[1, k]).square().sum(-1) / 0.04**2)
        torch.testing.assert_close(maps[0, k], expected, atol=2e-5, rtol=0)
    head = config.num_face_keypoints - 1
    inverse = faces.jacobians[1, head].inverse()
    local = (grid - faces.positions[1, head]) @ inverse.T
    expected = local.clamp(-4, 4).tanh().permute(2, 0, 1)
    torch.testing.assert_close(coordinates[0], expected, atol=1e-5, rtol=1e-4)


def test_the_code_teaches_the_keypoints_nothing(model, faces):
    leaves = [x.clone().requires_grad_() for x in (faces.positions, faces.jacobians)]
    both = Keypoints(*leaves)
    context = model.motion(torch.rand(1, 3, 64, 64), both[0], both[1]).context
    context[:, model.config.context_width :].sum().backward()
    assert all(leaf.grad is None for leaf in leaves)
    assert model.motion.code[0].weight.grad is not None


def test_without_a_code_the_decoder_gets_the_context_alone(config):
    bare = new_model(config.model_copy(update={"code_width": 0}), FacePatches.packaged(), seed=0)
    assert bare.motion.code is None
    assert bare.motion.context_width == config.context_width
    picture = torch.rand(1, 3, 64, 64)
    assert bare(picture, picture).image.shape == (1, 3, 64, 64)


def test_a_sharpened_mask_is_the_sigmoid_of_its_logits():
    logits = torch.linspace(-6, 6, 50, dtype=torch.float64)[None, None, None]
    mask = torch.sigmoid(logits)
    torch.testing.assert_close(sharpened(mask, 3.0, 3.6), torch.sigmoid(3 * logits + 3.6))
    assert sharpened(mask, 1.0, 0.0) is mask


def test_detail_is_blended_by_the_sharpened_mask(config):
    """With a mask of a half and a shift of 9 nearly all is the portrait."""
    model = FNeVRLite(config.model_copy(update={"detail_gain": 2.0, "detail_shift": 9.0})).eval()
    picture = torch.rand(1, 3, 64, 64)
    blended = model.blend_layers(opaque(picture), *layers(torch.rand(1, 3, 64, 64), mask=0.5))
    torch.testing.assert_close(blended, picture, atol=2e-3, rtol=0)
