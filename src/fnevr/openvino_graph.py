"""Graphs in OpenVINO, and a cache of compiled graphs, so that the next run starts sooner.

Compiling takes a second, reading what was compiled a quarter of that. A file of the cache holds the
SHA-256 of what follows, so that a damaged one is not used.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import sys
import threading
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from fnevr.errors import FnevrError
from fnevr.extras import how_to_install
from fnevr.media.files import atomic_path, home

logger = logging.getLogger(__name__)

Shapes = tuple[tuple[int, ...], ...]
Use = tuple[Shapes, int]
"""Shapes of the inputs, and how many calls there are at the same time."""

CACHE_VARIABLE = "FNEVR_CACHE"
MOST_FILES = 16  # of the cache, the last ones used; a model has three, and one for each size
CACHED_BYTES = 32 * 2**20  # of inputs, from which on a graph's constants are as large as those
DIGEST_BYTES = 32


class OpenVINOGraph:
    """A graph compiled for one frame now, for other numbers and sizes of frames when they come.

    Args:
        graph: content of the file.
        num_threads: that it may use; 0 for OpenVINO's own choice.
        any_size: its pictures have any size, so that nothing can be compiled before they come.

    Raises:
        FnevrError: if OpenVINO is not installed.
    """

    def __init__(self, graph: bytes, num_threads: int = 0, *, any_size: bool = False) -> None:
        self.graph, self.core = graph, openvino_core()
        self.num_threads, self.any_size = num_threads, any_size
        self.compiled: dict[Use, Any] = {}
        self.idle: dict[Use, list[Any]] = {}  # requests; a thread takes one while it runs
        self.compiling = threading.Lock()
        if not any_size:
            compiled = self._cached(None)
            shapes = tuple(tuple(graph_input.shape) for graph_input in compiled.inputs)
            self._keep((shapes, 1), compiled)

    def __call__(self, arrays: list[np.ndarray], at_once: int = 1) -> list[np.ndarray]:
        """Run it, in any thread: inputs in their order in, outputs in their order out.

        Args:
            arrays: the inputs.
            at_once: how many threads call it at the same time. Each of them takes longer than one
                alone; all together are quicker.
        """
        use = tuple(array.shape for array in arrays), at_once
        with self.compiling:
            if use not in self.compiled:
                is_large = sum(array.nbytes for array in arrays) > CACHED_BYTES
                is_kept = (self.any_size or at_once > 1) and not is_large
                self._keep(use, (self._cached if is_kept else self._compiled)(*use))
        try:
            request = self.idle[use].pop()
        except IndexError:
            request = self.compiled[use].create_infer_request()
        outputs = request.infer(arrays, share_inputs=True)  # copies
        self.idle[use].append(request)
        return list(outputs.values())

    def _keep(self, use: Use, compiled: Any) -> None:
        self.idle[use] = [compiled.create_infer_request()]
        self.compiled[use] = compiled

    def settings(self, at_once: int) -> dict[str, Any]:
        """Return OpenVINO's settings for so many calls at the same time."""
        settings: dict[str, Any] = {
            # Threads that are bound to cores wait for what else runs there: reading, encoding.
            "ENABLE_CPU_PINNING": False,
            # Otherwise processors with bfloat16 units take it unasked.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        if at_once > 1:
            num_threads = self.num_threads or os.cpu_count() or at_once
            return settings | {"NUM_STREAMS": at_once, "INFERENCE_NUM_THREADS": num_threads}
        settings["PERFORMANCE_HINT"] = "LATENCY"
        if self.num_threads:
            settings["INFERENCE_NUM_THREADS"] = self.num_threads
        return settings

    def _compiled(self, shapes: Shapes | None, at_once: int = 1) -> Any:
        """Compile for these shapes, or for one frame; static shapes are quicker."""
        network = self.core.read_model(self.graph)
        if shapes is None:
            shapes = tuple(
                tuple(1 if side.is_dynamic else side.get_length() for side in entry.partial_shape)
                for entry in network.inputs
            )
        network.reshape(dict(enumerate(list(shape) for shape in shapes)))
        if self.any_size:
            drop_identities(network)
        return self.core.compile_model(network, "CPU", self.settings(at_once))

    def _cached(self, shapes: Shapes | None, at_once: int = 1) -> Any:
        """Return the graph for these shapes, or for one frame, from the cache if it is there."""
        processor = self.core.get_property("CPU", "FULL_DEVICE_NAME")
        version = import_openvino().__version__
        settings = self.settings(at_once)
        facts = f"{version} {processor} {sorted(settings.items())} {shapes} ".encode()
        path = cache_path(hashlib.sha256(facts + self.graph).hexdigest())
        blob = None if path is None else read_blob(path)
        if blob is not None:
            with suppress(RuntimeError):  # OpenVINO's word for what it cannot use
                return self.core.import_model(io.BytesIO(blob), "CPU", settings)
        compiled = self._compiled(shapes, at_once)
        if path is not None:
            write_blob(path, compiled.export_model().getbuffer())
        return compiled


def drop_identities(network: Any) -> None:
    """Leave out products with identity matrices, which enlarge a picture to the size it has.

    Args:
        network: of static shapes, in float32: its constants are computed, which would turn weights
            of eight bits into floats.
    """
    from openvino.passes import ConstantFolding, Manager  # noqa: PLC0415 (optional, slow)

    passes = Manager()
    passes.register_pass(ConstantFolding())
    passes.run_passes(network)
    for product in network.get_ops():
        if product.get_type_name() != "MatMul":
            continue
        left, right = (product.input_value(index) for index in (0, 1))
        for factor, other in ((left, right), (right, left)):
            if _is_identity(factor.get_node()) and other.shape == product.output(0).shape:
                product.output(0).replace(other)
                break


def _is_identity(node: Any) -> bool:
    if node.get_type_name() != "Constant":
        return False
    matrix = np.squeeze(node.data)
    is_square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1]
    return is_square and np.array_equal(matrix, np.eye(len(matrix)))


def is_loaded() -> bool:
    """Return whether this process uses OpenVINO already."""
    return openvino_core.cache_info().currsize > 0


@cache
def has_openvino() -> bool:
    """Return whether OpenVINO is installed and can be loaded; where it cannot, that is said."""
    if find_spec("openvino") is None:
        return False
    try:
        openvino_core()
    except FnevrError as error:
        logger.warning("%s; ONNX Runtime is taken", error)
        return False
    return True


@cache
def openvino_core() -> Any:
    """Return OpenVINO's core: one, which lives as long as the process.

    On processors with AMX, OpenVINO gives the thread that loads it a stack for signals, and does
    not take that back when its last object goes and frees it: the next signal would end the
    process.

    Raises:
        FnevrError: if OpenVINO is not installed, or cannot be loaded.
    """
    openvino = import_openvino()
    try:
        return openvino.Core()
    except (RuntimeError, OSError, AttributeError) as error:  # a folder that is left of it
        raise _not_loadable(error) from error


def import_openvino() -> Any:
    """Import OpenVINO, which is optional.

    Raises:
        FnevrError: if it is not installed, or cannot be loaded.
    """
    # It reports each import to its makers, over the network. Nothing leaves the machine.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino  # noqa: PLC0415 (optional, slow)
    except ModuleNotFoundError as error:
        if error.name != "openvino":
            raise _not_loadable(error) from error
        raise FnevrError(
            f"OpenVINO is not here; {how_to_install('openvino')}", argument="engine"
        ) from error
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        raise _not_loadable(error) from error
    return openvino


def _not_loadable(error: Exception) -> FnevrError:
    words = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return FnevrError(
        f"OpenVINO is installed, but cannot be loaded ({words}): install it again, or use "
        "`engine='onnx'`",
        argument="engine",
    )


def cache_path(key: str) -> Path | None:
    """Return the cache's file of a key, or None where there can be no cache.

    The cache lies in $FNEVR_CACHE, otherwise in $XDG_CACHE_HOME or ~/.cache.
    """
    variable = os.environ.get(CACHE_VARIABLE) or os.environ.get("XDG_CACHE_HOME")
    try:
        folder = (Path(variable) if variable else home() / ".cache") / "fnevr" / "openvino"
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder / f"{key}.blob"


def read_blob(path: Path) -> bytes | None:
    """Return what a file of the cache holds; None if there is none, or it is damaged."""
    try:
        with path.open("rb") as file:
            digest, blob = file.read(DIGEST_BYTES), file.read()
    except OSError:
        return None
    with suppress(OSError):
        os.utime(path)  # the files that are used longest ago go first
    return blob if hashlib.sha256(blob).digest() == digest else None


def write_blob(path: Path, blob: bytes | memoryview) -> None:
    """Write a file of the cache, and remove the oldest ones; a cache that is full is no error."""
    with suppress(FnevrError, OSError):
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            file.write(hashlib.sha256(blob).digest())
            file.write(blob)
        by_age = sorted(path.parent.glob("*.blob"), key=lambda file: file.stat().st_mtime)
        for stale in by_age[:-MOST_FILES]:
            stale.unlink(missing_ok=True)
