"""OpenFace's `nn4.small2` (Amos et al. 2016), the network that the field's AED looks through.

The layers and their names are those of OpenFacePytorch's `openface.pth`, a conversion of
`nn4.small2.v1.t7`. The weights are not in this package.

Shapes: B batch, H and W pixels.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fnevr.models.checkpoint_file import read_checkpoint
from fnevr.models.perceptual.files import check_file, hub_file
from fnevr.models.perceptual.network import pick_tensors

WEIGHTS_NAME = "openface.pth"
WEIGHTS_URL = "https://github.com/thnkim/OpenFacePytorch"
SIDE = 96
NUM_FEATURES = 736
EPSILON = 1e-6  # under the root of the last normalization


class Tower(NamedTuple):
    """A 1 x 1 convolution to `reduced` channels, then one of `kernel` to `width`."""

    kernel: int
    reduced: int
    width: int


class Block(NamedTuple):
    """One inception block.

    Attributes:
        layer: its number in the file.
        towers: its larger convolutions.
        stride: of those.
        pool: "max" of 3 x 3 every 2, or "l2" of 3 x 3 every 3.
        pooled: channels that a 1 x 1 convolution makes of the pooled input; None leaves it.
        plain: channels of a bare 1 x 1 convolution; None has none.
    """

    layer: int
    towers: tuple[Tower, ...]
    stride: int
    pool: str
    pooled: int | None
    plain: int | None


BLOCKS = (
    Block(14, (Tower(3, 96, 128), Tower(5, 16, 32)), 1, "max", 32, 64),
    Block(15, (Tower(3, 96, 128), Tower(5, 32, 64)), 1, "l2", 64, 64),
    Block(16, (Tower(3, 128, 256), Tower(5, 32, 64)), 2, "max", None, None),
    Block(17, (Tower(3, 96, 192), Tower(5, 32, 64)), 1, "l2", 128, 256),
    Block(18, (Tower(3, 160, 256), Tower(5, 64, 128)), 2, "max", None, None),
    Block(19, (Tower(3, 96, 384),), 1, "l2", 96, 256),
    Block(21, (Tower(3, 96, 384),), 1, "max", 96, 256),
)
STEM = ((1, 3, 64, 7, 2), (6, 64, 64, 1, 1), (9, 64, 192, 3, 1))  # layer, channels, kernel, stride
EMBEDDING_LAYER = 25


class OpenFace(nn.Module):
    """Embed whole pictures, as FOMM's evaluation does: not aligned, channels reversed."""

    sha256 = ""
    """Of the file that the weights are from."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, kernel, stride, kernel // 2), nn.BatchNorm2d(after)
            )
            for _, before, after, kernel, stride in STEM
        )
        blocks, width = [], STEM[-1][2]
        for block in BLOCKS:
            blocks.append(Inception(width, block))
            width = blocks[-1].out_width
        self.blocks = nn.ModuleList(blocks)
        self.embedding = nn.Linear(NUM_FEATURES, 128)
        self.requires_grad_(False)
        self.eval()

    def forward(self, image_01: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 128"]:
        """Return embeddings of length 1 of pictures in [0, 1]."""
        # skimage 0.14's `resize`: bilinear, pixels as areas, without smoothing before.
        x = F.interpolate(image_01.flip(1), (SIDE, SIDE), mode="bilinear", align_corners=False)
        first, second, third = self.stem
        x = F.max_pool2d(F.relu(first(x)), 3, stride=2, padding=1)
        x = F.relu(second(_normalized(x)))
        x = F.max_pool2d(_normalized(F.relu(third(x))), 3, stride=2, padding=1)
        for block in self.blocks:
            x = block(x)
        x = self.embedding(F.avg_pool2d(x, 3).flatten(1))
        return x / (x.square().sum(dim=1, keepdim=True) + EPSILON).sqrt()

    @classmethod
    def load(cls, path: Path | None = None) -> OpenFace:
        """Load the converted weights.

        Args:
            path: `openface.pth` of OpenFacePytorch; None looks in torch.hub's cache. Its authors
                publish no hash: names and shapes are checked, and it is read as tensors only.

        Raises:
            CheckpointError: if the file is missing, damaged, or holds another network.
        """
        cache_path = hub_file(WEIGHTS_NAME)
        path = cache_path if path is None else path
        remedy = (
            f"AED needs OpenFace: take {WEIGHTS_NAME} from {WEIGHTS_URL} to '{cache_path}' or name "
            "the file by `openface=FILE`; `aed-dlib` needs no download"
        )
        sha256 = check_file(path, "", remedy)
        weights = read_checkpoint(path, remedy)
        network = cls()
        state = network.state_dict()
        names = _their_names(network)
        tensors = pick_tensors(
            weights, {theirs: state[ours] for ours, theirs in names.items()}, str(path)
        )
        network.sha256 = sha256
        network.load_state_dict(
            state | {ours: tensors[theirs] for ours, theirs in names.items()}, strict=True
        )
        return network


class Inception(nn.Module):
    """Branches side by side: towers, the pooled input, a bare convolution."""

    def __init__(self, width: int, block: Block) -> None:
        super().__init__()
        branches = [
            [
                *_convolved(width, tower.reduced, 1, 1),
                *_convolved(tower.reduced, tower.width, tower.kernel, block.stride),
            ]
            for tower in block.towers
        ]
        pool = nn.MaxPool2d(3, 2) if block.pool == "max" else nn.LPPool2d(2, 3, 3)
        branches.append([pool, *(_convolved(width, block.pooled, 1, 1) if block.pooled else [])])
        if block.plain is not None:
            branches.append(_convolved(width, block.plain, 1, 1))
        self.branches = nn.ModuleList(nn.Sequential(*branch) for branch in branches)
        towers = sum(tower.width for tower in block.towers)
        self.out_width = towers + (block.pooled or width) + (block.plain or 0)

    def forward(self, x: Float[Tensor, "B _ H W"]) -> Float[Tensor, "B _ _ _"]:
        """Concatenate the branches; smaller ones are put in the middle of zeros."""
        outputs = [branch(x) for branch in self.branches]
        side = max(output.shape[-1] for output in outputs)
        gaps = [side - output.shape[-1] for output in outputs]
        return torch.cat(
            [
                F.pad(output, (gap // 2, gap - gap // 2) * 2)
                for output, gap in zip(outputs, gaps, strict=True)
            ],
            dim=1,
        )


def _convolved(before: int, after: int, kernel: int, stride: int) -> list[nn.Module]:
    conv = nn.Conv2d(before, after, kernel, stride, kernel // 2)
    return [conv, nn.BatchNorm2d(after), nn.ReLU()]


def _normalized(x: Tensor) -> Tensor:
    """Divide by the energy of 5 neighbouring channels (Torch's SpatialCrossMapLRN)."""
    return F.local_response_norm(x, 5, alpha=1e-4, beta=0.75, k=1.0)


def _their_names(network: OpenFace) -> dict[str, str]:
    """Map our names to those of the file, which number layers from 1 and name their kinds."""
    prefixes = {"embedding": f"layer{EMBEDDING_LAYER}"}
    for index, (layer, *_) in enumerate(STEM):
        prefixes |= {f"stem.{index}.{part}": f"layer{layer + part}" for part in (0, 1)}
    for path, module in network.blocks.named_modules():
        kind = {nn.Conv2d: "conv", nn.BatchNorm2d: "bn"}.get(type(module))
        if kind is not None:
            index, _, branch, place = path.split(".")
            layer = BLOCKS[int(index)].layer
            prefixes[f"blocks.{path}"] = f"layer{layer}.seq_list.{branch}.{int(place) + 1}_{kind}"
    names = {}
    for ours in network.state_dict():
        prefix, _, last = ours.rpartition(".")
        if last != "num_batches_tracked":  # younger than the file
            names[ours] = f"{prefixes[prefix]}.{last}"
    return names
