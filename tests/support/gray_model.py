"""A portrait model whose results are known by construction: everything is a shade of gray.

The keypoints are a small square around the mean brightness, in x; the image it generates has the
brightness that the keypoints say. So relative motion adds up in levels of gray.
"""

from __future__ import annotations

import numpy as np
import torch

from fnevr.config.stages import KeypointConfig
from fnevr.geometry.keypoints import Keypoints
from fnevr.models.portrait import Generated, KeypointModel

SQUARE = torch.tensor([[-0.1, -0.1], [0.1, -0.1], [0.1, 0.1], [-0.1, 0.1]])
SIZE = 32


class GrayConfig(KeypointConfig):
    architecture: str = "gray"

    @property
    def size_multiple(self):
        return 1


class GrayModel(KeypointModel):
    architecture = "gray"

    def __init__(self, num_keypoints=4):
        super().__init__(GrayConfig(image_size=SIZE, num_keypoints=num_keypoints))
        self.num_encoded = 0
        self.num_seen = 0

    def keypoints(self, image_01):
        assert image_01.shape[-2:] == (SIZE, SIZE)
        self.num_seen += len(image_01)
        brightness = image_01.mean(dim=(1, 2, 3))
        shift = torch.stack([brightness, torch.zeros_like(brightness)], dim=-1)
        positions = SQUARE + shift[:, None]
        return Keypoints(positions, torch.eye(2).expand(*positions.shape[:2], 2, 2))

    def encode(self, source_01):
        self.num_encoded += 1
        return source_01[:, :1]

    def render(self, source, driving, *, details):
        brightness = driving.positions[..., 0].mean(dim=-1)
        image = brightness[:, None, None, None].expand(-1, 3, SIZE, SIZE)
        flow = torch.zeros(len(image), SIZE, SIZE, 2)
        return Generated(image, image[:, :1], image[:, :1], flow, image)


def gray(level, height=SIZE, width=SIZE):
    """A picture of one level of gray."""
    return np.full((height, width, 3), level, np.uint8)
