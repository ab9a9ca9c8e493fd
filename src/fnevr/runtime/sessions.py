"""Graphs loaded into ONNX Runtime (also with TensorRT) or OpenVINO.

Importing this module does not import torch.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from fnevr.config.engines import EngineChoice, EngineName, Precision, PrecisionChoice
from fnevr.config.presets import resolve_model
from fnevr.errors import CheckpointError, FnevrError
from fnevr.openvino_graph import OpenVINOGraph, has_openvino, openvino_core
from fnevr.runtime.graphs import (
    GRAPHS,
    INPUTS,
    RANKS,
    GraphName,
    has_graphs,
    measured_psnr_db,
    read_graphs,
)

logger = logging.getLogger(__name__)


@runtime_checkable
class Run(Protocol):
    """Runs a graph."""

    def __call__(self, arrays: list[np.ndarray], at_once: int = 1) -> list[np.ndarray]:
        """Take a graph's inputs in order, give its outputs in order.

        Args:
            arrays: the inputs.
            at_once: how many threads call it at the same time.
        """
        ...


THREADS_VARIABLE = "OMP_NUM_THREADS"
AUTO_PSNR_DB = 49.0
"""PSNR between pictures in eight bits and in float32 from which "auto" takes eight bits."""

AT_ONCE = 2
"""Pictures that are drawn side by side, where there are as many cores: the layers of `lite` are
small, and two threads finish one hardly sooner than one thread."""

KEPT_BYTES = 32 * 2**20
"""Inputs of a graph from which on ONNX Runtime keeps no memory between two runs."""

LATE: tuple[GraphName, ...] = ("blend", "turn")
"""Graphs that are loaded when they first run: `blend` is small, and most commands turn no head."""


@dataclass(frozen=True)
class _Loading:
    """Graphs that a thread reads and loads."""

    contents: Future[dict[GraphName, bytes]]
    runs: dict[GraphName, Future[Run]]


_started: dict[tuple[Path, EngineName, Precision], _Loading] = {}


def choose(
    folder: Path, device: str, engine: EngineChoice, precision: PrecisionChoice
) -> tuple[EngineName, Precision]:
    """Return the engine and the precision: the quickest that are here, where they are "auto".

    By the measurements in benchmarks/RESULTS.md: on a CPU OpenVINO, if it is installed, and
    otherwise ONNX Runtime, for models that bring graphs; PyTorch for all else. Eight bits where
    the pictures are measured to be within `AUTO_PSNR_DB` of those of float32.
    """
    has_graphs_here = device == "cpu" and has_graphs(folder, "float32")
    if engine == "auto":
        if not has_graphs_here or precision in ("bfloat16", "float16"):
            engine = "torch"
        else:
            engine = "openvino" if has_openvino() else "onnx"
    if precision == "auto":
        psnr_db = measured_psnr_db(folder, "int8")
        is_close = psnr_db is not None and psnr_db >= AUTO_PSNR_DB
        precision = "int8" if engine in ("onnx", "openvino") and is_close else "float32"
    return engine, precision


def start_loading(
    model: str,
    device: str | None,
    engine: EngineChoice,
    precision: PrecisionChoice,
) -> None:
    """Load a model's graphs in a thread, for the `open_graphs` that comes next.

    Meanwhile a command finds the face of its source. Without graphs to run on the CPU nothing is
    done; what is wrong with them is said by `open_graphs`.

    Args:
        model: a preset or a model folder.
        device: "cpu", "cuda" or "mps"; None is taken for the CPU.
        engine: as `load_engine` takes it.
        precision: of the networks.
    """
    if device not in (None, "cpu"):
        return
    try:
        folder = resolve_model(model)
    except CheckpointError:
        return
    engine_name, exact = choose(folder, "cpu", engine, precision)
    if engine_name in ("onnx", "openvino"):
        if engine_name == "openvino":
            # Imports hold each other up, loading goes on beside them: so this one comes first.
            with suppress(FnevrError):
                openvino_core()
        executor = ThreadPoolExecutor(1)
        contents = executor.submit(read_graphs, folder, exact, model)

        def load(graph: GraphName) -> Run:
            return _load(contents.result()[graph], graph, engine_name, "cpu")

        runs = {graph: executor.submit(load, graph) for graph in GRAPHS if graph not in LATE}
        _started[folder, engine_name, exact] = _Loading(contents, runs)
        executor.shutdown(wait=False)


def open_graphs(
    folder: Path, engine: EngineName, device: str, precision: Precision, name: str
) -> dict[GraphName, Run]:
    """Load all graphs of a model, or take them from `start_loading`, perhaps not all loaded yet.

    Args:
        folder: of the model.
        engine: "onnx", "openvino" or "tensorrt".
        device: "cpu" or "cuda".
        precision: "float32" or "int8".
        name: what messages call the model.

    Raises:
        CheckpointError: if there are none, or they are damaged or of other weights.
        FnevrError: if the engine is not installed, or lacks what is asked for.
    """
    loading = _started.pop((folder, engine, precision), None) if device == "cpu" else None
    contents = (
        read_graphs(folder, precision, name) if loading is None else loading.contents.result()
    )
    runs: dict[GraphName, Run] = {}
    for graph, content in contents.items():
        if graph in LATE:
            runs[graph] = _when_needed(partial(_load, content, graph, engine, device))
        elif loading is None:
            runs[graph] = _load(content, graph, engine, device)
        else:
            runs[graph] = _when_loaded(loading.runs[graph])
    return runs


def num_at_once(engine: EngineName, device: str) -> int:
    """Return how many pictures an engine's graphs draw side by side sooner than one by one."""
    if device != "cpu" or engine == "tensorrt":
        return 1
    return min(AT_ONCE, _num_threads() or os.cpu_count() or 1)


def _load(content: bytes, graph: GraphName, engine: EngineName, device: str) -> Run:
    """Load a graph; what is wrong with it is said as such, when it is loaded or first run."""
    if engine not in ("onnx", "openvino", "tensorrt"):
        raise ValueError(f"the engine {engine!r} runs no graphs")
    try:
        run: Run
        if engine == "openvino":
            run = OpenVINOGraph(content, _num_threads(), any_size=graph == "blend")
        else:
            run = onnx_run(content, graph, device, tensorrt=engine == "tensorrt")
    except (FnevrError, MemoryError):
        raise
    except Exception as error:  # each engine has classes of its own for what it cannot use
        raise _unusable(graph, error) from error

    def checked(arrays: list[np.ndarray], at_once: int = 1) -> list[np.ndarray]:
        try:
            outputs = run(arrays, at_once)
        except MemoryError:
            raise
        except Exception as error:  # as above
            raise _unusable(graph, error) from error
        ranks = tuple(array.ndim for array in outputs)
        if ranks not in RANKS[graph]:
            raise _unusable(graph, f"it gives {[array.shape for array in outputs]}")
        return outputs

    return checked


def _unusable(graph: GraphName, why: object) -> CheckpointError:
    words = (str(why).strip().splitlines() or [type(why).__name__])[0]
    return CheckpointError(
        f"the model's graph '{graph}' cannot be used: {words}\n"
        "export the model again, or install fnevr again if it is the package's"
    )


def _when_loaded(future: Future[Run]) -> Run:
    def run(arrays: list[np.ndarray], at_once: int = 1) -> list[np.ndarray]:
        return future.result()(arrays, at_once)

    return run


def _when_needed(load: Callable[[], Run]) -> Run:
    load_once = cache(load)

    def run(arrays: list[np.ndarray], at_once: int = 1) -> list[np.ndarray]:
        return load_once()(arrays, at_once)

    return run


def onnx_run(graph: bytes, name: GraphName, device: str, *, tensorrt: bool = False) -> Run:
    """Load a graph into ONNX Runtime.

    Args:
        graph: content of the file.
        name: which graph it is.
        device: "cpu" or "cuda".
        tensorrt: compile it by TensorRT, which takes minutes the first time.

    Raises:
        FnevrError: if this build of ONNX Runtime lacks what is asked for.
    """
    import onnxruntime  # noqa: PLC0415 (slow)

    device_provider = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}.get(device)
    provider = "TensorrtExecutionProvider" if tensorrt else device_provider
    if provider not in onnxruntime.get_available_providers():
        engine = "tensorrt" if tensorrt else "onnx"
        raise FnevrError(
            f"{engine} on {device}: this ONNX Runtime has no {provider}; "
            "pip install onnxruntime-gpu (with CUDA, and TensorRT for that engine), or use "
            "`engine='torch'`",
            argument="engine",
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that wait would keep the cores from what runs beside: decoding, encoding.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(graph, options, providers=[provider])
    names = INPUTS[name][: len(session.get_inputs())]

    # Memory is kept for the next run, which is quicker, unless it is much.
    giving_back = onnxruntime.RunOptions()
    giving_back.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    def run(arrays: list[np.ndarray], at_once: int = 1) -> list[np.ndarray]:
        del at_once  # its threads are shared by all calls
        is_much = device == "cpu" and sum(array.nbytes for array in arrays) > KEPT_BYTES
        inputs = dict(zip(names, arrays, strict=True))
        return session.run(None, inputs, giving_back if is_much else None)

    return run


def _num_threads() -> int:
    """Return how many threads a graph may use, which is PyTorch's variable; 0: all cores."""
    value = os.environ.get(THREADS_VARIABLE, "")
    return min(int(value), os.cpu_count() or 1) if value.isdecimal() else 0
