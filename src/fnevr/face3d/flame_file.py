"""FLAME's own model files (2020, 2023), read without running what a pickle may ask for.

The files hold a dictionary of numpy arrays, chumpy arrays and a scipy sparse matrix, pickled by
Python 2. The reader knows those few classes by name and refuses everything else; for chumpy's
and scipy's it puts in stand-ins that only keep the numbers, so neither package is needed.
"""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from fnevr.errors import CheckpointError
from fnevr.models.pickled import check_pickle

WHERE = (
    "register at https://flame.is.tue.mpg.de, accept the licence there (FLAME 2020 and 2023 are "
    "for non-commercial research; see the page for its open release), and give the path of "
    "generic_model.pkl or flame2023.pkl. The head model of the package needs no file"
)
NEEDED = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "f", "kintree_table")
NUM_JOINTS = 5
MAX_ENTRIES = 10**6  # of a sparse matrix when it is filled; FLAME's regressor has 25,115
# What numbers that do not belong together make NumPy raise.
_WRONG = (
    ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, MemoryError,
    RecursionError,
)  # fmt: skip
NUM_SHAPE, NUM_EXPRESSION = 300, 100  # of the full files; short ones have 10 and 10


def read_flame(path: str | Path) -> dict[str, Any]:
    """Read a FLAME `.pkl` file: the arguments of `HeadModel`.

    Raises:
        CheckpointError: if it is missing, asks for anything but arrays, or is not FLAME's.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"no FLAME model at '{path}'\n{WHERE}")
    content = _unpickle(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"'{path}' holds a {type(content).__name__}, wanted a dictionary")
    missing = [name for name in NEEDED if name not in content]
    if missing:
        raise CheckpointError(f"'{path}' is not a FLAME model: it lacks {missing}\n{WHERE}")
    try:
        return _build({name: _dense(content[name]) for name in NEEDED})
    except _WRONG as error:
        raise CheckpointError(f"'{path}' is not a FLAME model: {error}\n{WHERE}") from error


def _build(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    with np.errstate(over="ignore"):
        floats = {
            name: arrays[name].astype(np.float32)
            for name in ("v_template", "shapedirs", "posedirs", "J_regressor", "weights")
        }
    if arrays["f"].dtype.kind not in "iu":
        raise ValueError(f"f is {arrays['f'].dtype}, wanted whole numbers")
    bases = floats["shapedirs"]
    is_full = bases.shape[-1] >= NUM_SHAPE + NUM_EXPRESSION
    num_shape = NUM_SHAPE if is_full else bases.shape[-1] // 2
    parents = arrays["kintree_table"][0].astype(np.int64).tolist()
    if len(parents) != NUM_JOINTS:
        raise ValueError(f"it has {len(parents)} joints, wanted {NUM_JOINTS}")
    return {
        "template": floats["v_template"],
        "shape_basis": np.ascontiguousarray(bases[..., :num_shape]),
        "expression_basis": np.ascontiguousarray(bases[..., num_shape:]),
        "pose_basis": floats["posedirs"],
        "joint_regressor": floats["J_regressor"],
        "skinning_weights": floats["weights"],
        "faces": arrays["f"].astype(np.int64),
        "parents": (-1, *parents[1:]),
    }


class _Record:
    """Stand-in for an object of which only the attributes matter."""

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise pickle.UnpicklingError(f"state of {type(self).__name__} is not a dictionary")
        self.__dict__.update(state)


class _Dtype(_Record):
    """`numpy.dtype`: a kind of number and its byte order."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code = code if isinstance(code, str) else ""
        self.order = "<"

    def __setstate__(self, state: Any) -> None:
        self.order = state[1]

    def number(self) -> np.dtype:
        if re.fullmatch(r"[fiub][1248]", self.code) is None:
            raise ValueError(f"an array of {self.code!r}, wanted numbers")
        return np.dtype((">" if self.order == ">" else "<") + self.code)


class _Array(_Record):
    """`numpy.ndarray`: shape, type and bytes."""

    def __setstate__(self, state: Any) -> None:
        _, self.shape, self.dtype, self.is_fortran, self.data = state

    def dense(self) -> np.ndarray:
        flat = np.frombuffer(_bytes(self.data), self.dtype.number())
        return flat.reshape(self.shape, order="F" if self.is_fortran else "C")


def _start_array(cls: type, _shape: Any, _code: Any) -> _Array:
    """Make an array to be filled, as `numpy.core.multiarray._reconstruct` does."""
    if cls is not _Array:
        raise pickle.UnpicklingError("an array of an unknown class")
    return _Array()


def _array_of_bytes(data: Any, dtype: _Dtype, shape: Any, order: str) -> _Array:
    """Make an array of a buffer, as protocol 5 has it."""
    array = _Array()
    array.__setstate__((1, shape, dtype, order == "F", bytes(data)))
    return array


def _scalar(dtype: _Dtype, data: Any) -> np.ndarray:
    """Make a single number, as `numpy.core.multiarray.scalar` does."""
    return _array_of_bytes(_bytes(data), dtype, (), "C").dense()


class _Chumpy(_Record):
    """`chumpy.Ch`: an array `x`."""

    def dense(self) -> np.ndarray:
        return _dense(self.__dict__["x"])


class _ChumpySelect(_Record):
    """`chumpy.reordering.Select`: entries `idxs` of a flattened array."""

    def dense(self) -> np.ndarray:
        rows = _dense(self.__dict__["a"]).ravel()[_dense(self.__dict__["idxs"])]
        return rows.reshape(self.__dict__.get("preferred_shape", rows.shape))


class _ChumpyReshape(_Record):
    """`chumpy.reordering.Reshape`."""

    def dense(self) -> np.ndarray:
        return _dense(self.__dict__["a"]).reshape(self.__dict__["newshape"])


class _ChumpyTranspose(_Record):
    """`chumpy.reordering.transpose`."""

    def dense(self) -> np.ndarray:
        return np.transpose(_dense(self.__dict__["a"]), self.__dict__.get("axes"))


class _Compressed(_Record):
    """`scipy.sparse.csc_matrix` or `csr_matrix`: entries by column, or by row."""

    by_column = True

    def dense(self) -> np.ndarray:
        state = self.__dict__
        shape = tuple(int(n) for n in state["_shape"])
        rows, columns = shape if self.by_column else shape[::-1]
        counts, data = np.diff(_dense(state["indptr"])), _dense(state["data"])
        is_whole = counts.shape == (columns,) and (counts >= 0).all() and counts.sum() == len(data)
        if not is_whole or not 0 <= rows * columns <= MAX_ENTRIES:
            raise ValueError("the sparse matrix does not fit its shape")
        result = np.zeros((rows, columns))
        places = _dense(state["indices"]), np.repeat(np.arange(columns), counts)
        np.add.at(result, places, data)
        return result if self.by_column else result.T


class _CompressedRows(_Compressed):
    by_column = False


def _dense(value: Any) -> np.ndarray:
    array = value.dense() if hasattr(value, "dense") else np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"a {type(value).__name__} of {array.dtype}, wanted numbers")
    return array


def _bytes(data: Any) -> bytes:
    """Give the bytes that Python 2 wrote as a string."""
    if not isinstance(data, str | bytes):
        raise ValueError("an array of objects, wanted numbers")
    return data.encode("latin1") if isinstance(data, str) else data


def _make_record(cls: type, base: type, state: Any) -> Any:
    """Make an empty stand-in, as `copyreg._reconstructor` does for old-protocol objects."""
    if base is not object or state is not None or not issubclass(cls, _Record):
        raise pickle.UnpicklingError(f"cannot make a {cls.__name__}")
    return cls()


def _encode(text: str, encoding: str) -> bytes:
    """Give bytes that Python 3 wrote in an old protocol."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes in the encoding {encoding!r}")
    return text.encode("latin1")


_KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): dict,
    ("_codecs", "encode"): _encode,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("chumpy.ch", "Ch"): _Chumpy,
    ("chumpy.reordering", "Select"): _ChumpySelect,
    ("chumpy.reordering", "Reshape"): _ChumpyReshape,
    ("chumpy.reordering", "transpose"): _ChumpyTranspose,
}
for _builtins, _copyreg in (("__builtin__", "copy_reg"), ("builtins", "copyreg")):  # Python 2, 3
    _KNOWN[_builtins, "set"] = set
    _KNOWN[_builtins, "object"] = object
    _KNOWN[_copyreg, "_reconstructor"] = _make_record
for _core in ("numpy.core", "numpy._core"):  # before and since numpy 2
    _KNOWN[f"{_core}.multiarray", "_reconstruct"] = _start_array
    _KNOWN[f"{_core}.multiarray", "scalar"] = _scalar
    _KNOWN[f"{_core}.numeric", "_frombuffer"] = _array_of_bytes
_KNOWN |= {(f"scipy.sparse.{m}", "csc_matrix"): _Compressed for m in ("csc", "_csc")}
_KNOWN |= {(f"scipy.sparse.{m}", "csr_matrix"): _CompressedRows for m in ("csr", "_csr")}


class _ArrayUnpickler(pickle.Unpickler):
    """Reads arrays, and what chumpy and scipy wrap them in; nothing that could act."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no FLAME file needs")
        return _KNOWN[module, name]

    def persistent_load(self, pid: Any) -> NoReturn:
        raise pickle.UnpicklingError("it refers to other files")


def _unpickle(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            check_pickle(file)
            file.seek(0)
            return _ArrayUnpickler(file, encoding="latin1").load()
    # A damaged pickle may raise almost anything.
    except Exception as error:
        raise CheckpointError(
            f"'{path}' cannot be read as a FLAME model: {error}\n"
            "it is damaged, or no FLAME file; nothing in it was run. Download it again"
        ) from error
