"""The graphs in the package are of the weights in the package, and draw what those draw."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fnevr.animation.source import Framing, prepare
from fnevr.config.engines import EngineName
from fnevr.config.presets import asset, resolve_model
from fnevr.geometry.keypoints import Keypoints
from fnevr.media.image import read_image
from fnevr.runtime.graphs import measured_psnr_db
from fnevr.runtime.load import load_engine
from fnevr.runtime.sessions import AUTO_PSNR_DB, choose

ENGINES: tuple[EngineName, ...] = ("onnx", "openvino")


def test_shipped_graphs_draw_what_the_shipped_weights_draw(record_property):
    folder = resolve_model("lite")
    torch_engine = load_engine(folder, engine="torch")
    (source,) = prepare(torch_engine, read_image(asset("portrait.jpg")), Framing()).sources
    moved = Keypoints(source.keypoints.positions + 0.02, 1.05 * source.keypoints.jacobians)
    exact = torch_engine.draw(source.encoded, moved)
    source_01, detail = source.encoded.image_01.numpy(), source.encoded.detail
    assert detail is not None
    arrays = {"foreground": detail.foreground.numpy(), "plate_01": detail.plate_01.numpy()}
    detail = replace(detail, **arrays)
    for name in ENGINES:
        engine = load_engine(folder, engine=name, precision="float32")
        drawn = engine.draw(engine.read_source(source_01, detail), moved)
        levels = 255 * float(np.abs(drawn - exact).max())
        record_property(f"{name}: levels of 255 that shipped graphs are from torch", levels)
        assert levels < 2
        rough = load_engine(folder, engine=name, precision="int8")
        error = rough.draw(rough.read_source(source_01, detail), moved) - exact
        psnr = -10 * float(np.log10(np.square(error).mean()))
        record_property(f"{name}, int8: PSNR in dB of shipped graphs from torch", psnr)
        assert psnr > 38


def test_the_shipped_turn_graph_turns_as_the_shipped_editor(record_property):
    folder = resolve_model("lite")
    torch_engine = load_engine(folder, engine="torch")
    (source,) = prepare(torch_engine, read_image(asset("portrait.jpg")), Framing()).sources
    angles = np.array([[20, 0, 0], [0, -15, 0], [5, 5, 10]], np.float32)
    assert torch_engine.turn is not None
    exact = torch_engine.turn(source.keypoints.expand(3), angles)
    for name in ENGINES:
        turn = load_engine(folder, engine=name, precision="float32").turn
        assert turn is not None
        found = turn(source.keypoints.expand(3), angles)
        difference = float(np.abs(found.positions - exact.positions).max())
        record_property(f"{name}: shipped turn graph from torch, positions", difference)
        assert difference < 1e-3
        assert np.abs(found.jacobians - exact.jacobians).max() < 1e-2


def test_lite_runs_on_graphs_in_eight_bits_by_itself():
    folder = resolve_model("lite")
    engine, precision = choose(folder, "cpu", "auto", "auto")
    assert engine in ENGINES
    assert precision == "int8"
    measured = measured_psnr_db(folder, "int8")
    assert measured is not None
    assert measured >= AUTO_PSNR_DB
