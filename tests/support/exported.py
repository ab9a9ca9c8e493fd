"""Exported graphs under test: what they draw, beside what PyTorch draws."""

from __future__ import annotations

from contextlib import contextmanager

import jaxtyping
import numpy as np
import pytest

from fnevr.runtime.graph_engine import GraphEngine
from fnevr.runtime.graphs import OPSET
from fnevr.runtime.load import load_engine


@contextmanager
def unchecked():
    """Leave shapes unchecked: the checker does not know the symbols of what traces a model."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


def drawn(engine, count):
    """Return all that an engine makes of a source and some driving frames."""
    rng, side = np.random.default_rng(1), engine.config.image_size
    source_01, driving_01 = (rng.random((n, 3, side, side), np.float32) for n in (1, count))
    source = engine.read_source(source_01)
    driving = engine.driving_keypoints(driving_01, source)
    found = [source.keypoints.numpy().positions, np.asarray(source.features)]
    found += [driving.positions, driving.jacobians]
    if engine.turn is not None:
        turned = engine.turn(driving, np.full((count, 3), 7, np.float32))
        found += [turned.positions, turned.jacobians]
    return [*found, engine.draw(source, driving)]


def largest_difference(folder, engine):
    """Check all that graphs give against PyTorch; return by how many levels of 255 they differ."""
    plain = load_engine(folder, engine="torch")
    loaded = load_engine(folder, engine=engine, precision="float32")
    assert (loaded.name, loaded.device, isinstance(loaded, GraphEngine)) == (engine, "cpu", True)
    levels = []
    for count in (1, 3):
        expected, found = drawn(plain, count), drawn(loaded, count)
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.shape == theirs.shape
            np.testing.assert_allclose(ours, theirs, atol=1e-4, rtol=1e-3)
        assert expected[-1].std() > 1e-3
        levels.append(255 * float(np.abs(found[-1] - expected[-1]).max()))
    return max(levels)


def check_operators(folder):
    """Check that graphs hold standard operators alone, and no traces of whose files made them."""
    onnx = pytest.importorskip("onnx")
    paths = list(folder.glob("graphs/*/*.onnx"))
    assert paths
    for path in paths:
        graph = onnx.load(path)
        onnx.checker.check_model(graph)
        assert {node.domain for node in graph.graph.node} == {""}
        assert b"/fnevr/" not in path.read_bytes()
        assert [entry.version for entry in graph.opset_import if entry.domain == ""] == [OPSET]
