"""LPIPS (Zhang et al., "The Unreasonable Effectiveness of Deep Features", 2018), and a stand-in.

`LPIPS` is version 0.1 on AlexNet, what the field means by the name: the features of five layers,
each place scaled to length 1, squared differences weighted by learned heads, mean over places, sum
over layers. AlexNet's ImageNet weights are torchvision's and are not in this package; the heads
come with torchmetrics.

`FeatureDistance` is the same formula on EfficientNet-lite0, with heads of 1 / channels: no weights
to fetch, but other numbers, so it goes by `lpips-efficientnet`, never by the standard name.

Shapes: B batch, H and W pixels.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fnevr.errors import CheckpointError
from fnevr.extras import how_to_install
from fnevr.models.perceptual.files import hub_file
from fnevr.models.perceptual.network import FeatureNetwork, pick_tensors, read_checked

ALEXNET_NAME = "alexnet-owt-7be5be79.pth"
ALEXNET_URL = f"https://download.pytorch.org/models/{ALEXNET_NAME}"
ALEXNET_SHA256 = "7be5be79"
HEADS_SHA256 = "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0"

# Torchvision's index of each convolution, kernel size, stride and padding.
LAYERS = ((0, 11, 4, 2), (3, 5, 1, 2), (6, 3, 1, 1), (8, 3, 1, 1), (10, 3, 1, 1))
WIDTHS = (64, 192, 384, 256, 256)
POOLED_LAYERS = (1, 2)  # those that a max pooling comes before

# LPIPS's own standardization, of pictures in [-1, 1].
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
EPSILON = 1e-8  # under the root


class LPIPS(nn.Module):
    """LPIPS 0.1 on AlexNet."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(before, after, size, stride=stride, padding=padding)
            for (_, size, stride, padding), before, after in zip(
                LAYERS, (3, *widths[:-1]), widths, strict=True
            )
        )
        self.heads = nn.ModuleList(nn.Conv2d(width, 1, 1, bias=False) for width in widths)
        self.requires_grad_(False)
        self.eval()

    def forward(
        self, image_01: Float[Tensor, "B 3 H W"], target_01: Float[Tensor, "B 3 H W"]
    ) -> Float[Tensor, " B"]:
        """Return the distance of each pair; 0 for equal pictures, smaller is better."""
        total = image_01.new_zeros(len(image_01))
        pairs = zip(self._features(image_01), self._features(target_01), self.heads, strict=True)
        for image, target, head in pairs:
            difference = (_unit(image) - _unit(target)).square()
            total = total + head(difference).mean(dim=(1, 2, 3))
        return total

    def _features(self, image_01: Tensor) -> list[Tensor]:
        shift, scale = (image_01.new_tensor(v)[:, None, None] for v in (SHIFT, SCALE))
        x = (2 * image_01 - 1 - shift) / scale
        features = []
        for layer, conv in enumerate(self.convs):
            if layer in POOLED_LAYERS:
                x = F.max_pool2d(x, kernel_size=3, stride=2)
            x = F.relu(conv(x))
            features.append(x)
        return features

    @classmethod
    def load(
        cls,
        alexnet: Path | None = None,
        heads: Path | None = None,
        *,
        sha256: tuple[str, str] = (ALEXNET_SHA256, HEADS_SHA256),
    ) -> LPIPS:
        """Load AlexNet's ImageNet weights and the learned heads.

        Args:
            alexnet: torchvision's file; None takes it from torch.hub's cache.
            heads: `alex.pth` of LPIPS 0.1; None takes it from the installed torchmetrics.
            sha256: what the files' SHA-256 must begin with.

        Raises:
            CheckpointError: if a file is missing, another one, or damaged.
        """
        path = _cache_path() if alexnet is None else alexnet
        remedy = (
            f"LPIPS needs AlexNet: fetch {ALEXNET_URL} to '{_cache_path()}' or name the file by "
            "`alexnet=FILE`; `lpips-efficientnet` needs no download"
        )
        backbone = read_checked(path, sha256[0], remedy)
        head_path = _packaged_heads() if heads is None else heads
        head_weights = read_checked(
            head_path, sha256[1], f"Install torchmetrics: {how_to_install('eval')}"
        )
        widths = tuple(
            len(tensor)
            if isinstance(tensor := backbone.get(f"features.{index}.bias"), Tensor)
            else w
            for (index, *_), w in zip(LAYERS, WIDTHS, strict=True)
        )
        with torch.device("meta"):
            network = cls(widths)
        state = network.state_dict()
        convs = {name: theirs for name, theirs in _their_names().items() if "convs" in name}
        lins = {name: theirs for name, theirs in _their_names().items() if "heads" in name}
        tensors: dict[str, Tensor] = {}
        for table, weights, origin in ((convs, backbone, path), (lins, head_weights, head_path)):
            shapes = {theirs: state[ours] for ours, theirs in table.items()}
            part = pick_tensors(weights, shapes, str(origin))
            tensors |= {ours: part[theirs] for ours, theirs in table.items()}
        network.load_state_dict(tensors, strict=True, assign=True)
        network.requires_grad_(False)
        return network.eval()


class FeatureDistance(nn.Module):
    """LPIPS's formula without learned heads, on another network."""

    def __init__(self, features: FeatureNetwork) -> None:
        super().__init__()
        self.features = features

    def forward(
        self, image_01: Float[Tensor, "B 3 H W"], target_01: Float[Tensor, "B 3 H W"]
    ) -> Float[Tensor, " B"]:
        """Return the distance of each pair; 0 for equal pictures, smaller is better."""
        total = image_01.new_zeros(len(image_01))
        for image, target in zip(self.features(image_01), self.features(target_01), strict=True):
            total = total + (_unit(image) - _unit(target)).square().mean(dim=(1, 2, 3))
        return total


def _unit(features: Tensor) -> Tensor:
    """Scale the features of each place to length 1."""
    return features / (EPSILON + features.square().sum(dim=1, keepdim=True)).sqrt()


def _their_names() -> dict[str, str]:
    convs = {
        f"convs.{layer}.{kind}": f"features.{index}.{kind}"
        for layer, (index, *_) in enumerate(LAYERS)
        for kind in ("weight", "bias")
    }
    heads = {f"heads.{layer}.weight": f"lin{layer}.model.1.weight" for layer in range(len(LAYERS))}
    return convs | heads


def _cache_path() -> Path:
    return hub_file(ALEXNET_NAME)


def _packaged_heads() -> Path:
    spec = find_spec("torchmetrics")
    if spec is None or spec.origin is None:
        raise CheckpointError(f"LPIPS's heads come with torchmetrics: {how_to_install('eval')}")
    return Path(spec.origin).parent / "functional" / "image" / "lpips_models" / "alex.pth"
