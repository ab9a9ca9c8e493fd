"""What decoding a picture would take, told from its header and bytes before it is decoded.

A file says in a few bytes how large a picture is, how often a decoder goes over it, and into how
many pieces it is cut. The bounds are what decoders do in about a gigabyte and ten seconds, measured
with files made for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from fnevr.errors import MediaError

MAX_PIXELS = 120_000_000
MAX_PIXELS_OF = {
    "WEBP": 56_000_000,
    "AVIF": 64_000_000,
    "JPEG2000": 40_000_000,
    "JPEG in CMYK": 90_000_000,  # a progressive one is held as coefficients, twice its size
    "JPEG in TIFF": 36_000_000,  # libtiff bounds its scans to 100
    "JPEG in planes of TIFF": 12_000_000,  # each of them may
}
PLANES, APART = 284, 2  # a tag of TIFF, and what it says where each channel is stored by itself
# Each scan of a progressive JPEG goes over all of its pixels, in a few bytes; usual ones have ten.
MAX_SCANS = 64
MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")  # no stuffed byte, no restart
START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
# How JPEG 2000 is coded: for all of a picture or a tile (COD), or a component of it (COC). They are
# looked for anywhere, since each tile may bring its own. Compressed data never looks like this.
CODED = re.compile(
    rb"\xff(?:\x52\x00[\x0c-\x2d][\x00-\x07].(?P<layers>..)[\x00\x01]"
    rb"|\x53\x00[\x09-\x2b][\x00-\x03][\x00-\x07])"
    rb"(?P<levels>[\x00-\x20])(?P<width>[\x00-\x08])(?P<height>[\x00-\x08])..",
    re.DOTALL,
)
# Of JPEG 2000. OpenJPEG holds 300 bytes of each block of code, whatever is in it; encoders write
# blocks of 64 x 64, digital cinema 32 x 32. It visits each layer of each level of each tile, which
# need no byte; encoders write one layer or about twenty, of six levels.
MIN_BLOCK_SAMPLES, MAX_LAYERS_AND_LEVELS = 400, 400


def check_bounds(path: Path, image: Image.Image) -> None:
    """Check that an opened picture can be decoded in bounded time and memory.

    Raises:
        MediaError: if it is too large, or asks for more work than its pixels do.
    """
    most = MAX_PIXELS_OF.get(_kind(image), MAX_PIXELS)
    if image.width * image.height > most:
        raise too_large(path, most)
    if image.format in {"JPEG", "MPO"} and num_scans(path.read_bytes()) > MAX_SCANS:
        raise too_much_work(path, f"it goes over its pixels more than {MAX_SCANS} times")
    if image.format == "JPEG2000" and not is_coded_as_usual(path.read_bytes()):
        raise too_much_work(path, "it is cut into very small blocks, or has very many layers")


def too_large(path: Path, most: int = MAX_PIXELS) -> MediaError:
    """Say that a picture has too many pixels, and how many may be."""
    return MediaError(
        f"'{path}' has too many pixels (at most {most / 1e6:.0f} megapixels of this format are "
        "read); make it smaller"
    )


def too_much_work(path: Path, why: str) -> MediaError:
    """Say why a file takes too long to be decoded."""
    return MediaError(
        f"'{path}' asks for more work than any photo: {why}; save it again with another program"
    )


def num_scans(jpeg: bytes) -> int:
    """Return how often the first picture in a JPEG file goes over its pixels, without decoding."""
    count = position = 0
    while (found := MARKER.search(jpeg, position)) is not None:
        kind, start = found[1][0], found.end()
        if kind == END_OF_IMAGE:
            break
        count += kind == START_OF_SCAN
        # All but the start of the file is followed by its length.
        position = start if position == 0 else start + int.from_bytes(jpeg[start : start + 2])
    return count


def is_coded_as_usual(jpeg_2000: bytes) -> bool:
    """Tell whether a JPEG 2000 file is cut into blocks and layers as encoders do, in all parts."""
    for found in CODED.finditer(jpeg_2000):
        num_levels = found["levels"][0] + 1
        num_layers = int.from_bytes(found["layers"] or b"\x01")
        has_precincts = jpeg_2000[found.start() + 4 + (found["layers"] is None)] & 1
        sizes = jpeg_2000[found.end() : found.end() + num_levels] if has_precincts else b""
        block = (found["width"][0] + 2, found["height"][0] + 2)
        if num_layers * num_levels > MAX_LAYERS_AND_LEVELS:
            return False
        if sum(_blocks_per_sample(block, sizes.ljust(num_levels, b"\xff"))) > 1 / MIN_BLOCK_SAMPLES:
            return False
    return True


def _blocks_per_sample(block: tuple[int, int], precincts: bytes) -> Iterator[float]:
    """Yield how many blocks of code each resolution has, as a share of the picture's samples.

    Args:
        block: exponents of two: width and height.
        precincts: for each resolution, the smallest first, four bits of the exponent of the height
            and four of the width; a block reaches over no border of a precinct.
    """
    for index, sizes in enumerate(precincts):
        share = 4.0 ** (index + 1 - len(precincts)) * (0.75 if index else 1.0)
        is_halved = index > 0  # but for the smallest, a resolution has three bands of half the size
        width = min(block[0], max(0, (sizes & 15) - is_halved))
        height = min(block[1], max(0, (sizes >> 4) - is_halved))
        yield share / 2 ** (width + height)


def _kind(image: Image.Image) -> str:
    """Return what bounds a picture's size: its format, or a costly form of it."""
    if image.format in {"JPEG", "MPO"} and image.mode == "CMYK":
        return "JPEG in CMYK"
    if isinstance(image, TiffImageFile) and "jpeg" in str(image.info.get("compression")):
        return "JPEG in planes of TIFF" if image.tag_v2.get(PLANES) == APART else "JPEG in TIFF"
    return image.format or ""
