"""What the baselines have of their own; what they share is tested with the other models."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support import formula

from fnevr import Animator
from fnevr.animation.driver import DriverFile
from fnevr.animation.keypoint_track import KeypointTrack, save_track
from fnevr.compat import convert, export_checkpoint, load_checkpoint
from fnevr.compat.baseline_names import DEPTH
from fnevr.config.models import DaGANConfig, FaceVid2VidConfig, dagan_config
from fnevr.config.stages import EncoderConfig
from fnevr.errors import CheckpointError, FnevrError, MediaError
from fnevr.geometry.keypoints import Keypoints
from fnevr.models import ARCHITECTURES, DaGAN, load_model
from fnevr.models.baselines.depth import DepthNetwork
from fnevr.models.baselines.head_pose import expected_degrees, rotation
from fnevr.runtime.torch_engine import TorchEngine

NAMES = ("dagan", "dagan-spade", "face-vid2vid", "face-vid2vid-s")


@pytest.fixture(params=NAMES)
def model(request, tiny_configs):
    config = tiny_configs[request.param]
    model = ARCHITECTURES[config.architecture](config)
    # Without this the running statistics are still those of no data at all.
    model.train()(pictures(model, 4), pictures(model, 4))
    return model.eval()


def pictures(model, count):
    return torch.rand(count, 3, model.config.image_size, model.config.image_size)


@pytest.fixture
def vid2vid(tiny_configs):
    return ARCHITECTURES["face-vid2vid"](tiny_configs["face-vid2vid"]).eval()


def test_forward_and_backward(model):
    out = model.train()(pictures(model, 2), pictures(model, 2))
    assert out.image.shape == out.warped.shape == pictures(model, 2).shape
    assert out.masks.shape[:2] == (2, 4)
    assert 0 <= out.image.min() < out.image.max() <= 1
    out.image.mean().backward()
    unused = {name for name, p in model.named_parameters() if p.grad is None}
    # The coarser disparities are never looked at.
    assert all(name.startswith("depth.decoder.disparity.") for name in unused)


def test_cached_features_and_one_source_for_many_frames_change_nothing(model):
    source, driving = pictures(model, 1), pictures(model, 3)
    kp_source = model.keypoints(source)
    kp_driving = model.driving_keypoints(driving, kp_source)
    together = model.generate(source, kp_source, kp_driving, model.encode(source)).image
    for frame in range(3):
        alone = model.generate(source, kp_source, kp_driving[frame]).image
        torch.testing.assert_close(together[frame : frame + 1], alone, atol=1e-5, rtol=1e-4)


def test_saved_and_converted_models_are_the_same(model, tmp_path):
    model.save_pretrained(tmp_path / "model")
    export_checkpoint(model, tmp_path / "theirs.pth.tar")
    converted = convert(tmp_path / "theirs.pth.tar", tmp_path / "converted", model.config)
    for other in (load_model(tmp_path / "model"), load_model(tmp_path / "converted"), converted):
        assert other.config == model.config
        state = other.state_dict()
        assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())


def test_animates_files_of_arrays(model):
    animator = Animator(TorchEngine(model))
    seen = np.random.default_rng(0).integers(0, 255, (3, 40, 40, 3), dtype=np.uint8)
    for transfer in ("relative", "absolute"):
        frames = list(animator.frames(seen[0], seen, crop=False, transfer=transfer))
        assert [frame.shape for frame in frames] == [(40, 40, 3)] * 3


# Face vid2vid


def test_an_image_drives_itself_by_its_own_keypoints(vid2vid):
    image = torch.rand(2, 3, 32, 32)
    own = vid2vid.keypoints(image)
    torch.testing.assert_close(vid2vid.driving_keypoints(image, own).positions, own.positions)


def test_driving_keypoints_are_the_turned_canonical_ones_of_the_source(vid2vid):
    source = vid2vid.keypoints(torch.rand(1, 3, 32, 32))
    driving = torch.rand(2, 3, 32, 32)
    head, moved = vid2vid.head_pose(driving), vid2vid.driving_keypoints(driving, source)
    for frame in range(2):
        for k in range(3):
            wanted = head.rotation()[frame] @ source.canonical[0, k]
            wanted = wanted + head.translation[frame] + head.expression[frame, k]
            torch.testing.assert_close(moved.positions[frame, k], wanted)


def test_keypoints_of_another_model_are_refused(vid2vid):
    plain = Keypoints(torch.zeros(1, 3, 3), torch.eye(3).expand(1, 3, 3, 3))
    with pytest.raises(ValueError, match="that `keypoints` returns"):
        vid2vid.driving_keypoints(torch.rand(1, 3, 32, 32), plain)


def test_motion_without_a_source_is_refused(vid2vid, tmp_path):
    animator = Animator(TorchEngine(vid2vid), name="vid2vid")
    with pytest.raises(FnevrError, match="cannot be recorded without one"):
        animator.record(tmp_path / "clip.mp4", tmp_path / "track.safetensors")
    keypoints = Keypoints(torch.zeros(2, 3, 2), torch.eye(2).expand(2, 3, 2, 2))
    save_track(tmp_path / "track.safetensors", KeypointTrack(keypoints, Fraction(25), "lite"))
    with (
        pytest.raises(MediaError, match="depend on the source: drive it with a video"),
        animator.drivers.motion(DriverFile.of_path(tmp_path / "track.safetensors"), crop=False),
    ):
        pass


def test_angles_are_means_over_bins():
    logits = torch.full((2, 66), -50.0)
    logits[0, 33] = 50.0
    logits[1, [10, 12]] = 50.0
    torch.testing.assert_close(expected_degrees(logits), torch.tensor([0.0, 11 * 3 - 99.0]))


def test_rotation_turns_about_one_axis_at_a_time():
    zero, angle = torch.zeros(1), torch.tensor([30.0])
    radians = 30 / 180 * 3.14
    c, s = math.cos(radians), math.sin(radians)
    cases = {
        (angle, zero, zero): [[c, 0, s], [0, 1, 0], [-s, 0, c]],
        (zero, angle, zero): [[1, 0, 0], [0, c, -s], [0, s, c]],
        (zero, zero, angle): [[c, -s, 0], [s, c, 0], [0, 0, 1]],
    }
    for angles, wanted in cases.items():
        torch.testing.assert_close(rotation(*angles)[0], torch.tensor(wanted))


# DaGAN


def test_depth_network_follows_its_reference():
    """ResNet-18 and Monodepth2's decoder, written again with torch's functions."""
    shapes = formula.depth_encoder() | formula.depth_decoder()
    t = {name: formula.tensor(name, shape) for name, shape in shapes.items()}
    network = DepthNetwork((64, 64, 128, 256, 512), (256, 128, 64, 32, 16)).eval()
    ours = {}
    for name, value in t.items():
        part = "depth_decoder" if name in formula.depth_decoder() else "depth_encoder"
        row = next(row for row in DEPTH if row[0] == part and name.startswith(row[1]))
        ours[(row[2] + name.removeprefix(row[1])).removeprefix("depth.")] = value
    network.load_state_dict(ours)

    def norm(x, name):
        mean, variance = t[f"{name}.running_mean"], t[f"{name}.running_var"]
        return F.batch_norm(x, mean, variance, t[f"{name}.weight"], t[f"{name}.bias"])

    def reflected(x, name):
        x = F.pad(x, (1, 1, 1, 1), mode="reflect")
        return F.conv2d(x, t[f"{name}.weight"], t[f"{name}.bias"])

    image = formula.image(0)[..., ::4, ::4]
    x = F.conv2d((image - 0.45) / 0.225, t["encoder.conv1.weight"], stride=2, padding=3)
    features = [F.relu(norm(x, "encoder.bn1"))]
    x = F.max_pool2d(features[0], 3, 2, 1)
    for layer in range(1, 5):
        for block in range(2):
            stem, stride = f"encoder.layer{layer}.{block}", 2 if layer > 1 and block == 0 else 1
            skip = x
            if stride == 2:
                skip = F.conv2d(x, t[f"{stem}.downsample.0.weight"], stride=2)
                skip = norm(skip, f"{stem}.downsample.1")
            x = F.conv2d(x, t[f"{stem}.conv1.weight"], stride=stride, padding=1)
            x = F.conv2d(F.relu(norm(x, f"{stem}.bn1")), t[f"{stem}.conv2.weight"], padding=1)
            x = F.relu(norm(x, f"{stem}.bn2") + skip)
        features.append(x)
    for level in range(5):
        x = F.elu(reflected(x, f"decoder.{2 * level}.conv.conv"))
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        if level < 4:
            x = torch.cat((x, features[3 - level]), dim=1)
        x = F.elu(reflected(x, f"decoder.{2 * level + 1}.conv.conv"))
    wanted = reflected(x, "decoder.10.conv").sigmoid()
    made = network(image)
    assert made.shape == (1, 1, 64, 64)
    assert made.std() > 0.01
    torch.testing.assert_close(made, wanted, atol=1e-5, rtol=1e-5)


def test_depth_files_of_their_own(tiny_configs, tmp_path):
    model = DaGAN(tiny_configs["dagan"]).eval()
    export_checkpoint(model, tmp_path / "all.pth.tar")
    parts = torch.load(tmp_path / "all.pth.tar", weights_only=True)
    extras = {"height": 256, "width": 256, "use_stereo": False, "encoder.fc.bias": torch.ones(2)}
    torch.save(parts.pop("depth_encoder") | extras, tmp_path / "encoder.pth")
    torch.save(parts.pop("depth_decoder"), tmp_path / "depth.pth")
    # As `DataParallel` saves it.
    wrapped = {f"module.{name}": value for name, value in parts["generator"].items()}
    torch.save(parts | {"generator": wrapped}, tmp_path / "dagan.pth.tar")

    with pytest.raises(CheckpointError, match=r"encoder\.pth and depth\.pth by `depth=FOLDER`"):
        load_checkpoint(tmp_path / "dagan.pth.tar", model.config)
    loaded = load_checkpoint(tmp_path / "dagan.pth.tar", model.config, depth=tmp_path)
    state = loaded.state_dict()
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    (tmp_path / "depth.pth").unlink()
    with pytest.raises(CheckpointError, match=r"depth\.pth: no such checkpoint file"):
        load_checkpoint(tmp_path / "dagan.pth.tar", model.config, depth=tmp_path)


def test_attention_matches_loops(tiny_configs):
    attention = DaGAN(tiny_configs["dagan"]).attention
    attention.gain.data.fill_(0.7)
    depth, warped = torch.rand(1, 16, 2, 3), torch.rand(1, 16, 2, 3)
    out = attention(depth, warped)
    query, key, value = (
        F.relu(layer(x))[0].flatten(1)
        for layer, x in (
            (attention.query, depth),
            (attention.key, warped),
            (attention.value, warped),
        )
    )
    for place in range(6):
        scores = torch.stack([query[:, place] @ key[:, other] for other in range(6)])
        weights = scores.exp() / scores.exp().sum()
        taken = sum(weights[other] * value[:, other] for other in range(6))
        wanted = warped[0].flatten(1)[:, place] + 0.7 * taken
        torch.testing.assert_close(out[0].flatten(1)[:, place], wanted)


def test_configs_that_do_not_fit_say_so():
    three = EncoderConfig(num_downs=3)
    for make in (
        lambda: DaGANConfig(encoder=three),
        lambda: FaceVid2VidConfig(decoder="spade", encoder=three),
    ):
        with pytest.raises(ValueError, match=r"restores two halvings, got encoder\.num_downs = 3"):
            make()
    with pytest.raises(ValueError, match="one number per stage, got 1 and 4"):
        FaceVid2VidConfig(head_pose_widths=(8,))
    with pytest.raises(ValueError, match="multiples of 4"):
        FaceVid2VidConfig(head_pose_widths=(6,), head_pose_blocks=(1,))


def test_first_dagan_has_the_published_size():
    with torch.device("meta"):
        model = ARCHITECTURES["dagan"](dagan_config())
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    assert millions == pytest.approx(74.660, rel=2e-3)  # the table in FNeVR's paper
