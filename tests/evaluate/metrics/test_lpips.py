from __future__ import annotations

import hashlib
import sys
import types

import pytest
import torch
from torch import nn

from fnevr.errors import CheckpointError
from fnevr.evaluate.metrics.lpips import LPIPS, FeatureDistance
from fnevr.models.perceptual.efficientnet import EfficientNetLite0


def alexnet(widths):
    """Torchvision's `alexnet().features`, at any widths."""
    a, b, c, d, e = widths
    return nn.Sequential(
        *(nn.Conv2d(3, a, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(a, b, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(b, c, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(c, d, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(d, e, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2)),
    )


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def files(tmp_path):
    """Weights of both networks in their libraries' layouts, at the published widths."""
    torch.manual_seed(1)
    widths = (64, 192, 384, 256, 256)
    backbone = alexnet(widths)
    torch.save(
        {f"features.{name}": value for name, value in backbone.state_dict().items()}
        | {"classifier.1.weight": torch.zeros(2, 2)},
        tmp_path / "alexnet.pth",
    )
    heads = {f"lin{i}.model.1.weight": torch.rand(1, w, 1, 1) for i, w in enumerate(widths)}
    torch.save(heads, tmp_path / "alex.pth")
    return backbone, heads, tmp_path / "alexnet.pth", tmp_path / "alex.pth"


def load(files):
    _, _, weights, heads = files
    return LPIPS.load(weights, heads, sha256=(digest(weights)[:8], digest(heads)))


def test_agrees_with_torchmetrics(files, monkeypatch):
    """Its LPIPS with the same weights; torchvision, which it asks for AlexNet, is a stand-in."""
    backbone, heads, *_ = files
    stand_in = types.SimpleNamespace(
        models=types.SimpleNamespace(
            alexnet=lambda weights=None: types.SimpleNamespace(features=backbone)
        )
    )
    monkeypatch.setitem(sys.modules, "torchvision", stand_in)
    from torchmetrics.functional.image import lpips as theirs  # noqa: PLC0415

    monkeypatch.setattr(theirs, "_TORCHVISION_AVAILABLE", True)
    reference = theirs._LPIPS(pretrained=False, net="alex", pnet_rand=True, use_dropout=True)
    missing = reference.load_state_dict(heads, strict=False).unexpected_keys
    assert missing == []
    image, target = torch.rand(3, 3, 96, 80), torch.rand(3, 3, 96, 80)
    with torch.no_grad():
        wanted = reference.eval()(2 * image - 1, 2 * target - 1)[:, 0, 0, 0]
    ours = load(files)(image, target)
    assert wanted.min() > 1e-3
    torch.testing.assert_close(ours, wanted, atol=1e-5, rtol=1e-5)


def test_packaged_heads_are_those_of_the_library(files):
    backbone, _, weights, _ = files
    loaded = LPIPS.load(weights, sha256=(digest(weights), "df73285e"))
    state = loaded.state_dict()
    heads = [state[f"heads.{layer}.weight"] for layer in range(5)]
    assert [head.shape[:2] for head in heads] == [(1, w) for w in (64, 192, 384, 256, 256)]
    assert all((head >= 0).all() for head in heads)
    assert torch.equal(state["convs.0.weight"], backbone[0].weight)


def test_equal_pictures_are_0_apart_and_blur_is_nearer_than_noise(files):
    torch.manual_seed(0)
    metric = load(files)
    image = torch.nn.functional.avg_pool2d(torch.rand(1, 3, 200, 200), 5, 1, 2)[:, :, :96, :96]
    assert metric(image, image).item() == 0
    blurred = torch.nn.functional.avg_pool2d(image, 3, 1, 1)
    noisy = (image + 0.3 * torch.randn_like(image)).clamp(0, 1)
    assert 0 < metric(blurred, image).item() < metric(noisy, image).item()


def test_stand_in_on_efficientnet():
    metric = FeatureDistance(EfficientNetLite0.load())
    image = torch.nn.functional.avg_pool2d(torch.rand(2, 3, 128, 128), 5, 1, 2)
    assert metric(image, image).tolist() == [0, 0]
    shifted, noisy = image.roll(1, dims=3), (image + 0.2 * torch.randn_like(image)).clamp(0, 1)
    assert (metric(shifted, image) < metric(noisy, image)).all()


def test_missing_and_foreign_files_say_what_to_do(files, tmp_path, monkeypatch):
    *_, weights, heads = files
    with pytest.raises(CheckpointError, match=r"(?s)nowhere\.pth.*`alexnet=FILE`"):
        LPIPS.load(tmp_path / "nowhere.pth")
    with pytest.raises(CheckpointError, match="not the file that is wanted"):
        LPIPS.load(weights, heads)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(CheckpointError, match=r"(?s)alexnet-owt-7be5be79\.pth.*fetch https"):
        LPIPS.load()
