"""Files of 3DMM coefficients, one row per frame: text, or an array of NumPy.

A row has the 73 numbers that drive a model (`geometry.driving`), or all that Deep3DFaceRecon's
scripts and PIRender's database keep of a frame, of which those are taken: 260 numbers, or 262 with
width and height before the crop.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from fnevr.errors import MediaError
from fnevr.geometry.driving import NUM_COEFFICIENTS
from fnevr.media.files import ARRAY_DAMAGE, PathLike, readable_file

SUFFIXES = (".txt", ".npy")
LARGEST = 1e4  # crops are of hundreds of pixels
MAX_BYTES = 2**30
# Columns of the numbers that drive, by the length of a row.
EXPRESSION, ANGLES, TRANSLATION = (*range(80, 144),), (224, 225, 226), (254, 255, 256)
COLUMNS = {
    NUM_COEFFICIENTS: tuple(range(NUM_COEFFICIENTS)),
    260: (*EXPRESSION, *ANGLES, *TRANSLATION, 257, 258, 259),
    262: (*EXPRESSION, *ANGLES, *TRANSLATION, 259, 260, 261),
}


def is_coefficient_file(path: PathLike) -> bool:
    """Return whether a file's name says that it holds coefficients."""
    return Path(path).suffix.lower() in SUFFIXES


def load_coefficients(path: PathLike) -> Float[np.ndarray, "T 73"]:
    """Read a file of coefficients.

    Raises:
        MediaError: if it cannot be read, or holds something else.
    """
    file = readable_file(path, "a file of coefficients")
    if file.stat().st_size > MAX_BYTES:
        raise MediaError(f"'{path}' is larger than any motion: {file.stat().st_size} bytes")
    try:
        if file.suffix.lower() == ".npy":
            rows = np.load(file, allow_pickle=False)
        else:
            rows = np.loadtxt(file, ndmin=2)
    except ARRAY_DAMAGE as error:
        raise MediaError(f"cannot read coefficients from '{path}': {error}") from error
    lengths = " or ".join(str(length) for length in COLUMNS)
    is_table = isinstance(rows, np.ndarray) and rows.ndim == 2 and rows.dtype.kind in "fi"
    if not is_table or not len(rows) or rows.shape[1] not in COLUMNS:
        shape = getattr(rows, "shape", None)
        raise MediaError(f"'{path}' holds {shape}; wanted one row of {lengths} numbers per frame")
    frames = rows[:, COLUMNS[rows.shape[1]]].astype(np.float32)
    if not np.abs(frames).max() <= LARGEST:  # also false for not-a-number
        raise MediaError(f"'{path}' holds numbers that no face has: estimate it again")
    return frames
