"""VGG-19 up to relu5_1, the features of the perceptual loss of FOMM and FNeVR.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR
2015, configuration E. The ImageNet weights are torchvision's (548 MiB). They are not in this
package: they come from a file, from torch.hub's cache, or are downloaded when that is asked for.

Shapes: B batch, C channels, H and W pixels.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar
from urllib.error import URLError

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fnevr.errors import CheckpointError
from fnevr.models.perceptual.files import hub_file
from fnevr.models.perceptual.network import FeatureNetwork, pick_tensors, read_checked

URL = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
FILE_NAME = URL.rsplit("/", maxsplit=1)[-1]
SHA256 = "dcbb9e9d"
"""First digits of the file's SHA-256, which torchvision's file name holds and checks."""

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LAYERS = ((0,), (2, 5), (7, 10), (12, 14, 16, 19), (21, 23, 25, 28))
"""Index in torchvision's `features` of each convolution, by the tapped layer that it leads to.

The last convolution of each row is conv2_1, conv3_1 ...: pooling comes before it."""


class VGG19(FeatureNetwork):
    """relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1 of VGG-19."""

    min_side: ClassVar[int] = 16

    def __init__(self, width: int = 64) -> None:
        """Make the network with random weights; see `load`.

        Args:
            width: channels of the first layer; 64 is VGG-19.
        """
        super().__init__()
        self.stages = nn.ModuleList()
        in_width = 3
        for level, indices in enumerate(LAYERS):
            out_width = width * min(2**level, 8)
            stage = nn.ModuleList()
            for index in indices:
                next_width = out_width if index == indices[-1] else in_width
                stage.append(nn.Conv2d(in_width, next_width, 3, padding=1))
                in_width = next_width
            self.stages.append(stage)
        self.freeze()

    def forward(self, image_01: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B _ _ _"]]:
        """Return the five activations, each at half the size of the one before."""
        x = (image_01 - _channels(MEAN, image_01)) / _channels(STD, image_01)
        features = []
        for level, stage in enumerate(self.stages):
            *inner, last = stage.children()
            for conv in inner:
                x = F.relu(conv(x))
            if level > 0:
                x = F.max_pool2d(x, kernel_size=2)
            x = F.relu(last(x))
            features.append(x)
        return features

    @classmethod
    def load(
        cls, path: Path | None = None, *, download: bool = False, sha256: str = SHA256
    ) -> VGG19:
        """Load the ImageNet weights.

        Args:
            path: torchvision's file; None takes it from torch.hub's cache.
            download: fetch it to the cache when it is not there.
            sha256: what the file's SHA-256 must begin with.

        Raises:
            CheckpointError: if the file is missing, another one or damaged, or the download fails.
        """
        path = _cached(download=download) if path is None else Path(path)
        weights = read_checked(path, sha256, _remedy())
        with torch.device("meta"):
            network = cls(_width(weights))
        table = tensor_names()
        expected = {table[name]: tensor for name, tensor in network.state_dict().items()}
        tensors = pick_tensors(weights, expected, str(path))
        network.load_state_dict(
            {name: tensors[theirs] for name, theirs in table.items()}, strict=True, assign=True
        )
        network.freeze()
        return network


def tensor_names() -> dict[str, str]:
    """Return torchvision's name of each of our tensors."""
    return {
        f"stages.{level}.{position}.{kind}": f"features.{index}.{kind}"
        for level, indices in enumerate(LAYERS)
        for position, index in enumerate(indices)
        for kind in ("weight", "bias")
    }


def _width(weights: dict[str, object]) -> int:
    """Tell the width from the first layer; a file without one fails the check of shapes later."""
    first = weights.get("features.0.weight")
    return len(first) if isinstance(first, Tensor) and first.ndim == 4 else 64


def _channels(values: tuple[float, float, float], like: Tensor) -> Tensor:
    return like.new_tensor(values)[:, None, None]


def _cache_path() -> Path:
    return hub_file(FILE_NAME)


def _remedy() -> str:
    return (
        f"On a machine with internet access fetch {URL}, then copy it to '{_cache_path()}' or "
        "pass its path; or use the features 'efficientnet-lite0', which need no download"
    )


def _cached(*, download: bool) -> Path:
    path = _cache_path()
    if path.is_file():
        return path
    if not download:
        raise CheckpointError(
            f"the weights of VGG-19 are not at '{path}', and downloading was not asked for.\n"
            f"{_remedy()}"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(
            URL, str(path), hash_prefix=SHA256, progress=sys.stderr.isatty()
        )
    except (URLError, OSError, RuntimeError) as error:
        raise CheckpointError(f"cannot download {URL} ({error}).\n{_remedy()}") from error
    return path
