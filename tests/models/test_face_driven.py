"""PIRender and Bilayer at tiny widths: their own parts, and what every model promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.settled import settled

from fnevr.compat import convert, export_checkpoint, load_checkpoint
from fnevr.compat.checkpoint import released_config_of
from fnevr.config.models import BilayerConfig, PIRenderConfig, bilayer_config
from fnevr.cost.complexity import measure_complexity
from fnevr.cost.example import drive_example, example_face, read_example
from fnevr.errors import CheckpointError, FnevrError
from fnevr.geometry.driving import Coefficients, Landmarks68
from fnevr.geometry.keypoints import Keypoints
from fnevr.models import ARCHITECTURES, load_model
from fnevr.models.baselines import bilayer
from fnevr.models.baselines.bilayer_blocks import SpectralConv
from fnevr.models.baselines.stick_man import stick_men
from fnevr.models.encoded_source import SourceFace
from fnevr.runtime.export import export
from fnevr.runtime.folding import fold
from fnevr.runtime.load import load_engine
from fnevr.runtime.torch_engine import TorchEngine


@pytest.fixture(params=["pirender", "bilayer-enhanced"])
def model(request, face_driven_configs):
    config = face_driven_configs[request.param]
    return settled(ARCHITECTURES[config.architecture](config))


@pytest.fixture
def enhanced(face_driven_configs):
    return settled(bilayer.Bilayer(face_driven_configs["bilayer-enhanced"]))


def driving_of(model, count):
    if model.config.driven_by == "coefficients":
        return Coefficients(torch.randn(count, 73, 27))
    return Landmarks68(torch.rand(count, 68, 2) - 0.5)


def test_one_source_serves_a_batch_of_frames(model):
    source, driving = read_example(model, torch.rand(1, 3, 32, 32)), driving_of(model, 3)
    together = model.draw(source, driving)
    assert together.shape == (3, 3, 32, 32)
    assert 0 <= together.min() < together.max() <= 1
    for frame in range(3):
        alone = model.draw(source, driving[frame : frame + 1])
        torch.testing.assert_close(together[frame : frame + 1], alone, atol=1e-5, rtol=1e-4)
    assert (together[0] - together[1]).abs().max() > 1e-3


def test_sources_of_their_own_are_drawn_each_as_alone(model):
    images, driving = torch.rand(2, 3, 32, 32), driving_of(model, 2)
    own, person = driving_of(model, 2), torch.rand(2, 1, 32, 32)
    together = model.draw(model.read_source(images, SourceFace(own, person)), driving)
    for index in range(2):
        one = slice(index, index + 1)
        source = model.read_source(images[one], SourceFace(own[one], person[one]))
        alone = model.draw(source, driving[one])
        torch.testing.assert_close(together[one], alone, atol=1e-5, rtol=1e-4)


def test_everything_learns_but_what_the_released_code_throws_away(model):
    image = torch.rand(1, 3, 32, 32)
    drawn = model.train().draw(read_example(model, image), driving_of(model, 2))
    if isinstance(model, bilayer.Bilayer):
        # The clamp of the result, and two sources that are alike, have no gradient.
        composed = model.compose(read_example(model, image), driving_of(model, 2))
        drawn = torch.cat((composed.image, composed.inferred.person), dim=1)
    drawn.square().mean().backward()
    unused = {name for name, p in model.named_parameters() if p.grad is None}
    if model.architecture == "pirender":
        assert all("editing.residual." in name for name in unused)
        assert {name.split(".")[4] for name in unused} == {"conv1", "norm1"}
    else:  # what follows the last embedding
        last = f"identity.blocks.{len(model.identity.blocks) - 1}"
        assert {name.rpartition(".")[0] for name in unused} == {f"{last}.conv2", f"{last}.skip"}


def test_saved_models_are_the_same(model, tmp_path):
    model.save_pretrained(tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert loaded.config == model.config
    state = loaded.state_dict()
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())


def test_a_checkpoint_of_the_authors_goes_there_and_back(model, tmp_path):
    """Only what the tables name: the tiny models have fewer levels than the published ones."""
    export_checkpoint(model, tmp_path / "theirs")
    converted = convert(tmp_path / "theirs", tmp_path / "ours", model.config)
    state = converted.state_dict()
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    is_folder = (tmp_path / "theirs").is_dir()
    assert is_folder == (model.architecture == "bilayer")
    if not is_folder:
        return
    files = sorted(path.name for path in (tmp_path / "theirs").iterdir())
    has_enhancer = model.config.num_enhancements > 0
    assert ("0_texture_enhancer.pth" in files) == has_enhancer
    (tmp_path / "theirs" / "1_keypoints_embedder.pth").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"has '0_keypoints_embedder\.pth' and '1_keyp"):
        load_checkpoint(tmp_path / "theirs", model.config)
    for path in (tmp_path / "theirs").glob("*_keypoints_embedder.pth"):
        path.unlink()
    with pytest.raises(CheckpointError, match="not a checkpoint of a known model"):
        load_checkpoint(tmp_path / "theirs", model.config)


@pytest.mark.parametrize(("width", "harmonics"), [(136, 0), (1088, 4)])
@pytest.mark.parametrize("is_enhanced", [False, True])
def test_the_checkpoint_says_which_bilayer_it_is(width, harmonics, is_enhanced):
    parts = {"keypoints_embedder": {"net.mlp.0.weight_orig": torch.zeros(256, width)}}
    if is_enhanced:
        parts["texture_enhancer"] = {}
    config = released_config_of(bilayer_config(), parts)
    assert isinstance(config, BilayerConfig)
    assert (config.num_harmonics, config.num_enhancements) == (harmonics, 4 * is_enhanced)
    with torch.device("meta"):
        first = bilayer.Bilayer(config).pose.layers[0]
    assert first.weight.shape == (256, width)


def test_a_folder_of_something_else_says_what_a_checkpoint_is(tmp_path):
    with pytest.raises(CheckpointError, match=r"EPOCH_identity_embedder\.pth and so on"):
        load_checkpoint(tmp_path)


def test_folding_changes_nothing(model):
    image, driving = torch.rand(1, 3, 32, 32), driving_of(model, 2)
    plain = model.draw(read_example(model, image), driving)
    folded = fold(model)
    torch.testing.assert_close(
        folded.draw(read_example(folded, image), driving), plain, atol=1e-5, rtol=1e-4
    )
    assert not any(isinstance(module, SpectralConv) for module in folded.modules())


def test_what_drives_other_models_is_refused(model):
    source = read_example(model, torch.rand(1, 3, 32, 32))
    keypoints = Keypoints(torch.zeros(1, 3, 2), torch.eye(2).expand(1, 3, 2, 2))
    with pytest.raises(ValueError, match=f"driven by {model.config.driven_by}.*got Keypoints"):
        model.draw(source, keypoints)
    engine = TorchEngine(model)
    with pytest.raises(FnevrError, match="has no keypoints: it is driven by"):
        engine.keypoints(np.zeros((1, 3, 32, 32), np.float32))


def test_an_engine_draws_what_the_model_draws(model):
    image, driving = torch.rand(1, 3, 32, 32), driving_of(model, 2)
    face = example_face(model, image)
    assert face is not None
    wanted = model.draw(model.read_source(image, face), driving).detach()
    engine = TorchEngine(model)
    told = SourceFace(face.own.numpy(), face.person_01.numpy())
    source = engine.read_source(image.numpy(), face=told)
    np.testing.assert_allclose(engine.draw(source, driving.numpy()), wanted, atol=1e-5)


def test_half_precision_changes_little(model):
    image, driving = torch.rand(1, 3, 32, 32), driving_of(model, 2)
    face = example_face(model, image)
    assert face is not None
    wanted = model.draw(model.read_source(image, face), driving).detach().numpy()
    engine = TorchEngine(model, precision="bfloat16")
    source = engine.read_source(
        image.numpy(), face=SourceFace(face.own.numpy(), face.person_01.numpy())
    )
    difference = np.abs(engine.draw(source, driving.numpy()) - wanted)
    assert difference.max() > 0
    assert difference.mean() < 0.02


def test_a_source_is_read_once(model):
    """What depends on the source alone does not run again for its frames."""
    counts = dict.fromkeys(("identity", "texture", "texture_weights", "inference_weights"), 0)

    def count(name):
        counts[name] += 1

    for name in counts:
        if hasattr(model, name):
            getattr(model, name).register_forward_hook(lambda *_, name=name: count(name))
    source = read_example(model, torch.rand(1, 3, 32, 32))
    for _ in range(3):
        model.draw(source, driving_of(model, 2))
    assert set(counts.values()) == {int(model.architecture == "bilayer")}


def test_what_does_not_apply_says_why(model, tmp_path):
    folder = tmp_path / "model"
    model.save_pretrained(folder)
    reason = f"it is driven by {model.config.driven_by}"
    with pytest.raises(FnevrError, match=f"cannot be exported: {reason}, and graphs"):
        export(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(FnevrError, match=f"has no graphs .{reason}"):
        load_engine(folder, "cpu", engine="onnx")
    assert load_engine(folder, "cpu").name == "torch"


def test_costs_are_counted_without_weights():
    """Their keepers' own counts: 61.60 G less 10.87 that do nothing, and 103.00 G."""
    pirender = measure_complexity("pirender", repeats=0)
    assert pirender.plain_gmacs == pytest.approx(61.60 - 10.87, abs=0.02)
    assert pirender.source_gmacs == pytest.approx(0.31 + 0.62, abs=0.01)
    assert pirender.parameters_m == pytest.approx(22.519, abs=1e-3)
    avatar = measure_complexity("bilayer", repeats=0)
    assert avatar.plain_gmacs == pytest.approx(103.00, abs=0.02)
    assert avatar.frame_gmacs == pytest.approx(0.001 + 4.313, abs=1e-3)
    assert avatar.parameters_m == pytest.approx(100.171, abs=1e-3)


@pytest.mark.parametrize(
    ("config", "changes", "message"),
    [
        (PIRenderConfig, {"num_warping_ups": 5}, "less than num_warping_downs, got 5 and 5"),
        (BilayerConfig, {"image_size": 96}, "a power of 2 from 16 on, got 96"),
        (BilayerConfig, {"width": 5}, "must be even"),
    ],
)
def test_configs_that_do_not_fit_say_so(config, changes, message):
    with pytest.raises(ValueError, match=message):
        config(**changes)


# Bilayer


def test_a_source_without_a_face_is_refused(enhanced):
    with pytest.raises(ValueError, match="needs the source's landmarks and its mask"):
        enhanced.read_source(torch.rand(1, 3, 32, 32))


def test_nothing_of_the_background_is_seen(enhanced):
    image, face = torch.rand(1, 3, 32, 32), example_face(enhanced, torch.rand(1, 3, 32, 32))
    assert face is not None
    person = torch.zeros(1, 1, 32, 32)
    person[..., 8:24] = 1
    changed = image + 0.1 * (1 - person)
    features = [
        enhanced.read_source(picture, SourceFace(face.own, person)).weights[0]
        for picture in (image, changed)
    ]
    assert torch.equal(*features)


def test_the_gradient_of_the_enhancer_is_autograds():
    texture = torch.rand(2, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    grid = torch.rand(2, 8, 8, 2, dtype=torch.float64) * 2.4 - 1.2
    residual = torch.rand(2, 3, 8, 8, dtype=torch.float64)
    (bilayer.sampled(texture, grid) * residual).sum().backward()
    found = bilayer.sampled_backwards(residual, texture.detach(), grid)
    torch.testing.assert_close(found, texture.grad)


def test_a_new_spectral_layer_enlarges_nothing():
    """Forty in a row would otherwise make numbers that no float16 holds."""
    weight = SpectralConv(32, 48, 3).eval().normalized_weight().flatten(1)
    assert 1 <= torch.linalg.matrix_norm(weight, 2) < 1.1


def test_a_spectral_layer_is_divided_by_what_its_vectors_say():
    layer = SpectralConv(3, 4, 3).eval()
    matrix = layer.weight.flatten(1)
    wanted = layer.weight / (layer.u @ matrix @ layer.v)
    x = torch.rand(1, 3, 5, 5)
    torch.testing.assert_close(
        layer(x), torch.nn.functional.conv2d(x, wanted, layer.bias, padding=1)
    )
    before = layer.u.clone()
    layer(x)
    assert torch.equal(layer.u, before)
    for _ in range(50):
        layer.train()(x)
    largest = torch.linalg.matrix_norm(layer.normalized_weight().flatten(1), ord=2)
    assert largest.item() == pytest.approx(1, abs=1e-3)


def test_stick_men_are_drawn_in_their_colours():
    points = torch.full((1, 68, 2), -3.0)  # outside
    points[0, 36:42] = torch.tensor([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5]]).repeat(2, 1)
    image = (stick_men(points, 64) + 1) * 127.5
    assert image.shape == (1, 3, 64, 64)
    assert image[0, :, 40, 10].round().tolist() == [1, 1, 1]  # background
    assert image[0, :, 16, 30].round().tolist() == [255, 0, 255]  # the upper edge
    assert image[0, :, 17, 30].round().tolist() == [255, 0, 255]
    assert image[0, :, 19, 30].round().tolist() == [1, 1, 1]
    colours = image[0].flatten(1).T.round().unique(dim=0).tolist()
    assert colours == [[1, 1, 1], [255, 0, 255]]


def test_a_batch_of_stick_men_is_each_of_them():
    points = torch.rand(2, 68, 2) - 0.5
    both = stick_men(points, 32)
    for index in range(2):
        assert torch.equal(both[index : index + 1], stick_men(points[index : index + 1], 32))


def test_harmonics_are_sines_and_cosines_of_octaves(enhanced):
    seen: dict[str, torch.Tensor] = {}
    enhanced.pose.layers[0].register_forward_hook(lambda _m, i, _o: seen.update(x=i[0]))
    points = torch.rand(1, 68, 2) - 0.5
    enhanced.pose(points)
    x = seen["x"][0]
    assert x.shape == (136 * 4,)
    flat = points.flatten()
    wanted = [flat[5] * np.pi, flat[5] * 2 * np.pi]
    torch.testing.assert_close(x[10:12], torch.stack(wanted).sin())
    torch.testing.assert_close(x[136 * 2 + 10 : 136 * 2 + 12], torch.stack(wanted).cos())


def test_examples_fit_their_models(model):
    source = read_example(model, torch.rand(1, 3, 32, 32))
    driving = drive_example(model, torch.rand(2, 3, 32, 32), source)
    assert len(driving) == 2
    assert model.draw(source, driving).shape == (2, 3, 32, 32)
