"""The networks that metrics look through: what is there is used, what is not is named.

Shapes: B batch, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from fnevr.errors import FnevrError
from fnevr.evaluate.csim import ArcFaceEmbedder
from fnevr.evaluate.fid import PoolFeatures, efficientnet_features, inception_features
from fnevr.evaluate.identity import IdentityEmbedder
from fnevr.evaluate.l1 import l1
from fnevr.evaluate.lpips import LPIPS, FeatureDistance
from fnevr.evaluate.psnr import psnr
from fnevr.evaluate.ssim import ssim
from fnevr.models.perceptual.efficientnet import EfficientNetLite0

PictureMetric = Callable[[Float[Tensor, "B 3 H W"], Float[Tensor, "B 3 H W"]], Float[Tensor, " B"]]


@runtime_checkable
class Embedder(Protocol):
    """Turns a face into numbers that tell people apart."""

    def embed(
        self, rgb: UInt8[np.ndarray, "H W 3"], landmarks: Float[np.ndarray, "478 3"]
    ) -> Float[np.ndarray, " N"]:
        """Embed the face with these landmarks, in pixels of the picture."""


@dataclass(frozen=True)
class NetworkFiles:
    """Where the standard networks lie; None looks in the usual caches.

    Attributes:
        alexnet: torchvision's weights, for `lpips`.
        inception: the TorchScript file, for `fid`.
        arcface: the ONNX file, for `csim`.
    """

    alexnet: Path | None = None
    inception: Path | None = None
    arcface: Path | None = None


@dataclass
class Networks:
    """What there is to measure with.

    Attributes:
        pictures: metrics of pairs of pictures, by name.
        embedders: by the name that their metrics end in: "" is the standard one.
        features: for Frechet distances, by the name of the distance.
        missing: the metrics that cannot be had, with the reason.
    """

    pictures: dict[str, PictureMetric] = field(default_factory=dict)
    embedders: dict[str, Embedder] = field(default_factory=dict)
    features: dict[str, PoolFeatures] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """What decides which columns there are."""
        return [*self.pictures, *(f"identity{name}" for name in self.embedders), *self.features]


def load_networks(files: NetworkFiles) -> Networks:
    """Load everything that is there.

    Raises:
        FnevrError: if a file that was named cannot be used.
    """
    found = Networks(pictures={"l1": l1, "psnr": psnr, "ssim": ssim})

    def attempt(name: str, is_named: bool, load: Callable[[], None]) -> None:
        try:
            load()
        except FnevrError as error:
            if is_named:
                raise
            found.missing[name] = str(error)

    def efficientnet() -> None:
        network = EfficientNetLite0.load()
        found.pictures["lpips-efficientnet"] = FeatureDistance(network)
        found.features["fid-efficientnet"] = efficientnet_features(network)

    def lpips() -> None:
        found.pictures["lpips"] = LPIPS.load(files.alexnet)

    def inception() -> None:
        found.features["fid"] = inception_features(files.inception)

    def dlib() -> None:
        found.embedders["-dlib"] = IdentityEmbedder()

    def arcface() -> None:
        found.embedders[""] = ArcFaceEmbedder(files.arcface)

    attempt("lpips-efficientnet, fid-efficientnet", False, efficientnet)
    attempt("lpips", files.alexnet is not None, lpips)
    attempt("fid", files.inception is not None, inception)
    attempt("aed-dlib, csim-dlib", False, dlib)
    attempt("csim", files.arcface is not None, arcface)
    return found
