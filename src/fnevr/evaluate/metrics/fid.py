"""FID (Heusel et al., "GANs Trained by a Two Time-Scale Update Rule", 2017), and a stand-in.

The Frechet distance between Gaussians fitted to the features of real and of generated pictures:
|m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)). `fid` is on the 2048 features of the Inception network of
2015-12-05, in the TorchScript file that clean-fid and StyleGAN measure with, which resizes as the
original does. `fid-efficientnet` is the same distance on the 1280 pooled features of
EfficientNet-lite0; its numbers are others, hence its own name.

Both depend on the number of pictures: compare only what was measured on the same ones.

Shapes: N pictures, F features, B batch, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from fnevr.models.perceptual.efficientnet import EfficientNetLite0
from fnevr.models.perceptual.files import check_file, hub_file

INCEPTION_NAME = "inception-2015-12-05.pt"
INCEPTION_URL = (
    f"https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/{INCEPTION_NAME}"
)
INCEPTION_SHA256 = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"

PoolFeatures = Callable[[UInt8[Tensor, "B 3 H W"]], Float[Tensor, "B F"]]


def frechet_distance(features: Float[np.ndarray, "N F"], target: Float[np.ndarray, "M F"]) -> float:
    """Return the Frechet distance of two sets of features; 0 for equal sets, smaller is better.

    Means and unbiased covariances in float64; the trace of the root from the eigenvalues of C C'.

    Raises:
        ValueError: if a set has fewer than two rows.
    """
    if len(features) < 2 or len(target) < 2:
        raise ValueError(f"at least 2 pictures on each side, got {len(features)}, {len(target)}")
    x, y = (torch.from_numpy(np.asarray(side, dtype=np.float64)) for side in (features, target))
    mean_square = (x.mean(dim=0) - y.mean(dim=0)).square().sum()
    traces = x.var(dim=0).sum() + y.var(dim=0).sum()
    # The nonzero eigenvalues of C C' are those of A^T A with A = X Y^T of the centred features.
    x, y = _root(x), _root(y)
    root = torch.linalg.svdvals(x @ y.T).sum()
    return max(float(mean_square + traces - 2 * root), 0.0)


def _root(x: Float[Tensor, "N F"]) -> Float[Tensor, "M F"]:
    """Return R with R^T R the covariance, and no more rows than features: N pictures may be many.

    Singular values of X Y^T are those of R_x R_y^T, since X = Q R with orthonormal columns in Q.
    """
    centred = (x - x.mean(dim=0)) / np.sqrt(len(x) - 1)
    return centred if len(x) <= x.shape[1] else torch.linalg.qr(centred, mode="r").R


def efficientnet_features(network: EfficientNetLite0) -> PoolFeatures:
    """Return the mean of the last features over the picture."""

    def pool(images: Tensor) -> Tensor:
        return network(images.float() / 255)[-1].mean(dim=(2, 3))

    return pool


def inception_features(path: Path | None = None, *, sha256: str = INCEPTION_SHA256) -> PoolFeatures:
    """Load the Inception network.

    Args:
        path: the TorchScript file; None takes it from torch.hub's cache.
        sha256: what the file's SHA-256 must be; TorchScript is code, so nothing else is opened.

    Raises:
        CheckpointError: if the file is missing or another one.
    """
    cache_path = hub_file(INCEPTION_NAME)
    path = cache_path if path is None else path
    remedy = (
        f"FID needs the Inception network: fetch {INCEPTION_URL} to '{cache_path}' or name the "
        "file by `inception=FILE`; `fid-efficientnet` needs no download"
    )
    check_file(path, sha256, remedy)
    network = torch.jit.load(path, map_location="cpu").eval()

    def pool(images: Tensor) -> Tensor:
        return network(images, return_features=True)

    return pool
