"""A source picture made ready for a model: prepared once, generated many times.

Shapes: H and W of pictures, S the side of the model's image, B frames at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from fnevr.faces.crop import crop, crop_box
from fnevr.faces.find import find_face
from fnevr.faces.paste import PasteBack
from fnevr.geometry.keypoints import Keypoints
from fnevr.media.image import Picture
from fnevr.media.resize import resize
from fnevr.runtime.engine import Engine


@dataclass(frozen=True)
class Framing:
    """How a source picture becomes the model's square image, and back.

    Attributes:
        crop: look for the face; False takes the whole picture, stretched to a square.
        paste_back: frames of the picture's size; False gives the model's square image.
        face: which face, the largest being 0; None means the largest.
    """

    crop: bool = True
    paste_back: bool = True
    face: int | None = None


@dataclass(frozen=True)
class Source:
    """What is computed once for all frames.

    Attributes:
        image_01: the model's view of the picture.
        keypoints: batch 1.
        features: the encoded source.
        finish: turns a generated image into a frame of the output.
        width: of the output.
        height: of the output.
    """

    image_01: Float[Tensor, "1 3 S S"]
    keypoints: Keypoints
    features: Tensor
    finish: Callable[[Picture], Picture]
    width: int
    height: int


@torch.inference_mode()
def prepare(model: Engine, picture: Picture, framing: Framing, device: str) -> Source:
    """Find the face of a source picture and encode it.

    Raises:
        FaceError: if there is no usable face.
    """
    size = model.config.image_size
    height, width = picture.shape[:2]
    finish: Callable[[Picture], Picture]
    if framing.crop:
        box = crop_box(find_face(picture, framing.face))
        view = crop(picture, box, size)
        finish = PasteBack(picture, box, size) if framing.paste_back else _unchanged
    else:
        view = resize(picture, size, size)
        finish = _Resize(width, height) if framing.paste_back else _unchanged
    if not framing.paste_back:
        width = height = size

    image_01 = to_image_01([view], device)
    keypoints, features = model.read_source(image_01)
    return Source(image_01, keypoints, features, finish, width, height)


@torch.inference_mode()
def driving_keypoints(
    model: Engine, pictures: list[Picture], device: str, source: Keypoints | None = None
) -> Keypoints:
    """Find the keypoints of driving pictures that have the model's size.

    Args:
        model: finds them.
        pictures: a batch.
        device: where the model is.
        source: the source's keypoints; None for motion without a source.
    """
    image_01 = to_image_01(pictures, device)
    return (
        model.keypoints(image_01) if source is None else model.driving_keypoints(image_01, source)
    )


@torch.inference_mode()
def generate(model: Engine, source: Source, moved: Keypoints) -> list[UInt8[np.ndarray, "S S 3"]]:
    """Show the source with its keypoints moved, one image per batch entry."""
    image_01 = model.draw(source.image_01, source.keypoints, moved, source.features)
    levels = (image_01.float().clamp(0.0, 1.0) * 255.0).round().to(torch.uint8)
    return list(levels.permute(0, 2, 3, 1).contiguous().cpu().numpy())


def to_image_01(pictures: list[Picture], device: str) -> Float[Tensor, "B 3 S S"]:
    """Stack pictures of one size into a batch in [0, 1]."""
    batch = torch.from_numpy(np.stack(pictures)).to(device)
    return batch.permute(0, 3, 1, 2).float() / 255.0


@dataclass(frozen=True)
class _Resize:
    width: int
    height: int

    def __call__(self, rgb: Picture) -> UInt8[np.ndarray, "h w 3"]:
        return resize(rgb, self.width, self.height)


def _unchanged(rgb: Picture) -> Picture:
    return rgb
