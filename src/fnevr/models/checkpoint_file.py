"""Files of `torch.save`: read without running code or doing more work than their size allows."""

from __future__ import annotations

import pickle
import re
import struct
import warnings
import zipfile
from collections import OrderedDict
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from fnevr.errors import CheckpointError
from fnevr.media.files import atomic_path, unpacked_bytes, write_error
from fnevr.models.pickled import check_pickle

ZIP_START = b"PK\x03\x04"
NUM_PICKLES = 5  # of the format before zip files: the content is the fourth
# What damaged files make torch.load raise; it has no error class of its own.
DAMAGE = (
    RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError,
    EOFError, OSError, OverflowError, MemoryError, RecursionError, struct.error,
    zipfile.BadZipFile, pickle.UnpicklingError,
)  # fmt: skip


class _Ignored:
    """Stands for an object beside the weights; it takes any arguments and state, and keeps none."""

    def __new__(cls, *_arguments: Any, **_options: Any) -> _Ignored:
        return super().__new__(cls)

    def __init__(self, *_arguments: Any, **_options: Any) -> None:
        pass

    def __setstate__(self, _state: Any) -> None:
        pass


def _stand_ins() -> list[Any]:
    """Return harmless classes and functions under the names that checkpoints ask for.

    Training scripts keep their options, counts and dates beside the weights, as objects of Python
    and NumPy.
    """
    classes = {
        "argparse": ("Namespace",),
        "builtins": ("dict", "float", "int", "list", "object", "str", "tuple"),
        "datetime": ("date", "datetime", "timedelta", "timezone"),
        "numpy": ("dtype", "ndarray"),
        "pathlib": ("PosixPath", "PurePosixPath", "PureWindowsPath", "WindowsPath"),
        "types": ("SimpleNamespace",),
    }
    made: dict[tuple[str, str], Any] = {
        (module, name): type(name, (_Ignored,), {"__module__": module})
        for module, names in classes.items()
        for name in names
    }
    array = made["numpy", "ndarray"]
    for core in ("numpy.core.multiarray", "numpy._core.multiarray"):
        made[core, "_reconstruct"] = _function(core, "_reconstruct", array)
        made[core, "scalar"] = _function(core, "scalar", array)
    made["collections", "defaultdict"] = _function("collections", "defaultdict", OrderedDict)
    return list(made.values())


def _function(module: str, name: str, result: type) -> Any:
    """Return a function of a name that makes an empty object, whatever its arguments are."""

    def make(*_arguments: Any) -> Any:
        return result()

    make.__module__, make.__qualname__, make.__name__ = module, name, name
    return make


STAND_INS = _stand_ins()


def read_checkpoint(path: Path, remedy: str = "Fetch it again.") -> dict[Any, Any]:
    """Read what `torch.save` wrote: a dictionary of tensors and plain values.

    Args:
        path: the file.
        remedy: what to do about a damaged file, for the message.

    Raises:
        CheckpointError: if the file is missing, unsafe, damaged, or holds something else.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint file. {remedy}")
    try:
        _check(path)
        with warnings.catch_warnings(), torch.serialization.safe_globals(STAND_INS):
            # torch warns of foreign pickles and TorchScript archives before it refuses them.
            warnings.simplefilter("ignore", UserWarning)
            content = torch.load(path, map_location="cpu", weights_only=True)
    except DAMAGE as error:
        raise CheckpointError(_what_is_wrong(path, error, remedy)) from error
    if not isinstance(content, dict):
        raise CheckpointError(
            f"{path}: holds a {type(content).__name__}, wanted a dict of state dicts"
        )
    return content


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write what `torch.save` writes; the file appears when it is complete.

    Raises:
        WriteError: if it cannot be written.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            # What the system said is behind it, as PyTorch's archive could not be finished.
            raise write_error(path, error.__context__ or error) from error  # type: ignore[arg-type]


def _check(path: Path) -> None:
    """Check the pickles in a file, which has one in a zip file or several one after the other."""
    with path.open("rb") as file:
        if file.read(len(ZIP_START)) != ZIP_START:
            file.seek(0)
            for _ in range(NUM_PICKLES):
                check_pickle(file)
            return
    if unpacked_bytes(path) > path.stat().st_size:
        raise ValueError("its parts are compressed, or lie over each other, as torch never has it")
    check_pickle(BytesIO(torch._C.PyTorchFileReader(str(path)).get_record("data.pkl")))


def _what_is_wrong(path: Path, error: Exception, remedy: str) -> str:
    text = str(error)
    asked = re.search(r"GLOBAL (\S+)|function <[^>]*?([\w.]+)(?: at [^>]*)?>", text)
    if isinstance(error, pickle.UnpicklingError) and asked is not None:
        return (
            f"{path}: refused, because loading it would run code: it asks for "
            f"{(asked[1] or asked[2])!r}. A checkpoint may only hold tensors and plain values."
        )
    first = (text.strip().splitlines() or [type(error).__name__])[0]
    if "weights_only" in text or "Weights only" in text:
        # torch says how to run the code in it, which helps nobody.
        first = "it holds something else than tensors and plain values"
    return f"{path}: not a torch checkpoint, or damaged ({first}). {remedy}"
