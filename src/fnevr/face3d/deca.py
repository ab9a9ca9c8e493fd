"""Heads by DECA's encoder: a ResNet-50 from a picture to FLAME's parameters, for those who hold it.

Feng et al., "Learning an animatable detailed 3D face model from in-the-wild images", 2021. The
encoder gives 236 numbers: 100 of shape, 50 of albedo, 50 of expression, 3 of the head's and 3 of
the jaw's rotation, 3 of the camera and 27 of light; albedo and light are left out here. Its weights
and FLAME's are not ours to ship: both files are the user's.

Shapes: B pictures, H and W pixels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from fnevr.compat.checkpoint import read_parts
from fnevr.errors import CheckpointError
from fnevr.face3d.camera import WeakPerspective
from fnevr.face3d.fitting import Fit
from fnevr.face3d.head_model import JOINT_NAMES, HeadModel, HeadParameters
from fnevr.faces.landmarks import Landmarks
from fnevr.faces.region import Region, cut_out
from fnevr.media.arrays import to_images_01
from fnevr.models.weights import load_strict, with_counters

PART = "E_flame"
WHERE = "DECA's weights (deca_model.tar) come from https://deca.is.tue.mpg.de, under their licence"
WIDTHS = {"shape": 100, "albedo": 50, "expression": 50, "pose": 6, "camera": 3, "light": 27}
SIDE = 224
# DECA frames a face by its brows and jaw; these points of the mesh are the same outline.
OUTLINE = (
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),
    *(234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152),
    *(377, 400, 378, 379, 365, 397, 288, 361, 323, 454),
)
MARGIN = 1.1 * 1.25
STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))  # width, blocks, stride
EXPANSION = 4


class DecaEncoder(nn.Module):
    """The encoder, under the names of DECA's checkpoint."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = ResNet50()
        self.layers = nn.Sequential(
            nn.Linear(512 * EXPANSION, 1024), nn.ReLU(), nn.Linear(1024, sum(WIDTHS.values()))
        )

    def forward(self, picture_01: Float[Tensor, "B 3 224 224"]) -> Float[Tensor, "B 236"]:
        """Return the numbers of each picture."""
        return self.layers(self.encoder(picture_01))

    @classmethod
    def from_file(cls, path: str | Path) -> DecaEncoder:
        """Load DECA's checkpoint; no code in it runs.

        Raises:
            CheckpointError: if the file is missing, unsafe, damaged, or not DECA's.
        """
        parts = read_parts(Path(path))
        if PART not in parts:
            raise CheckpointError(f"'{path}' has no part '{PART}', so it is not DECA's\n{WHERE}")
        encoder = cls()
        load_strict(encoder, with_counters(encoder.state_dict(), parts[PART]), str(path))
        return encoder.eval()

    @torch.inference_mode()
    def fit(self, rgb: UInt8[np.ndarray, "H W 3"], landmarks: Landmarks, model: HeadModel) -> Fit:
        """Estimate the head of one face, as arrays of NumPy.

        Args:
            rgb: the picture.
            landmarks: of the face, in its pixels; they only frame it.
            model: FLAME, as the user's file has it.

        Raises:
            CheckpointError: if the model has fewer coefficients than the encoder gives.
        """
        if model.num_shape < WIDTHS["shape"] or model.num_expression < WIDTHS["expression"]:
            raise CheckpointError(
                f"the head model has {model.num_shape} shape and {model.num_expression} expression "
                "coefficients, DECA gives 100 and 50\nuse FLAME's own file with it"
            )
        region = face_region(landmarks)
        view = cut_out(rgb, region, SIDE, border="constant")
        picture_01 = torch.from_numpy(to_images_01([view]))
        parts = self(picture_01).split(list(WIDTHS.values()), dim=1)
        numbers = {name: part.numpy() for name, part in zip(WIDTHS, parts, strict=True)}
        pose = np.zeros((1, len(JOINT_NAMES), 3), np.float32)
        pose[:, JOINT_NAMES.index("global")] = numbers["pose"][:, :3]
        pose[:, JOINT_NAMES.index("jaw")] = numbers["pose"][:, 3:]
        parameters = HeadParameters(numbers["shape"], numbers["expression"], pose)

        # DECA: x = s (X + t_x) and y = -s (Y + t_y), in [-1, 1] of the cut-out.
        scale, shift = numbers["camera"][:, 0], numbers["camera"][:, 1:]
        scale_px = scale * (region.size / 2)
        centre = np.array([[region.centre_x, region.centre_y]], np.float32)
        shift_px = centre + scale_px[:, None] * shift * np.array([1.0, -1.0], np.float32)
        camera = WeakPerspective(scale_px, shift_px)
        vertices = model(parameters).vertices
        no_errors = np.zeros((1, 0), np.float32)
        return Fit(parameters, camera, vertices, camera.project(vertices), no_errors)


def face_region(landmarks: Landmarks) -> Region:
    """Return the square that DECA looks at."""
    outline = landmarks[list(OUTLINE), :2]
    low, high = outline.min(axis=0), outline.max(axis=0)
    centre, size = (low + high) / 2, float((high - low).mean()) * MARGIN
    return Region(float(centre[0]), float(centre[1]), size)


class ResNet50(nn.Module):
    """He et al., "Deep residual learning for image recognition", without its last layer.

    The stride of a stage is that of its first 3x3 convolution.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        in_width = 64
        for number, (width, blocks, stride) in enumerate(STAGES, 1):
            stage = [Bottleneck(in_width, width, stride)]
            in_width = width * EXPANSION
            stage += [Bottleneck(in_width, width, 1) for _ in range(blocks - 1)]
            self.add_module(f"layer{number}", nn.Sequential(*stage))

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 2048"]:
        """Return the mean of the last features."""
        x = F.max_pool2d(self.bn1(self.conv1(x)).relu(), kernel_size=3, stride=2, padding=1)
        for number in range(1, len(STAGES) + 1):
            x = self.get_submodule(f"layer{number}")(x)
        return x.mean(dim=(2, 3))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut."""

    def __init__(self, in_width: int, width: int, stride: int) -> None:
        super().__init__()
        out_width = width * EXPANSION
        self.conv1 = nn.Conv2d(in_width, width, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_width, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_width)
        self.downsample = None
        if stride != 1 or in_width != out_width:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_width, out_width, kernel_size=1, stride=stride, bias=False),
                nn.BatchNorm2d(out_width),
            )

    def forward(self, x: Float[Tensor, "B C H W"]) -> Tensor:
        """Return the block's output."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.bn1(self.conv1(x)).relu()
        x = self.bn2(self.conv2(x)).relu()
        return (self.bn3(self.conv3(x)) + shortcut).relu()
