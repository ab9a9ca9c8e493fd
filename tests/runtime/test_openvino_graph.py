"""Compiled graphs are kept and taken up; what is damaged is compiled again."""

from __future__ import annotations

import builtins
import signal
import subprocess
import sys
import types
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fnevr import openvino_graph
from fnevr.config.presets import resolve_model
from fnevr.errors import FnevrError
from fnevr.openvino_graph import (
    OpenVINOGraph,
    cache_path,
    drop_identities,
    has_openvino,
    read_blob,
    write_blob,
)
from fnevr.runtime.sessions import choose


@pytest.fixture
def doubled():
    """A graph of y = x + x on any number of rows of three."""
    onnx = pytest.importorskip("onnx")
    of_rows = ["rows", 3]
    x, y = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, of_rows) for name in "xy"
    )
    graph = onnx.helper.make_graph([onnx.helper.make_node("Add", ["x", "x"], ["y"])], "g", [x], [y])
    opset = [onnx.helper.make_opsetid("", 20)]
    return onnx.helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FNEVR_CACHE", str(tmp_path))
    return tmp_path / "fnevr" / "openvino"


def check(graph):
    for count in (1, 4):
        rows = np.arange(3 * count, dtype=np.float32).reshape(count, 3)
        (found,) = graph([rows])
        np.testing.assert_array_equal(found, 2 * rows)


def test_what_was_compiled_is_taken_up(doubled, cache, monkeypatch):
    check(OpenVINOGraph(doubled))
    (blob,) = cache.iterdir()
    written = blob.stat()
    with monkeypatch.context() as patched:
        patched.setattr(OpenVINOGraph, "_compiled", None)  # nothing is compiled
        again = OpenVINOGraph(doubled)
    check(again)
    assert blob.stat().st_ino == written.st_ino  # not written anew
    assert blob.stat().st_mtime_ns > written.st_mtime_ns  # what was used last is kept longest


def test_a_graph_of_any_size_is_kept_for_each_size(doubled, cache, monkeypatch):
    graph = OpenVINOGraph(doubled, any_size=True)
    assert not cache.exists() or not list(cache.iterdir())
    check(graph)
    assert list(cache.iterdir())
    monkeypatch.setattr(OpenVINOGraph, "_compiled", None)  # nothing is compiled
    check(OpenVINOGraph(doubled, any_size=True))


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"", lambda b: b"x" * len(b)])
def test_a_damaged_file_is_made_anew(doubled, cache, damage):
    check(OpenVINOGraph(doubled))
    (blob,) = cache.iterdir()
    whole = blob.read_bytes()
    blob.write_bytes(damage(whole))
    assert read_blob(blob) is None
    check(OpenVINOGraph(doubled))
    assert read_blob(blob) is not None


@pytest.mark.parametrize("at_once", [1, 2])
def test_several_threads_may_call_it(doubled, cache, at_once):
    graph = OpenVINOGraph(doubled, 2)
    rows = [np.full((1, 3), number, np.float32) for number in range(200)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda row: graph([row], at_once)[0], rows))
    for row, result in zip(rows, found, strict=True):
        np.testing.assert_array_equal(result, 2 * row)
    assert len(graph.idle[((1, 3),), at_once]) <= 4
    assert len(list(cache.iterdir())) == at_once  # compiled for one call, and for two


def test_products_with_the_identity_are_left_out():
    openvino = pytest.importorskip("openvino")
    ops = pytest.importorskip("openvino.opset13")
    x = ops.parameter([1, 2, 4, 4], np.float32)
    turned = np.eye(4, dtype=np.float32)[::-1]
    product = ops.matmul(np.eye(4, dtype=np.float32), x, False, False)
    product = ops.matmul(
        ops.matmul(product, turned, False, False), np.eye(4, dtype=np.float32), False, True
    )
    network = openvino.Model([product], [x])
    drop_identities(network)
    products = [node for node in network.get_ops() if node.get_type_name() == "MatMul"]
    assert len(products) == 1
    compiled = openvino.Core().compile_model(network, "CPU")
    picture = np.arange(32, dtype=np.float32).reshape(1, 2, 4, 4)
    (found,) = compiled([picture]).values()
    np.testing.assert_array_equal(found, picture[..., ::-1])


def test_what_openvino_does_not_take_is_compiled_again(doubled, cache):
    check(OpenVINOGraph(doubled))
    (blob,) = cache.iterdir()
    write_blob(blob, b"whole, but not OpenVINO's")
    check(OpenVINOGraph(doubled))


def test_without_a_place_there_is_no_cache(doubled, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FNEVR_CACHE", str(tmp_path / "file"))
    assert cache_path("key") is None
    check(OpenVINOGraph(doubled))


def test_the_oldest_files_go(cache, monkeypatch):
    monkeypatch.setattr(openvino_graph, "MOST_FILES", 2)
    for key in "abc":
        path = cache_path(key)
        assert path is not None
        write_blob(path, key.encode())
    assert len(list(cache.glob("*.blob"))) == 2


def test_nothing_leaves_the_machine(cache):
    """OpenVINO reports each import by a process of its own, unless it is kept from it."""
    code = """
import os, sys
def look(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "os.fork", "subprocess.Popen"}:
        print(event, arguments)
        os._exit(3)
sys.addaudithook(look)
from fnevr.config.presets import resolve_model
from fnevr.runtime.load import load_engine
load_engine(resolve_model("lite"), "cpu", "openvino", "int8")
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert (result.returncode, result.stdout) == (0, ""), result.stderr


SIGNAL_AFTER_USE = """
import gc, signal
from fnevr import Animator
from fnevr.config.presets import asset
from fnevr.media.image import read_image

animator = Animator.from_pretrained("lite", engine="openvino")
animator.edit_pose(read_image(asset("portrait.jpg")), yaw_deg=5.0)
del animator
gc.collect()
received = []
signal.signal(signal.SIGALRM, lambda *_: received.append(0))
for _ in range(20):
    signal.setitimer(signal.ITIMER_REAL, 0.005)
    signal.pause()
print(len(received))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="there are no alarms on Windows")
def test_signals_are_handled_when_no_graph_is_left():
    """Processors with AMX: the stack for signals that OpenVINO set must not be freed."""
    result = subprocess.run(
        [sys.executable, "-c", SIGNAL_AFTER_USE],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (result.returncode, result.stdout.strip()) == (0, "20")


@pytest.mark.parametrize(
    "error",
    [
        ImportError("libopenvino.so.2500: cannot open shared object file"),
        OSError("invalid ELF header"),
        ModuleNotFoundError("No module named 'openvino._pyopenvino'", name="openvino._pyopenvino"),
        RuntimeError("cannot load plugins.xml"),
        AttributeError("module 'openvino' has no attribute 'Core'"),
    ],
)
def test_openvino_that_cannot_be_loaded_is_left_aside(monkeypatch, caplog, error):
    class Broken(types.ModuleType):
        """OpenVINO with a part missing."""

        @property
        def Core(self):
            raise error

    real_import = builtins.__import__

    def imported(name, *more):
        if name == "openvino" and not isinstance(error, (RuntimeError, AttributeError)):
            raise error
        return Broken("openvino") if name == "openvino" else real_import(name, *more)

    # The core of this process has to stay: see `openvino_core`.
    anew = openvino_graph.openvino_core.__wrapped__
    monkeypatch.setattr("fnevr.openvino_graph.openvino_core", anew)
    monkeypatch.setattr("fnevr.runtime.sessions.has_openvino", has_openvino.__wrapped__)
    monkeypatch.setattr("builtins.__import__", imported)
    with pytest.raises(FnevrError, match="installed, but cannot be loaded"):
        anew()
    lite = resolve_model("lite")
    assert choose(lite, "cpu", "auto", "float32") == ("onnx", "float32")
    assert choose(lite, "cpu", "openvino", "float32") == ("openvino", "float32")
    assert "ONNX Runtime is taken" in caplog.text
