"""The graphs in the package are of the weights in the package, and draw what those draw."""

from __future__ import annotations

import torch

from fnevr.animation.source import Framing, prepare
from fnevr.config.presets import asset, resolve_model
from fnevr.media.image import read_image
from fnevr.models import load_model
from fnevr.runtime.engine import EngineName
from fnevr.runtime.load import load_engine
from fnevr.runtime.sessions import choose_engine


def test_shipped_graphs_draw_what_the_shipped_weights_draw(record_property):
    folder = resolve_model("lite")
    model = load_model(folder)
    source = prepare(model, read_image(asset("portrait.jpg")), Framing(), "cpu")
    moved = type(source.keypoints)(
        source.keypoints.positions + 0.02, 1.05 * source.keypoints.jacobians
    )
    engines: tuple[EngineName, ...] = ("onnx", "openvino")
    with torch.inference_mode():
        exact = model.draw(source.image_01, source.keypoints, moved, source.features)
        for name in engines:
            engine, _, _ = load_engine(folder, engine=name)
            keypoints, features = engine.read_source(source.image_01)
            drawn = engine.draw(source.image_01, keypoints, moved, features)
            levels = 255 * (drawn - exact).abs().max().item()
            record_property(f"{name}: levels of 255 that shipped graphs are from torch", levels)
            assert levels < 1.5
            rough, _, _ = load_engine(folder, engine=name, precision="int8")
            error = rough.draw(source.image_01, keypoints, moved, features) - exact
            psnr = -10 * error.square().mean().log10().item()
            record_property(f"{name}, int8: PSNR in dB of shipped graphs from torch", psnr)
            assert psnr > 38


def test_lite_runs_on_graphs_by_itself():
    assert choose_engine(resolve_model("lite"), "cpu", "float32") in {"openvino", "onnx"}
    assert choose_engine(resolve_model("lite"), "cpu", "int8") in {"openvino", "onnx"}
