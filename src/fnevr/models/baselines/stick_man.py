"""The stick man that Bilayer sees of a source: its 68 landmarks joined by lines.

Lines are two pixels wide as OpenCV draws them: a rectangle that reaches one pixel to either side,
its outline included, and a cross of five pixels at both ends. Written in tensors, so that it runs
wherever the networks run.

Shapes: B faces, L lines, H and W pixels.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

WHITE, RED, GREEN, BLUE = (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255)
MAGENTA, CYAN, YELLOW = (255, 0, 255), (0, 255, 255), (255, 255, 0)
# Drawn in this order: landmarks, whether the last one is joined to the first, colour.
STROKES = (
    (tuple(range(17)), False, WHITE),  # jaw
    (tuple(range(17, 22)), False, RED),  # brows
    (tuple(range(22, 27)), False, GREEN),
    ((*range(27, 31), 33), False, BLUE),  # bridge of the nose, and below it
    (tuple(range(31, 36)), False, BLUE),
    (tuple(range(36, 42)), True, MAGENTA),  # eyes
    (tuple(range(42, 48)), True, CYAN),
    (tuple(range(48, 60)), True, YELLOW),  # lips, outside and inside
    (tuple(range(60, 68)), True, YELLOW),
)
BACKGROUND = 1  # of 255, as the released code has it


def stick_men(points: Float[Tensor, "B 68 2"], side: int) -> Float[Tensor, "B 3 H W"]:
    """Draw the landmarks of faces, in [-1, 1].

    Args:
        points: in [-1, 1], x first, y down.
        side: height and width of the result.
    """
    pixels = ((points + 1) / 2 * side).trunc()
    image = torch.full(
        (len(points), 3, side, side), float(BACKGROUND), device=points.device, dtype=points.dtype
    )
    for indices, is_closed, colour in STROKES:
        ends = indices[1:] + indices[:1] if is_closed else indices[1:]
        starts = indices[: len(ends)]
        drawn = _drawn(pixels[:, list(starts)], pixels[:, list(ends)], side).any(dim=1)
        paint = torch.tensor(colour, device=points.device, dtype=points.dtype)
        image = torch.where(drawn[:, None], paint[:, None, None], image)
    return image / 127.5 - 1


def _drawn(
    start: Float[Tensor, "B L 2"], end: Float[Tensor, "B L 2"], side: int
) -> Int[Tensor, "B L H W"]:
    """Return which pixels each line covers."""
    places = torch.arange(side, device=start.device, dtype=start.dtype)
    x, y = places[None, :], places[:, None]
    cross = _cross(start, x, y) | _cross(end, x, y)
    return cross | _rectangle(start, end, x, y)


def _cross(point: Float[Tensor, "B L 2"], x: Tensor, y: Tensor) -> Tensor:
    """Return the pixel of a point and its four neighbours."""
    px, py = point[..., 0, None, None], point[..., 1, None, None]
    return (x - px).abs() + (y - py).abs() <= 1


def _rectangle(
    start: Float[Tensor, "B L 2"], end: Float[Tensor, "B L 2"], x: Tensor, y: Tensor
) -> Tensor:
    """Return the pixels within half a pixel, along the steeper axis, of the rectangle."""
    along = end - start
    length = along.square().sum(dim=-1).sqrt()
    direction = along / length.clamp_min(1e-6)[..., None]
    dx, dy = direction[..., 0, None, None], direction[..., 1, None, None]
    from_x, from_y = x - start[..., 0, None, None], y - start[..., 1, None, None]
    reach = 0.5 * torch.maximum(dx.abs(), dy.abs())
    ahead = from_x * dx + from_y * dy
    aside = from_y * dx - from_x * dy
    is_within = (ahead >= -reach) & (ahead <= length[..., None, None] + reach)
    return is_within & (aside.abs() <= 1 + reach) & (length > 0)[..., None, None]
