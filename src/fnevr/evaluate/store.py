"""Scores on disk: one file per clip and predictor, so that none is computed twice."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np

from fnevr.evaluate.scorer import ClipScores
from fnevr.media.files import atomic_path, make_folder


class ScoreStore:
    """A folder of scores; each file appears when it is complete."""

    def __init__(self, folder: Path) -> None:
        """Use a folder; it is made when the first scores are written."""
        self.folder = folder

    def has(self, key: str, clip: str) -> bool:
        """Tell whether there are scores."""
        return self._path(key, clip).is_file()

    def read(self, key: str, clip: str) -> ClipScores:
        """Return stored scores.

        Raises:
            FileNotFoundError: if there are none.
        """
        with np.load(self._path(key, clip)) as arrays:
            values = {
                name.removeprefix("value "): arrays[name].tolist()
                for name in arrays.files
                if name.startswith("value ")
            }
            features = {
                name.removeprefix("features "): arrays[name]
                for name in arrays.files
                if name.startswith("features ")
            }
        return ClipScores(values, features)

    def write(self, key: str, clip: str, scores: ClipScores) -> None:
        """Keep scores."""
        path = self._path(key, clip)
        make_folder(path.parent)
        buffer = io.BytesIO()
        arrays = {f"value {name}": np.array(row) for name, row in scores.values.items()}
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
