"""Models folded for use: the same outputs but for rounding, with less work.

`fold` copies a model and replaces stages by cheaper ones that compute the same function. The plain
stages are what is trained and what the folded ones are compared with.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn

from fnevr.models.baselines.bilayer_blocks import SpectralConv, SpectralLinear
from fnevr.models.baselines.face_vid2vid import SelfGuidedSpadeDecoder
from fnevr.models.blocks import ConvBlock, ResidualBlock
from fnevr.models.decoder import SpadeDecoder
from fnevr.models.lite import blocks as lite_blocks
from fnevr.models.lite.decoder import LiteDecoder
from fnevr.models.portrait import PortraitModel
from fnevr.models.volume import FaceVolumeRenderer, RadianceField
from fnevr.runtime.folding.blocks import (
    Affine,
    FoldedConvBlock,
    FoldedHourglass,
    FoldedLiteConvBlock,
    FoldedLiteResidualBlock,
    FoldedResidualBlock,
)
from fnevr.runtime.folding.constants import plain_layer
from fnevr.runtime.folding.decoder import (
    FoldedLiteDecoder,
    FoldedSelfGuidedDecoder,
    FoldedSpadeDecoder,
)
from fnevr.runtime.folding.upsampled import UpsampledConv
from fnevr.runtime.folding.volume import FoldedField, WinogradVolumeRenderer

FOLDED: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
    ConvBlock: FoldedConvBlock,
    ResidualBlock: FoldedResidualBlock,
    nn.BatchNorm2d: Affine,
    nn.BatchNorm3d: Affine,
    SpectralConv: plain_layer,
    SpectralLinear: plain_layer,
    SelfGuidedSpadeDecoder: FoldedSelfGuidedDecoder,
    RadianceField: FoldedField,
    lite_blocks.ConvBlock: FoldedLiteConvBlock,
    lite_blocks.ResidualBlock: FoldedLiteResidualBlock,
    lite_blocks.StridedHourglass: FoldedHourglass,
    LiteDecoder: FoldedLiteDecoder,
}

Model = TypeVar("Model", bound=PortraitModel)

__all__ = ["FOLDED", "UpsampledConv", "fold"]


def fold(model: Model, *, winograd: bool = False) -> Model:
    """Return a copy of a model for use alone: every stage that can be is folded.

    Its public methods are those of the model, and so are their results but for rounding. It cannot
    be trained or saved.

    Args:
        model: is left as it is.
        winograd: also the convolutions that it speeds up (`folding.winograd`). For float32 on a
            CPU: its rounding errors are larger, and GPUs have ways of their own.
    """
    folded = copy.deepcopy(model).eval().requires_grad_(False)
    _replace(folded, winograd)
    return folded


def _replace(module: nn.Module, winograd: bool) -> None:
    for name, child in list(module.named_children()):
        make = FOLDED.get(type(child))
        if isinstance(child, SpadeDecoder):
            setattr(module, name, FoldedSpadeDecoder(child, winograd=winograd))
        elif winograd and isinstance(child, FaceVolumeRenderer):
            _replace(child, winograd)
            setattr(module, name, WinogradVolumeRenderer(child))
        elif make is None:
            _replace(child, winograd)
        else:
            setattr(module, name, make(child))
