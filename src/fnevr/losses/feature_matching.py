"""Feature matching: the discriminator's activations of real and generated pictures should agree.

Wang et al., "High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs",
CVPR 2018, Eq. 4; as in FOMM.

Shapes: B batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

Features = Float[Tensor, "B _ _ _"]


def feature_matching(
    fake_features: Sequence[Sequence[Features]], real_features: Sequence[Sequence[Features]]
) -> Float[Tensor, ""]:
    """Return ``sum_s sum_l mean |D_s^l(G) - D_s^l(y)|`` over scales s and layers l.

    The real features are targets: no gradient goes through them.

    Args:
        fake_features: of the generated pictures: scales, then layers.
        real_features: of the real pictures, in the same order.

    Raises:
        ValueError: if there is no layer, or the two differ in scales, layers or shapes.
    """
    fake_shapes, real_shapes = _shapes(fake_features), _shapes(real_features)
    if fake_shapes != real_shapes or not any(fake_shapes):
        raise ValueError(
            "features of the same layers are wanted, one at least, got shapes "
            f"{fake_shapes} of generated and {real_shapes} of real pictures"
        )
    distances = [
        (fake - real.detach()).abs().mean()
        for fake_layers, real_layers in zip(fake_features, real_features, strict=True)
        for fake, real in zip(fake_layers, real_layers, strict=True)
    ]
    return torch.stack(distances).sum()


def _shapes(features: Sequence[Sequence[Tensor]]) -> list[list[tuple[int, ...]]]:
    return [[tuple(layer.shape) for layer in layers] for layers in features]
