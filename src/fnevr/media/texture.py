"""Gaps of a picture filled with texture from elsewhere in it.

Each pixel of a gap looks for the place in the known part whose surroundings are most like its own,
and takes the mean of what its neighbours found (Wexler, Shechtman, Irani, PAMI 2007). Places are
found by PatchMatch (Barnes et al., SIGGRAPH 2009): a place that suits a pixel, moved by one, mostly
suits its neighbour, and others are tried at random. It is done on a small copy, first on a smaller
one; the picture's own pixels are then taken from the places that were found.

Shapes: H and W of the picture, h and w of a small copy, P pixels of the gap, N = h w.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from PIL import Image

from fnevr.media.guided_filter import enlarged
from fnevr.media.image import Picture

SIDES = (64, 128)  # of the small copies, the longer one
ROUNDS = 4  # of looking for places and taking their colours, on each copy
RADIUS = 2  # of the surroundings that are compared: 5 x 5 pixels
STEPS = (4, 2, 1)  # to the neighbours that are asked
NARROWING = 3  # by which the places that are tried at random come nearer
TRUST = 0.9  # in a pixel of the gap, of that in its neighbour which is nearer to what is known
LEAST_WEIGHT = 1e-4
PLAIN = 2.0  # levels, by which nine of ten pixels of a plain background differ at most

Size = tuple[int, int]


@dataclass(frozen=True)
class _Gap:
    """A gap in a small copy.

    Attributes:
        size: h and w.
        pixels: of the gap, as indices of N.
        numbers: which pixel of the gap each of N is; -1 elsewhere.
        usable: places whose surroundings are wholly known.
        trust: in what the pixels of the gap find; it falls with each step from what is known.
    """

    size: Size
    pixels: Int[np.ndarray, " P"]
    numbers: Int[np.ndarray, " N"]
    usable: Bool[np.ndarray, " N"]
    trust: Float[np.ndarray, " P"]

    @classmethod
    def of_steps(cls, steps: Int[np.ndarray, "h w"], reach: float) -> _Gap:
        """Take the steps of each pixel from a known one; those beyond a reach are in no gap."""
        known, gap = steps == 0, (steps > 0) & (steps <= reach)
        windows = np.lib.stride_tricks.sliding_window_view(
            np.pad(known, RADIUS), (2 * RADIUS + 1, 2 * RADIUS + 1)
        )
        (pixels,) = np.nonzero(gap.reshape(-1))
        numbers = np.full(gap.size, -1)
        numbers[pixels] = np.arange(len(pixels))
        usable = windows.all((2, 3)).reshape(-1)
        trust = TRUST ** steps.reshape(-1)[pixels].astype(np.float32)
        return cls((gap.shape[0], gap.shape[1]), pixels, numbers, usable, trust)


def filled_with_texture(
    rgb: Picture,
    known: Bool[np.ndarray, "H W"],
    smooth: Float[np.ndarray, "H W 3"],
    reach: float,
) -> tuple[Float[np.ndarray, "H W 3"], Float[np.ndarray, "H W"]]:
    """Fill a gap with texture, near what is known.

    The same input gives the same result.

    Args:
        rgb: the picture.
        known: where it shows what is wanted.
        smooth: the picture with the gap filled smoothly, as a start.
        reach: how far into the gap, of the longer side.

    Returns:
        Colours in the gap, and how far they are to be believed, in [0, 1]: 0 at the end of the
        reach, and wherever the picture is known.
    """
    height, width = known.shape
    rng = np.random.default_rng(0)
    found: Int[np.ndarray, " _"] | None = None
    gap: _Gap | None = None
    for side in SIDES:
        scale = side / max(height, width)
        size = max(2 * RADIUS + 2, round(height * scale)), max(2 * RADIUS + 2, round(width * scale))
        steps = _steps_from(
            _reduced(known.astype(np.float32), size) > 1 - 1e-6, round(reach * side)
        )
        coarser, gap = gap, _Gap.of_steps(steps, reach * side)
        image = np.stack([_reduced(smooth[..., index], size) for index in range(3)], axis=-1)
        if not (gap.usable.any() and len(gap.pixels)) or _is_plain(image, steps == 0):
            return smooth, np.zeros((height, width), np.float32)
        found = _start(gap, coarser, found, rng)
        for _ in range(ROUNDS):
            patches = _patches(image)
            found, costs = _search(gap, patches, found, rng)
            image = _voted(gap, image, found, costs)
    assert gap is not None
    assert found is not None
    belief = (1 - steps / (reach * SIDES[-1])).clip(0, 1) * (gap.numbers.reshape(gap.size) >= 0)
    colours, share = _taken(rgb, known, gap, found)
    return colours, share * np.minimum(1, 2 * enlarged(belief, (height, width)))


def _is_plain(image: Float[np.ndarray, "h w 3"], known: Bool[np.ndarray, "h w"]) -> bool:
    """Say whether what is known is smooth anyway: by how little pixels differ from those around."""
    around = image[:-2, 1:-1] + image[2:, 1:-1] + image[1:-1, :-2] + image[1:-1, 2:]
    differences = np.abs(image[1:-1, 1:-1] - around / 4).mean(axis=-1)
    inside = known[1:-1, 1:-1] & known[:-2, 1:-1] & known[2:, 1:-1]
    inside &= known[1:-1, :-2] & known[1:-1, 2:]
    return not inside.any() or float(np.quantile(differences[inside], 0.9)) < PLAIN


def _reduced(plane: Float[np.ndarray, "H W"], size: Size) -> Float[np.ndarray, "h w"]:
    image = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    return np.asarray(image.resize(size[::-1], Image.Resampling.BOX))


def _steps_from(known: Bool[np.ndarray, "h w"], most: int) -> Int[np.ndarray, "h w"]:
    """Return how many steps each pixel is from a known one, up to one more than `most`."""
    steps, unknown = np.zeros(known.shape, int), ~known
    for _ in range(most + 1):
        steps += unknown
        around = np.pad(unknown, 1, constant_values=True)
        unknown = unknown & around[:-2, 1:-1] & around[2:, 1:-1]
        unknown &= around[1:-1, :-2] & around[1:-1, 2:]
    return steps


def _patches(image: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "N D"]:
    """Return the surroundings of every pixel, as rows."""
    padded = np.pad(image, ((RADIUS, RADIUS), (RADIUS, RADIUS), (0, 0)), mode="edge")
    side = 2 * RADIUS + 1
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(0, 1))
    return np.ascontiguousarray(windows).reshape(image.shape[0] * image.shape[1], -1)


def _start(
    gap: _Gap,
    coarser: _Gap | None,
    found: Int[np.ndarray, " _"] | None,
    rng: np.random.Generator,
) -> Int[np.ndarray, " P"]:
    """Return first places: those that the coarser copy found, and others at random."""
    (usable,) = np.nonzero(gap.usable)
    places = rng.choice(usable, len(gap.pixels))
    if coarser is None or found is None:
        return places
    (height, width), (h, w) = gap.size, coarser.size
    y, x = np.divmod(gap.pixels, width)
    coarse = (y * h // height) * w + x * w // width
    numbers = coarser.numbers[coarse]
    from_y, from_x = np.divmod(found[numbers], w)
    at_y, at_x = np.divmod(coarse, w)
    moved_y = (y + (from_y - at_y) * height // h).clip(0, height - 1)
    moved_x = (x + (from_x - at_x) * width // w).clip(0, width - 1)
    moved = moved_y * width + moved_x
    return np.where((numbers >= 0) & gap.usable[moved], moved, places)


def _search(
    gap: _Gap,
    patches: Float[np.ndarray, "N D"],
    found: Int[np.ndarray, " P"],
    rng: np.random.Generator,
) -> tuple[Int[np.ndarray, " P"], Float[np.ndarray, " P"]]:
    """Find better places, and return by how much the surroundings still differ.

    Indices that run over the end of a row are of other places, which are as good to try as any.
    """
    width, wanted = gap.size[1], patches[gap.pixels]
    found = found.copy()
    costs = np.square(patches[found] - wanted).sum(axis=1)

    def attempt(places: Int[np.ndarray, " P"]) -> None:
        places = places.clip(0, len(patches) - 1)
        (tried,) = np.nonzero(gap.usable[places] & (places != found))
        differences = np.square(patches[places[tried]] - wanted[tried]).sum(axis=1)
        better = differences < costs[tried]
        chosen = tried[better]
        found[chosen], costs[chosen] = places[chosen], differences[better]

    for step in STEPS:
        for shift in (step, -step, step * width, -step * width):
            numbers = gap.numbers[(gap.pixels + shift).clip(0, len(patches) - 1)]
            attempt(np.where(numbers >= 0, found[numbers] - shift, found))
    reach = max(gap.size) // 2
    while reach:
        down, right = rng.integers(-reach, reach + 1, (2, len(found)))
        attempt(found + down * width + right)
        reach //= NARROWING
    return found, costs


def _voted(
    gap: _Gap,
    image: Float[np.ndarray, "h w 3"],
    found: Int[np.ndarray, " P"],
    costs: Float[np.ndarray, " P"],
) -> Float[np.ndarray, "h w 3"]:
    """Return the copy with each pixel of the gap as those around it would have it."""
    (height, width), colours = gap.size, image.reshape(-1, 3)
    likeness = np.exp(-costs / (2 * np.median(costs) + LEAST_WEIGHT))
    weights = gap.trust * (likeness + LEAST_WEIGHT)
    total, weight = np.zeros_like(colours), np.zeros(len(colours), np.float32)
    for down in range(-RADIUS, RADIUS + 1):
        for right in range(-RADIUS, RADIUS + 1):
            shift = down * width + right
            to = (gap.pixels + shift).clip(0, height * width - 1)
            total[to] += weights[:, None] * colours[(found + shift).clip(0, height * width - 1)]
            weight[to] += weights
    result = colours.copy()
    result[gap.pixels] = total[gap.pixels] / weight[gap.pixels, None]
    return result.reshape(image.shape)


def _taken(
    rgb: Picture,
    known: Bool[np.ndarray, "H W"],
    gap: _Gap,
    found: Int[np.ndarray, " P"],
) -> tuple[Float[np.ndarray, "H W 3"], Float[np.ndarray, "H W"]]:
    """Take the picture's own pixels from the places that the four nearest small ones found."""
    (height, width), (h, w) = known.shape, gap.size
    ratio = height / h, width / w
    offsets = np.zeros((2, h * w), int)
    for axis, (to, at) in enumerate(
        zip(np.divmod(found, w), np.divmod(gap.pixels, w), strict=True)
    ):
        offsets[axis, gap.pixels] = np.rint((to - at) * ratio[axis])
    inside = np.zeros(h * w, bool)
    inside[gap.pixels] = True
    wide = enlarged(inside.reshape(h, w).astype(np.float32), (height, width)) > 0
    rows, columns = np.nonzero(wide & ~known)
    places = [
        (line + 0.5) / scale - 0.5 for line, scale in zip((rows, columns), ratio, strict=True)
    ]
    total = np.zeros((len(rows), 3), np.float32)
    weight = np.zeros(len(rows), np.float32)
    for down in (0, 1):
        for right in (0, 1):
            y, x = (
                np.floor(place).astype(int) + step
                for place, step in zip(places, (down, right), strict=True)
            )
            near = (1 - np.abs(places[0] - y)) * (1 - np.abs(places[1] - x))
            small = y.clip(0, h - 1) * w + x.clip(0, w - 1)
            from_row = (rows + offsets[0, small]).clip(0, height - 1)
            from_column = (columns + offsets[1, small]).clip(0, width - 1)
            near = near * (inside[small] & known[from_row, from_column])
            total += near[:, None] * rgb[from_row, from_column]
            weight += near
    colours, share = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.float32)
    colours[rows, columns] = total / np.maximum(weight, LEAST_WEIGHT)[:, None]
    share[rows, columns] = weight.clip(max=1)
    return colours, share
