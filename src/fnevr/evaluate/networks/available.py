"""The networks that metrics look through: what is there is used, what is not is named.

Shapes: N numbers, H and W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from fnevr.errors import FnevrError
from fnevr.evaluate.metrics.aed import PairMetric, absolute_distance, squared_distance
from fnevr.evaluate.metrics.fid import PoolFeatures, efficientnet_features, inception_features
from fnevr.evaluate.metrics.l1 import l1
from fnevr.evaluate.metrics.lpips import LPIPS, FeatureDistance
from fnevr.evaluate.metrics.psnr import psnr
from fnevr.evaluate.metrics.ssim import ssim
from fnevr.evaluate.networks.arcface import ArcFaceEmbedder
from fnevr.evaluate.networks.dlib_face import DlibEmbedder
from fnevr.evaluate.networks.fan import FacePoints
from fnevr.evaluate.networks.openface import OpenFace
from fnevr.models.perceptual.efficientnet import EfficientNetLite0

QUICK: dict[str, PairMetric] = {"l1": l1, "psnr": psnr, "ssim": ssim}
"""Metrics of pairs of pictures that look through no network: they score every frame."""


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
        openface: OpenFacePytorch's weights, for `aed`.
    """

    alexnet: Path | None = None
    inception: Path | None = None
    arcface: Path | None = None
    openface: Path | None = None


@dataclass
class Networks:
    """What there is to measure with.

    Attributes:
        pictures: metrics of pairs of pictures, by name.
        embedders: identity networks, by the ending of their metrics' names: "-dlib" for
            `csim-dlib`, "" for the standard `csim`.
        features: for Frechet distances, by the name of the distance.
        points: finds the 68 points of `akd`; None without it.
        hashes: SHA-256 of files that are not known beforehand, by metric.
        missing: the metrics that cannot be had, with the reason.
    """

    pictures: dict[str, PairMetric] = field(default_factory=dict)
    embedders: dict[str, Embedder] = field(default_factory=dict)
    features: dict[str, PoolFeatures] = field(default_factory=dict)
    points: FacePoints | None = None
    hashes: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Names of all that is measured with; scores by other names are not mixed with these."""
        return [
            *self.pictures,
            *(f"identity{name}" for name in self.embedders),
            *self.features,
            *(["akd"] if self.points is not None else []),
            *(f"{name} {sha256}" for name, sha256 in self.hashes.items()),
        ]


def load_networks(files: NetworkFiles) -> Networks:
    """Load everything that is there.

    Raises:
        FnevrError: if a file that was named cannot be used.
    """
    networks = Networks(pictures=dict(QUICK))
    for names, file, load in (
        ("lpips-efficientnet, fid-efficientnet", None, _efficientnet),
        ("lpips", files.alexnet, _lpips),
        ("akd", None, _face_points),
        ("aed, aed-l1", files.openface, _openface),
        ("fid", files.inception, _inception),
        ("aed-dlib, csim-dlib", None, _dlib),
        ("csim", files.arcface, _arcface),
    ):
        try:
            load(networks, file)
        except FnevrError as error:
            if file is not None:
                raise
            networks.missing[names] = str(error)
    return networks


def _efficientnet(networks: Networks, _: Path | None) -> None:
    network = EfficientNetLite0.load()
    networks.pictures["lpips-efficientnet"] = FeatureDistance(network)
    networks.features["fid-efficientnet"] = efficientnet_features(network)


def _lpips(networks: Networks, path: Path | None) -> None:
    networks.pictures["lpips"] = LPIPS.load(path)


def _face_points(networks: Networks, _: Path | None) -> None:
    networks.points = FacePoints()


def _openface(networks: Networks, path: Path | None) -> None:
    network = OpenFace.load(path)
    networks.pictures |= {"aed": squared_distance(network), "aed-l1": absolute_distance(network)}
    networks.hashes["aed"] = network.sha256


def _inception(networks: Networks, path: Path | None) -> None:
    networks.features["fid"] = inception_features(path)


def _dlib(networks: Networks, _: Path | None) -> None:
    networks.embedders["-dlib"] = DlibEmbedder()


def _arcface(networks: Networks, path: Path | None) -> None:
    networks.embedders[""] = ArcFaceEmbedder(path)
