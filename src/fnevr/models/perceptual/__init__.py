"""Frozen networks whose features a perceptual loss compares. `load_features` makes one by name."""

from __future__ import annotations

from pathlib import Path

from fnevr.models.perceptual.efficientnet import EfficientNetLite0
from fnevr.models.perceptual.faceres import FaceRes
from fnevr.models.perceptual.network import FeatureNetwork
from fnevr.models.perceptual.vgg import VGG19

FEATURES = ("vgg19", "efficientnet-lite0")

__all__ = ["FEATURES", "VGG19", "EfficientNetLite0", "FaceRes", "FeatureNetwork", "load_features"]


def load_features(
    name: str, weights: str | Path | None = None, *, download: bool = False
) -> FeatureNetwork:
    """Load a feature network with its ImageNet weights.

    Args:
        name: one of `FEATURES`.
        weights: its weights file; None looks in torch.hub's cache ("vgg19") or in the installed
            package ("efficientnet-lite0").
        download: let "vgg19" fetch its weights (548 MiB) when they are not there.

    Raises:
        CheckpointError: if the weights are missing or damaged; the message says how to get them.
        ValueError: if there is no such network.
    """
    path = None if weights is None else Path(weights)
    if name == "vgg19":
        return VGG19.load(path, download=download)
    if name == "efficientnet-lite0":
        return EfficientNetLite0.load(path)
    raise ValueError(f"features must be one of {', '.join(FEATURES)}, got {name!r}")
