"""The multi-scale patch discriminator of FOMM, pix2pixHD and the released FNeVR.

Each patch of the picture gets a score of its own; the least-squares losses pull it to 1 for real
pictures and to 0 for generated ones (`losses/adversarial.py`).

Wang et al., "High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs",
CVPR 2018 (section 3.2); Miyato et al., "Spectral Normalization for Generative Adversarial
Networks", ICLR 2018.

Shapes: B batch, K keypoints, C channels, H and W pixels, h and w patches.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from fnevr.geometry.grids import coordinate_grid, keypoint_gaussians
from fnevr.geometry.keypoints import Keypoints
from fnevr.models.blocks import AntiAliasDownsample

KERNEL_SIZE = 4


@dataclass(frozen=True)
class Judgement:
    """What a discriminator makes of a batch of pictures at one scale.

    Attributes:
        score: one number per patch, unbounded; 1 means real.
        features: the activations after each block, for feature matching.
    """

    score: Float[Tensor, "B 1 h w"]
    features: tuple[Float[Tensor, "B _ _ _"], ...]


class DownBlock(nn.Module):
    """Convolution without padding, instance normalization, leaky ReLU 0.2, halving."""

    def __init__(self, in_width: int, out_width: int, *, is_first: bool, is_last: bool) -> None:
        super().__init__()
        self.conv = spectral_norm(nn.Conv2d(in_width, out_width, KERNEL_SIZE))
        self.norm = None if is_first else nn.InstanceNorm2d(out_width, affine=True)
        self.is_last = is_last

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C2 h w"]:
        """Return the activations, at half the size except in the last block."""
        x = self.conv(x)
        if self.norm is not None:
            x = self.norm(x)
        x = F.leaky_relu(x, negative_slope=0.2)
        return x if self.is_last else F.avg_pool2d(x, kernel_size=2)


class PatchDiscriminator(nn.Module):
    """Score the patches of a picture at one scale."""

    def __init__(self, in_width: int, width: int, max_width: int, num_blocks: int) -> None:
        super().__init__()
        widths = [in_width]
        widths += [min(max_width, width * 2 ** (level + 1)) for level in range(num_blocks)]
        self.blocks = nn.ModuleList(
            DownBlock(
                widths[level],
                widths[level + 1],
                is_first=level == 0,
                is_last=level == num_blocks - 1,
            )
            for level in range(num_blocks)
        )
        self.score = spectral_norm(nn.Conv2d(widths[-1], 1, 1))

    @property
    def min_side(self) -> int:
        """Smallest height and width that leave the last block's normalization 2 x 2 patches."""
        side = 2 + KERNEL_SIZE - 1
        for _ in range(len(self.blocks) - 1):
            side = 2 * side + KERNEL_SIZE - 1
        return side

    def forward(self, image_01: Float[Tensor, "B C H W"]) -> Judgement:
        """Return the scores and the activations of all blocks."""
        features = []
        x = image_01
        for block in self.blocks:
            x = block(x)
            features.append(x)
        return Judgement(self.score(x), tuple(features))


class MultiScaleDiscriminator(nn.Module):
    """One patch discriminator per scale; the defaults are the released configuration's.

    With keypoints it also sees them, drawn as Gaussians: does this picture look like one with the
    face parts there? The released configuration leaves that off.
    """

    def __init__(
        self,
        width: int = 32,
        max_width: int = 512,
        num_blocks: int = 4,
        downscales: tuple[int, ...] = (1,),
        num_keypoints: int = 0,
        gaussian_variance: float = 0.01,
    ) -> None:
        """Build the networks.

        Args:
            width: half the channels of the first block; each block doubles them.
            max_width: upper bound on the channels.
            num_blocks: blocks per scale.
            downscales: factors by which the picture is down-sampled, one network each.
            num_keypoints: K of the keypoints that condition the score; 0 for none.
            gaussian_variance: squared width of their Gaussians, in [-1, 1] coordinates.

        Raises:
            ValueError: if there is no block or no scale, or a factor below 1.
        """
        super().__init__()
        if num_blocks < 1 or not downscales or min(downscales) < 1:
            raise ValueError(
                "a discriminator needs one block and one down-sampling factor of 1 or more, got "
                f"{num_blocks} blocks and factors {downscales}"
            )
        self.num_keypoints = num_keypoints
        self.gaussian_variance = gaussian_variance
        self.downsample = nn.ModuleList(AntiAliasDownsample(3, factor) for factor in downscales)
        self.networks = nn.ModuleList(
            PatchDiscriminator(3 + num_keypoints, width, max_width, num_blocks) for _ in downscales
        )

    def forward(
        self, image_01: Float[Tensor, "B 3 H W"], keypoints: Keypoints | None = None
    ) -> list[Judgement]:
        """Judge the pictures at each scale.

        Args:
            image_01: real or generated pictures.
            keypoints: where the face parts should be, outside the autograd graph; only for a
                discriminator that was built for them.

        Raises:
            ValueError: if the pictures are too small, or keypoints are missing or unexpected.
        """
        self._check_keypoints(keypoints)
        judgements = []
        for downsample, network in zip(self.downsample, self.networks, strict=True):
            x = downsample(image_01)
            height, width = x.shape[-2:]
            if min(height, width) < network.min_side:
                raise ValueError(
                    f"pictures of {image_01.shape[-2]} x {image_01.shape[-1]} are too small for "
                    f"the discriminator: {height} x {width} at one of its scales, it needs "
                    f"{network.min_side}. Use larger pictures or fewer blocks"
                )
            if keypoints is not None:
                grid = coordinate_grid(height, width, like=x)
                heatmaps = keypoint_gaussians(keypoints.positions, grid, self.gaussian_variance)
                x = torch.cat((x, heatmaps), dim=1)
            judgements.append(network(x))
        return judgements

    def _check_keypoints(self, keypoints: Keypoints | None) -> None:
        count = 0 if keypoints is None else keypoints.num_keypoints
        if count != self.num_keypoints:
            raise ValueError(
                f"the discriminator was built for {self.num_keypoints} keypoints, got {count}"
            )


@contextmanager
def frozen(discriminator: MultiScaleDiscriminator) -> Iterator[None]:
    """Leave the discriminator's parameters out of the model's graph: a third of its work less."""
    discriminator.requires_grad_(False)
    try:
        yield
    finally:
        discriminator.requires_grad_(True)
