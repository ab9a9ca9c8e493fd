"""How many frames the tables of an MP4 file claim, counted before anything reads them.

A table may say in a few bytes that there are a hundred million frames, all alike; a reader makes an
entry of each. Boxes are those of ISO/IEC 14496-12: a size of four bytes, a kind of four, content.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from fnevr.errors import MediaError

CONTAINERS = frozenset(b"moov trak mdia minf stbl moof traf mvex edts dinf udta tref wave".split())
MAX_DEPTH = 10  # as of FFmpeg
PACKED = b"cmov"  # tables that are compressed, which nothing has written for twenty years
# Where the number lies in the content of a box.
COUNTS = {b"stsz": 8, b"stz2": 8, b"trun": 4}


def check_samples(path: Path) -> None:
    """Check that a file is not smaller than the number of frames and sounds that it claims.

    Raises:
        MediaError: if an MP4 file claims more than one for each of its bytes.
    """
    num_bytes = path.stat().st_size
    with path.open("rb") as file:
        claimed = max(_claims(file, 0, num_bytes, MAX_DEPTH), default=0)
    if claimed > num_bytes:
        raise MediaError(
            f"'{path}' claims more frames than it has bytes: it is damaged, or was made to take up "
            "memory; copy it again or convert it to MP4"
        )


def _claims(file: BinaryIO, start: int, end: int, depth: int) -> Iterator[int]:
    """Yield how many samples each table between two places claims."""
    while start + 8 <= end:
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(8))
        content = start + 8
        if size == 1:  # it is written behind, in eight bytes
            size, content = int.from_bytes(file.read(8)), start + 16
        elif size == 0:
            size = end - start
        if size < content - start:
            return
        if kind in CONTAINERS and depth > 0:
            yield from _claims(file, content, min(end, start + size), depth - 1)
        elif kind in COUNTS:
            file.seek(content + COUNTS[kind])
            yield int.from_bytes(file.read(4))
        elif kind == PACKED:
            yield 2**32
        start += size
