from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from torchmetrics.image.fid import _compute_fid

from fnevr.errors import CheckpointError
from fnevr.evaluate.metrics.fid import efficientnet_features, frechet_distance, inception_features
from fnevr.models.perceptual.efficientnet import EfficientNetLite0

# The network comes as TorchScript, of which torch 2.13 warns.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


@pytest.mark.parametrize(("count", "other"), [(40, 30), (200, 300)])
def test_agrees_with_torchmetrics(count, other):
    """More and fewer pictures than features."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, 64)) @ rng.normal(size=(64, 64))
    y = rng.normal(size=(other, 64)) @ rng.normal(size=(64, 64)) + 0.5
    moments = []
    for side in (x, y):
        tensor = torch.from_numpy(side)
        moments += [tensor.mean(dim=0), torch.cov(tensor.T)]
    wanted = float(_compute_fid(*moments))
    assert frechet_distance(x, y) == pytest.approx(wanted, rel=1e-5)


def test_known_distances():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 8))
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)
    shift = np.arange(8.0)
    assert frechet_distance(x, x + shift) == pytest.approx((shift**2).sum())
    # N(0, C) against N(0, 4 C): tr(C + 4 C - 4 C).
    centred = x - x.mean(axis=0)
    wanted = np.trace(np.cov(centred.T))
    assert frechet_distance(centred, 2 * centred) == pytest.approx(wanted)
    with pytest.raises(ValueError, match="at least 2 pictures on each side, got 1, 50"):
        frechet_distance(x[:1], x)


def test_stand_in_tells_pictures_from_noise():
    torch.manual_seed(0)
    pool = efficientnet_features(EfficientNetLite0.load())
    noise = torch.randint(0, 256, (6, 3, 64, 64), dtype=torch.uint8)
    smooth = torch.nn.functional.avg_pool2d(noise.float(), 9, 1, 4).byte()
    features = [pool(part).numpy() for part in (noise, smooth, smooth.flip(3))]
    assert features[0].shape == (6, 1280)
    assert frechet_distance(features[1], features[2]) < frechet_distance(features[1], features[0])


class Pooled(torch.nn.Module):
    """Has the call of the Inception file."""

    def forward(self, images: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        return images.float().mean(dim=(2, 3)) if return_features else images.float()


def test_inception_comes_from_a_file_with_the_right_hash(tmp_path):
    path = tmp_path / "inception-2015-12-05.pt"
    torch.jit.script(Pooled()).save(str(path))
    images = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    pooled = inception_features(path, sha256=sha256)(images)
    torch.testing.assert_close(pooled, images.float().mean(dim=(2, 3)))
    with pytest.raises(CheckpointError, match=r"(?s)not the file that is wanted.*`inception=FILE`"):
        inception_features(path)
    with pytest.raises(CheckpointError, match=r"(?s)no such file.*fid-efficientnet"):
        inception_features(tmp_path / "nowhere.pt")
