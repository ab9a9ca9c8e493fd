"""The stick man that Bilayer sees of a source: its 68 landmarks joined by lines.

Lines are two pixels wide as OpenCV draws them, to the pixel: a rectangle that reaches one pixel to
either side, filled row by row, its outline as thin lines, and a cross of five pixels at both ends.
In tensors, so that it runs wherever the networks run.

Shapes: B faces, L lines, H and W pixels.
"""

from __future__ import annotations

import itertools

import torch
from jaxtyping import Bool, Float
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
    lines = [_lines(indices, is_closed) for indices, is_closed, _ in STROKES]
    starts, ends = zip(*itertools.chain(*lines), strict=True)
    drawn = _drawn(pixels[:, list(starts)], pixels[:, list(ends)], side)
    strokes = drawn.split([len(pairs) for pairs in lines], dim=1)
    for stroke, (_, _, colour) in zip(strokes, STROKES, strict=True):
        paint = torch.tensor(colour, device=points.device, dtype=points.dtype)
        image = torch.where(stroke.any(dim=1)[:, None], paint[:, None, None], image)
    return image / 127.5 - 1


def _lines(indices: tuple[int, ...], is_closed: bool) -> list[tuple[int, int]]:
    """Return the landmarks that each line of a stroke joins."""
    return list(itertools.pairwise(indices + indices[:1] if is_closed else indices))


def _drawn(
    start: Float[Tensor, "B L 2"], end: Float[Tensor, "B L 2"], side: int
) -> Bool[Tensor, "B L H W"]:
    """Return which pixels each line covers."""
    places = torch.arange(side, device=start.device, dtype=start.dtype)
    x, y = places[None, :], places[:, None]
    along = end - start
    length = along.square().sum(dim=-1, keepdim=True).sqrt()
    unit = along / length.clamp_min(1e-6)
    aside = torch.stack((unit[..., 1], -unit[..., 0]), dim=-1)
    corners = (start + aside, start - aside, end - aside, end + aside)
    edges = [(corners[index - 1], corners[index]) for index in range(4)]
    rectangle = _filled(edges, x, y)
    for edge in edges:
        rectangle = rectangle | _edge(*edge, x, y)
    covered = _cross(start, x, y) | _cross(end, x, y)
    return covered | (rectangle & (length > 0)[..., None])


def _cross(point: Float[Tensor, "B L 2"], x: Tensor, y: Tensor) -> Bool[Tensor, "B L H W"]:
    """Return the pixel of a point and its four neighbours."""
    px, py = _axes(point)
    return (x - px).abs() + (y - py).abs() <= 1


def _edge(
    first: Float[Tensor, "B L 2"], second: Float[Tensor, "B L 2"], x: Tensor, y: Tensor
) -> Bool[Tensor, "B L H W"]:
    """Return the pixels of a thin line between places that are no whole pixels.

    It goes along the axis in which it is longer, one pixel a step from the one that the end with
    the smaller coordinate is rounded to; the other coordinate starts as it is.
    """
    (ax, ay), (bx, by) = _axes(first), _axes(second)
    is_flat = (bx - ax).abs() > (by - ay).abs()
    last = (x == _rounded(bx)) & (y == _rounded(by))
    flat = _steps(ax, ay, bx, by, x, y)
    steep = _steps(ay, ax, by, bx, y, x)
    return torch.where(is_flat, flat, steep) | last


def _steps(
    a: Tensor, a2: Tensor, b: Tensor, b2: Tensor, place: Tensor, place2: Tensor
) -> Bool[Tensor, "B L H W"]:
    """Return the pixels of the steps from a to b along one axis; the other one's names end in 2."""
    swap = b < a
    a, a2, b, b2 = (
        torch.where(swap, b, a),
        torch.where(swap, b2, a2),
        torch.where(swap, a, b),
        torch.where(swap, a2, b2),
    )
    slope = (b2 - a2) / (b - a).clamp_min(1e-6)
    step = place - _rounded(a)
    return (step >= 0) & (step <= (b - a).floor()) & (place2 == _rounded(a2 + step * slope))


def _filled(edges: list[tuple[Tensor, Tensor]], x: Tensor, y: Tensor) -> Bool[Tensor, "B L H W"]:
    """Return the pixels between the two edges that cross each row of a convex shape."""
    lefts, rights = [], []
    for first, second in edges:
        (ax, ay), (bx, by) = _axes(first), _axes(second)
        top, bottom = (
            torch.minimum(_rounded(ay), _rounded(by)),
            torch.maximum(_rounded(ay), _rounded(by)),
        )
        from_x = torch.where(ay < by, ax, bx)
        to_x = torch.where(ay < by, bx, ax)
        crossing = from_x + (y - top) * (to_x - from_x) / (bottom - top).clamp_min(1)
        is_crossed = (y >= top) & (y < bottom)
        lefts.append(torch.where(is_crossed, crossing, float("inf")))
        rights.append(torch.where(is_crossed, crossing, float("-inf")))
    left, right = torch.stack(lefts).amin(dim=0), torch.stack(rights).amax(dim=0)
    return (x >= _rounded(left)) & (x <= _rounded(right))


def _axes(point: Float[Tensor, "B L 2"]) -> tuple[Tensor, Tensor]:
    """Return x and y, to be compared with the pixels of a picture."""
    return point[..., 0, None, None], point[..., 1, None, None]


def _rounded(values: Tensor) -> Tensor:
    return (values + 0.5).floor()
