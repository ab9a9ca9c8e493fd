"""Random files of FLAME's layout, as the model's authors pickle them."""

from __future__ import annotations

import pickle
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

NUM_VERTICES, NUM_JOINTS = 23, 5


def random_arrays(seed: int, num_bases: int = 400) -> dict[str, Any]:
    """Give a head of random numbers, about as large as a head in metres."""
    rng = np.random.default_rng(seed)
    vertices, joints = NUM_VERTICES, NUM_JOINTS
    regressor = rng.random((joints, vertices)) ** 4
    weights = rng.random((vertices, joints)) ** 3
    return {
        "v_template": rng.normal(0, 0.1, (vertices, 3)),
        "shapedirs": rng.normal(0, 2e-3, (vertices, 3, num_bases)),
        "posedirs": rng.normal(0, 5e-3, (vertices, 3, 9 * (joints - 1))),
        "J_regressor": regressor / regressor.sum(axis=1, keepdims=True),
        "weights": weights / weights.sum(axis=1, keepdims=True),
        "f": rng.integers(0, vertices, (11, 3)).astype(np.uint32),
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.int64),
        "bs_style": "lbs",
    }


def write(path: Path, content: Mapping[str, Any], protocol: int = 2) -> Path:
    """Pickle a model file; protocol 2 is what Python 2 wrote."""
    path.write_bytes(pickle.dumps(dict(content), protocol=protocol))
    return path


class FakePackages:
    """chumpy and scipy as far as a pickle shows them: a module, a class name and a state."""

    def __init__(self, monkeypatch: Any) -> None:
        self.monkeypatch = monkeypatch

    def make(self, module: str, name: str, state: Mapping[str, Any]) -> Any:
        """Make an object that is pickled under that name, with that state."""
        made = types.ModuleType(module)
        cls = type(name, (), {"__module__": module})
        setattr(made, name, cls)
        parts = module.split(".")
        for end in range(1, len(parts)):
            parent = ".".join(parts[:end])
            if parent not in sys.modules:
                self.monkeypatch.setitem(sys.modules, parent, types.ModuleType(parent))
        self.monkeypatch.setitem(sys.modules, module, made)
        item = cls()
        item.__dict__.update(state)
        return item

    def chumpy(self, array: np.ndarray) -> Any:
        """Wrap an array as `chumpy.Ch` does."""
        extra: dict[str, Any] = {"_dirty_vars": {"x"}, "_itr": None, "_depends_on_deps": {}}
        return self.make("chumpy.ch", "Ch", {"x": array, **extra})

    def sparse(self, array: np.ndarray, kind: str = "csc") -> Any:
        """Compress an array as `scipy.sparse` does."""
        by_column = array if kind == "csc" else array.T
        columns, rows = np.nonzero(by_column.T)
        counts = np.bincount(columns, minlength=by_column.shape[1])
        state = {
            "_shape": array.shape,
            "data": by_column[rows, columns],
            "indices": rows.astype(np.int32),
            "indptr": np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
            "maxprint": 50,
        }
        return self.make(f"scipy.sparse.{kind}", f"{kind}_matrix", state)
