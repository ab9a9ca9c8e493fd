"""Batch normalization folded into the convolution before it, and linear layers as convolutions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import torch
from torch import Tensor, nn

from fnevr.models.baselines.bilayer_blocks import SpectralConv, SpectralLinear
from fnevr.runtime.folding.upsampled import point_conv

BatchNorm = nn.BatchNorm2d | nn.BatchNorm3d
Conv = TypeVar("Conv", bound=nn.Conv2d | nn.Conv3d)
Module = TypeVar("Module", bound=nn.Module)


def of_kind(modules: Iterable[nn.Module], kind: type[Module]) -> list[Module]:
    """Return modules that are known to be of one class, as that class."""
    layers = [module for module in modules if isinstance(module, kind)]
    assert len(layers) == len(list(modules))
    return layers


def scale_and_shift(norm: BatchNorm) -> tuple[Tensor, Tensor]:
    """Return s and t with ``norm(x) = s x + t`` in use, by channel."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.running_var + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight
    shift = -norm.running_mean * scale
    return scale, shift if norm.bias is None else shift + norm.bias


def frozen_conv(conv: Conv, weight: Tensor, bias: Tensor | None) -> Conv:
    """Return a convolution of the same kernel size, stride and padding with other numbers."""
    with torch.device("meta"):
        copied = type(conv)(
            weight.shape[1] * conv.groups,
            weight.shape[0],
            conv.kernel_size,  # type: ignore[arg-type]
            stride=conv.stride,  # type: ignore[arg-type]
            padding=conv.padding,  # type: ignore[arg-type]
            dilation=conv.dilation,  # type: ignore[arg-type]
            groups=conv.groups,
            bias=bias is not None,
            padding_mode=conv.padding_mode,
        )
    copied.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
    if bias is not None:
        copied.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return copied


def kept_conv(conv: Conv) -> Conv:
    """Return the same convolution, frozen."""
    return frozen_conv(conv, conv.weight, conv.bias)


def fold_norm(conv: Conv, norm: BatchNorm) -> Conv:
    """Return one convolution for ``norm(conv(x))``."""
    scale, shift = scale_and_shift(norm)
    weight = conv.weight * scale.reshape(-1, *[1] * (conv.weight.ndim - 1))
    return frozen_conv(conv, weight, shift if conv.bias is None else shift + scale * conv.bias)


def stacked(convs: list[nn.Conv2d]) -> nn.Conv2d:
    """Return one convolution for several of one input; their outputs one after the other."""
    biases = [conv.bias for conv in convs]
    assert all(bias is not None for bias in biases)
    weight = torch.cat([conv.weight for conv in convs])
    return frozen_conv(convs[0], weight, torch.cat(biases))  # type: ignore[arg-type]


def as_conv(linear: nn.Linear) -> nn.Conv2d:
    """Return the 1x1 convolution that a linear layer is where channels come first."""
    return point_conv(linear.weight, linear.bias)


def plain_layer(layer: SpectralConv | SpectralLinear) -> nn.Conv2d | nn.Linear:
    """Return a layer with the weight that a spectrally normalized one uses."""
    with torch.device("meta"):
        plain: nn.Conv2d | nn.Linear
        if isinstance(layer, SpectralConv):
            plain = nn.Conv2d(
                layer.in_channels,
                layer.out_channels,
                layer.kernel_size,  # type: ignore[arg-type]
                padding=layer.padding,  # type: ignore[arg-type]
            )
        else:
            plain = nn.Linear(layer.in_features, layer.out_features)
    with torch.no_grad():
        plain.weight = nn.Parameter(layer.normalized_weight(), requires_grad=False)
    plain.bias = layer.bias
    return plain
