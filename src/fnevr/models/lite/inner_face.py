"""Eyes and mouth of `lite`, drawn anew in the frame of the head at a higher resolution.

The decoder draws the whole picture at 256x256 with a few channels; what people look at are eyes and
teeth, an eighth of it. This network sees them in a view that moves with the head, so that each part
is always at the same place, and draws them at 196 pixels a face height (a face of a 256-pixel
picture has about 150). It corrects what the decoder drew and the mask of the composite.

Shapes: B driving frames, K keypoints, H and W pixels of the view (`HEIGHT`, `WIDTH`), h and w cells
of the motion.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fnevr.geometry.flow import centre_grid, sample
from fnevr.geometry.inverse import invert_2x2
from fnevr.geometry.keypoints import Keypoints
from fnevr.models.encoded_source import CELL, VIEW_CENTRE, VIEW_SCALE, VIEW_SIZE
from fnevr.models.lite.blocks import ConvBlock, ResidualBlock
from fnevr.models.lite.motion import head_of

HEIGHT, WIDTH = VIEW_SIZE
CODE_WIDTH = 64


@dataclass(frozen=True)
class InnerFaceView:
    """Eyes and mouth in the view.

    Attributes:
        picture: drawn, in [0, 1].
        mask: where the warped source is taken instead, in (0, 1).
        warped: the warped source.
    """

    picture: Float[Tensor, "B 3 H W"]
    mask: Float[Tensor, "B 1 H W"]
    warped: Float[Tensor, "B 3 H W"]


class InnerFace(nn.Module):
    """A small U-Net over a view of the inner face.

    Args:
        width: channels at a quarter of the view's size; twice as many at an eighth.
        hidden_width: channels of the decoder's features.
        num_face_keypoints: how many keypoints the face has, the head's own (the last one) included.
    """

    def __init__(self, width: int, hidden_width: int, num_face_keypoints: int) -> None:
        super().__init__()
        pixels = 7 * CELL**2  # warped source, decoded picture and mask
        self.entrance = nn.Conv2d(pixels + hidden_width, width, kernel_size=3, padding=1)
        self.places = nn.Parameter(torch.zeros(1, width, HEIGHT // CELL, WIDTH // CELL))
        self.down = ConvBlock(width, 2 * width, stride=2)
        self.first = ResidualBlock(2 * width)
        self.second = ResidualBlock(2 * width)
        modulate = nn.Linear(CODE_WIDTH, 2 * 2 * width)
        in_width = 2 * 6 * (num_face_keypoints - 1)
        self.code = nn.Sequential(nn.Linear(in_width, CODE_WIDTH), nn.ReLU(), modulate)
        self.up_4 = nn.Conv2d(2 * width, 4 * width, kernel_size=3, padding=1)
        self.third = ResidualBlock(width)
        self.up_2 = nn.Conv2d(width, 2 * width, kernel_size=3, padding=1)
        self.fourth = ResidualBlock(width // 2)
        self.up_1 = nn.Conv2d(width // 2, width, kernel_size=3, padding=1)
        self.out = nn.Conv2d(width // 4, 4, kernel_size=3, padding=1)
        for layer in (modulate, self.out):  # it starts by changing nothing
            nn.init.zeros_(layer.weight)
            layer.bias = nn.Parameter(torch.zeros(layer.weight.shape[0]))

    def forward(
        self,
        pixels: Float[Tensor, "B 7 H W"],
        hidden: Float[Tensor, "B C h w"],
        expressions: Float[Tensor, "B N"],
    ) -> Float[Tensor, "B 4 H W"]:
        """Return what is to be added to the decoded picture, and to the logit of the mask.

        Args:
            pixels: warped source, decoded picture and mask, in the view.
            hidden: the decoder's features, in the view, at a quarter of its size.
            expressions: the keypoints of the driver's face and the source's, as their heads see
                them (`motion.face_in_head`).
        """
        x = torch.cat([F.pixel_unshuffle(pixels - 0.5, CELL), hidden], dim=1)
        fine = F.relu(self.entrance(x) + self.places)
        gain, offset = self.code(expressions)[:, :, None, None].chunk(2, dim=1)
        x = self.first(self.down(fine))
        x = self.second(x * (1 + gain) + offset)
        x = self.third(F.relu(F.pixel_shuffle(self.up_4(x), 2) + fine))
        x = self.fourth(F.relu(F.pixel_shuffle(self.up_2(x), 2)))
        return self.out(F.relu(F.pixel_shuffle(self.up_1(x), 2)))


def view_grid(
    driving: Keypoints, num_face_keypoints: int, height: int, width: int
) -> Float[Tensor, "B H W 2"]:
    """Return where the pixels of the view are in the driver's picture.

    Args:
        driving: the last of the face's keypoints is the whole head, in face heights.
        num_face_keypoints: how many keypoints the face has, the first ones.
        height: of the view, in pixels.
        width: of the view, in pixels.
    """
    centre, jacobian = head_of(driving, num_face_keypoints)
    in_head = head_coordinates(height, width, like=centre)
    return centre[:, None, None] + torch.einsum("bij,hwj->bhwi", jacobian, in_head)


def head_coordinates(height: int, width: int, like: Tensor) -> Float[Tensor, "H W 2"]:
    """Return where the pixels of the view are on the head: in face heights, from its middle."""
    half = like.new_tensor([WIDTH / 2 / VIEW_SCALE, HEIGHT / 2 / VIEW_SCALE])
    return centre_grid(height, width, like=like) * half + like.new_tensor(VIEW_CENTRE)


def to_view(driving: Keypoints, num_face_keypoints: int) -> Float[Tensor, "B 2 3"]:
    """Return A and t: what is at z in the driver's picture is at A z + t in the view.

    Both are in [-1, 1] from edge to edge.

    Args:
        driving: as in `view_grid`.
        num_face_keypoints: as there.
    """
    centre, jacobian = head_of(driving, num_face_keypoints)
    half = centre.new_tensor([WIDTH / 2 / VIEW_SCALE, HEIGHT / 2 / VIEW_SCALE])
    linear = invert_2x2(jacobian) / half[:, None]
    moved = torch.einsum("bij,bj->bi", linear, centre) + centre.new_tensor(VIEW_CENTRE) / half
    return torch.cat([linear, -moved[:, :, None]], dim=2)


def from_view(
    view: Float[Tensor, "B C H W"],
    affine: Float[Tensor, "B 2 3"],
    grid: Float[Tensor, "H1 W1 2"],
) -> Float[Tensor, "B C H1 W1"]:
    """Return the view as a picture sees it; its border is repeated outwards.

    Args:
        view: what is in the view.
        affine: of `to_view`.
        grid: where the picture's pixels are.
    """
    looks = torch.einsum("bij,hwj->bhwi", affine[:, :, :2], grid) + affine[:, None, None, :, 2]
    return sample(view, looks)
