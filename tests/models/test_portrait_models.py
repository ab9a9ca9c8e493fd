"""FNeVR and FOMM at tiny widths: what every model promises."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from fnevr.config.models import base_config
from fnevr.errors import CheckpointError, WriteError
from fnevr.models import FOMM, FaceVid2Vid, FNeVR, FNeVRLite, load_model
from fnevr.models.weights import load_strict


@pytest.fixture(params=["fnevr", "fomm"])
def model(request, tiny_fnevr_config, tiny_fomm_config):
    model = FNeVR(tiny_fnevr_config) if request.param == "fnevr" else FOMM(tiny_fomm_config)
    # Without this the running statistics are still those of no data at all.
    model.train()(torch.rand(4, 3, 32, 32), torch.rand(4, 3, 32, 32))
    return model.eval()


@pytest.fixture
def folder(model, tmp_path):
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_saved_files_have_the_permissions_of_any_new_file(folder, tmp_path):
    (tmp_path / "plain").touch()
    modes = {path.stat().st_mode for path in [tmp_path / "plain", *folder.iterdir()]}
    assert len(modes) == 1


def test_forward_and_backward(model):
    out = model.train()(torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32))
    assert out.image.shape == out.warped.shape == (2, 3, 32, 32)
    assert out.masks.shape == (2, 4, 8, 8)
    assert out.occlusion.shape == (2, 1, 8, 8)
    assert 0 <= out.image.min() < out.image.max() <= 1
    loss = out.image.mean() if out.rendered is None else out.image.mean() + out.rendered.mean()
    loss.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


class ImageOnly(torch.nn.Module):
    """Exporters want tensors in and out."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, source, driving):
        return self.model(source, driving).image


@pytest.mark.usefixtures("bad_argument")
def test_exported_graph_gives_the_same_image(model):
    wrapped, inputs = ImageOnly(model).eval(), (torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32))
    exported = torch.export.export(wrapped, inputs)
    torch.testing.assert_close(exported.module()(*inputs), wrapped(*inputs))
    operators = " ".join(str(node.target) for node in exported.graph.nodes)
    assert "inv" not in operators.replace("invert", "")


def test_only_fnevr_renders(model):
    out = model(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32))
    assert (out.rendered is not None) == (model.architecture == "fnevr")


def test_cached_features_change_nothing(model):
    source, driving = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    kp_source, kp_driving = model.keypoints(source), model.keypoints(driving)
    plain = model.generate(source, kp_source, kp_driving)
    cached = model.generate(source, kp_source, kp_driving, model.encode(source))
    assert torch.equal(plain.image, cached.image)


def test_one_source_serves_a_batch_of_frames(model):
    source, driving = torch.rand(1, 3, 32, 32), torch.rand(3, 3, 32, 32)
    kp_source, kp_driving = model.keypoints(source), model.keypoints(driving)
    together = model.generate(source, kp_source, kp_driving, model.encode(source)).image
    for frame in range(3):
        alone = model.generate(source, kp_source, kp_driving[frame]).image
        torch.testing.assert_close(together[frame : frame + 1], alone, atol=1e-5, rtol=1e-4)


def test_source_batch_that_does_not_fit_says_so(model):
    source = torch.rand(2, 3, 32, 32)
    kp_source, kp_driving = model.keypoints(source), model.keypoints(torch.rand(3, 3, 32, 32))
    with pytest.raises(ValueError, match="2 images for 3 driving frames"):
        model.generate(source, kp_source, kp_driving)


@pytest.mark.usefixtures("bad_argument")
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 3, 32, 30), "multiples of 16, got 32 x 30: resize to 32 x 32"),
        ((1, 4, 32, 32), r"shape \(B, 3, H, W\), got \(1, 4, 32, 32\)"),
        ((3, 32, 32), r"got \(3, 32, 32\)"),
        ((1, 3, 0, 32), "got 0 x 32"),
    ],
)
def test_images_of_a_wrong_shape_say_so(model, shape, message):
    for method in (model.keypoints, model.encode):
        with pytest.raises(ValueError, match=message):
            method(torch.rand(shape))


def test_saving_and_loading_is_exact(model, folder):
    for loaded in (load_model(folder), type(model).from_pretrained(folder)):
        assert type(loaded) is type(model)
        assert loaded.config == model.config
        assert not loaded.training
        state = loaded.state_dict()
        assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
        loaded.train()(torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)).image.sum().backward()


def test_half_precision_file_loads_into_float32(model, tmp_path):
    model.save_pretrained(tmp_path / "half", half_precision=True)
    loaded = load_model(tmp_path / "half")
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    stored = load_file(tmp_path / "half" / "model.safetensors")
    assert stored["encoder.stem.conv.weight"].dtype == torch.float16
    assert stored["encoder.stem.norm.num_batches_tracked"].dtype == torch.int64
    name = "encoder.stem.conv.weight"
    assert torch.equal(loaded.state_dict()[name], model.state_dict()[name].half().float())


def test_saving_again_replaces_the_model_and_keeps_other_files(model, folder):
    (folder / "notes.txt").write_text("mine")
    name = "encoder.stem.conv.bias"
    model.state_dict()[name].add_(1)
    model.save_pretrained(folder)
    assert torch.equal(load_model(folder).state_dict()[name], model.state_dict()[name])
    assert (folder / "notes.txt").read_text() == "mine"
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_what_was_made_of_other_weights_goes_with_them(model, folder):
    def put_files():
        (folder / "graphs" / "float32").mkdir(parents=True, exist_ok=True)
        (folder / "graphs" / "float32" / "manifest.json").write_text("{}")
        (folder / "pose_editor.safetensors").write_text("of these weights")

    put_files()
    model.save_pretrained(folder)  # the same weights
    assert (folder / "graphs").is_dir()
    assert (folder / "pose_editor.safetensors").is_file()
    model.state_dict()["encoder.stem.conv.bias"].add_(1)
    model.save_pretrained(folder)
    assert {path.name for path in folder.iterdir()} == {"config.json", "model.safetensors"}
    put_files()
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder)
    assert {path.name for path in folder.iterdir()} == {"config.json", "model.safetensors"}


def test_failed_saving_leaves_nothing(model, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WriteError, match=r"cannot make the folder.*a file is in the way"):
        model.save_pretrained(tmp_path / "file")
    with pytest.raises(WriteError, match=r"cannot make the folder.*a file is in the way"):
        model.save_pretrained(tmp_path / "file" / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_wrong_class_says_which_model_it_is(model, folder):
    other = FOMM if isinstance(model, FNeVR) else FNeVR
    with pytest.raises(CheckpointError, match=f"architecture '{model.architecture}'"):
        other.from_pretrained(folder)


def test_missing_files_say_so(folder):
    with pytest.raises(CheckpointError, match=r"neither a preset .* nor a folder"):
        load_model(folder / "nowhere")
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"it lacks model\.safetensors"):
        load_model(folder)


def test_one_error_lists_all_wrong_tensors(folder):
    path = folder / "model.safetensors"
    weights = load_file(path)
    del weights["encoder.stem.conv.bias"]
    weights["surprise"] = torch.zeros(1)
    weights["motion.mask.bias"] = torch.zeros(99)
    weights["motion.occlusion.bias"] = torch.tensor([float("nan")])
    weights["encoder.stem.norm.bias"] = torch.zeros(4, dtype=torch.int64)
    save_file(weights, path)
    with pytest.raises(CheckpointError) as caught:
        load_model(folder)
    message = str(caught.value)
    assert "5 tensors do not match" in message
    assert "missing: encoder.stem.conv.bias" in message
    assert "unexpected: surprise" in message
    assert "mis-shaped: motion.mask.bias is (99,), wanted (4,)" in message
    assert "not finite: motion.occlusion.bias" in message
    assert "wrong type: encoder.stem.norm.bias is torch.int64" in message


@pytest.mark.parametrize("keep", [0, 4, 100, 5000])
def test_truncated_weights_are_damaged(folder, keep):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="damaged weights file"):
        load_model(folder)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda text: text[:-20], "not a valid model config"),
        (lambda text: text.replace("num_keypoints", "num_keypoint"), "num_keypoint: Extra inputs"),
        (lambda text: text.replace('"image_size": 32', '"image_size": 33'), "must be a multiple"),
        (lambda text: json.dumps({**json.loads(text), "architecture": "gan"}), "architecture"),
        (lambda _: "[]", "not a valid model config"),
    ],
)
def test_invalid_config_says_where(folder, edit, message):
    path = folder / "config.json"
    path.write_text(edit(path.read_text()))
    with pytest.raises(CheckpointError, match=message):
        load_model(folder)


def test_config_that_is_not_text_says_so(folder):
    (folder / "config.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CheckpointError, match="cannot read the config"):
        load_model(folder)


def test_base_has_the_published_size_without_making_it():
    with torch.device("meta"):
        model = FNeVR(base_config())
    assert sum(p.numel() for p in model.parameters()) == 61_395_025


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor([1e300], dtype=torch.float64),
        torch.tensor([-4e38], dtype=torch.float64),
    ],
)
def test_weights_must_be_finite_in_the_type_in_which_they_are_used(folder, tensor):
    path = folder / "model.safetensors"
    weights = load_file(path)
    weights["motion.occlusion.bias"] = tensor
    save_file(weights, path)
    with pytest.raises(CheckpointError, match=r"not finite: motion\.occlusion\.bias"):
        load_model(folder)


@pytest.mark.parametrize("half_precision", [False, True])
def test_what_could_not_be_loaded_is_not_saved(model, tmp_path, half_precision):
    model.motion.occlusion.bias.data.fill_(float("nan"))
    with pytest.raises(CheckpointError, match=r"not written: motion\.occlusion\.bias"):
        model.save_pretrained(tmp_path / "model", half_precision=half_precision)
    assert list(tmp_path.iterdir()) == []


def test_numbers_beyond_half_precision_are_saved_whole(model, tmp_path):
    model.motion.occlusion.bias.data.fill_(7e4)
    model.save_pretrained(tmp_path / "model", half_precision=True)
    stored = load_file(tmp_path / "model" / "model.safetensors")
    assert stored["motion.occlusion.bias"].dtype == torch.float32
    assert stored["motion.occlusion.weight"].dtype == torch.float16
    loaded = load_model(tmp_path / "model")
    assert loaded.state_dict()["motion.occlusion.bias"].tolist() == [7e4]


def test_tensors_that_are_not_plain_numbers_are_listed(model):
    weights = model.state_dict()
    weights["motion.occlusion.bias"] = torch.zeros(1, dtype=torch.float8_e4m3fn)
    load_strict(model, weights, "here")
    weights = model.state_dict()
    weights["motion.occlusion.bias"] = torch.zeros(1, device="meta")
    weights["motion.mask.bias"] = weights["motion.mask.bias"].to_sparse()
    with pytest.raises(CheckpointError, match="2 tensors do not match") as caught:
        load_strict(model, weights, "here")
    assert "not a plain tensor: motion.occlusion.bias" in str(caught.value)


@pytest.mark.parametrize("load", [load_model, FNeVRLite.from_pretrained, FNeVR.from_pretrained])
def test_presets_are_loaded_by_their_names(load):
    assert isinstance(load("lite"), FNeVRLite)
    with pytest.raises(CheckpointError, match="no weights ship for it"):
        load("dagan")
    with pytest.raises(CheckpointError, match="neither a preset"):
        load("no-such-model")


@pytest.mark.parametrize("other", [FaceVid2Vid, FOMM])
def test_a_preset_of_another_class_says_how_to_load_it(other):
    with pytest.raises(CheckpointError, match=r"'fnevr-lite', wanted .*load_model loads either"):
        other.from_pretrained("lite")
