"""AED, the average Euclidean distance of identity embeddings, as the field computes it.

FOMM's evaluation (github.com/AliaksandrSiarohin/pose-evaluation) embeds whole pictures by OpenFace,
not aligned. Its script averages absolute differences in one version and sums squares in a later
one. The papers do not say which they took: for FOMM on VoxCeleb, its own paper has 0.140, the size
of the sum, and FNeVR's paper 0.0244, that of the mean. Hence two columns:

    aed     sum over the 128 numbers of (e - e')^2
    aed-l1  mean over the 128 numbers of |e - e'|

Shapes: B batch, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from fnevr.evaluate.networks.openface import OpenFace

PairMetric = Callable[[Float[Tensor, "B 3 H W"], Float[Tensor, "B 3 H W"]], Float[Tensor, " B"]]


def squared_distance(network: OpenFace) -> PairMetric:
    """Return `aed`; 0 for equal pictures, at most 4."""

    def aed(image_01: Tensor, target_01: Tensor) -> Tensor:
        return (network(image_01) - network(target_01)).square().sum(dim=1)

    return aed


def absolute_distance(network: OpenFace) -> PairMetric:
    """Return `aed-l1`; 0 for equal pictures."""

    def aed_l1(image_01: Tensor, target_01: Tensor) -> Tensor:
        return (network(image_01) - network(target_01)).abs().mean(dim=1)

    return aed_l1
