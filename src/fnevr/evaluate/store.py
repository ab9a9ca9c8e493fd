"""Scores on disk: one file per clip and predictor, so that none is computed twice."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from pathlib import Path

import numpy as np

from fnevr.errors import MediaError
from fnevr.evaluate.scorer import ClipScores
from fnevr.media.files import ARRAY_DAMAGE, atomic_path, make_folder, unpacked_bytes

# What damaged files make NumPy raise, and the archives that it keeps several arrays in.
DAMAGE = (*ARRAY_DAMAGE, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error)


class ScoreStore:
    """A folder of scores; each file appears when it is complete."""

    def __init__(self, folder: Path) -> None:
        """Use a folder; it is made when the first scores are written."""
        self.folder = folder

    def has(self, key: str, clip: str) -> bool:
        """Tell whether there are scores that can be read; damaged ones are to be made again."""
        try:
            self.read(key, clip)
        except MediaError:
            return False
        return True

    def read(self, key: str, clip: str) -> ClipScores:
        """Return stored scores.

        Raises:
            MediaError: if there are none, or they are damaged.
        """
        path = self._path(key, clip)
        try:
            content = path.read_bytes()
            if unpacked_bytes(io.BytesIO(content)) > len(content):
                raise ValueError("it is compressed, as scores never are")
            # NumPy leaves a damaged file open.
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                stored = {name: arrays[name] for name in arrays.files}
        except DAMAGE as error:
            raise MediaError(f"cannot read the scores in '{path}': {error}") from error
        scores = ClipScores({}, {})
        for name, array in stored.items():
            kind, _, rest = name.partition(" ")
            if (kind, array.ndim) not in {("value", 1), ("features", 2)} or array.dtype.kind != "f":
                raise MediaError(f"'{path}' holds {name}, {array.dtype} {array.shape}: no scores")
            if kind == "value":
                scores.values[rest] = array.tolist()
            else:
                scores.features[rest] = array
        return scores

    def write(self, key: str, clip: str, scores: ClipScores) -> None:
        """Keep scores."""
        path = self._path(key, clip)
        make_folder(path.parent)
        buffer = io.BytesIO()
        arrays = {f"value {name}": np.array(row, np.float64) for name, row in scores.values.items()}
        arrays |= {f"features {name}": rows for name, rows in scores.features.items()}
        np.savez(buffer, **arrays)  # type: ignore[arg-type]  # numpy types the names as flags
        with atomic_path(path) as temporary:
            temporary.write_bytes(buffer.getvalue())

    def _path(self, key: str, clip: str) -> Path:
        return self.folder / key / f"{clip}.npz"


def settings_key(settings: dict[str, object]) -> str:
    """Return 8 digits that stand for everything the scores depend on but model and clip."""
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
