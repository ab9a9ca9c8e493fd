"""Exported graphs give PyTorch's frames; what is missing or damaged says so."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import contextmanager

import jaxtyping
import numpy as np
import pytest
import torch
from support.prepared import prepared_clips

from fnevr.animation.animator import Animator
from fnevr.config.folder import WEIGHTS_NAME
from fnevr.errors import CheckpointError, FnevrError
from fnevr.models import ARCHITECTURES
from fnevr.runtime import sessions
from fnevr.runtime.engine import EngineName
from fnevr.runtime.export import OPSET, export
from fnevr.runtime.graph_engine import GraphEngine
from fnevr.runtime.graphs import GRAPHS, GraphPrecision, graphs_folder, has_graphs
from fnevr.runtime.load import load_engine
from fnevr.runtime.sessions import choose_engine, start_loading

NAMES = ("lite", "fnevr")


@pytest.fixture(scope="module")
def exported(tmp_path_factory, exportable_models):
    """Folders of small models with their graphs."""
    root = tmp_path_factory.mktemp("exported")
    clips = prepared_clips(root / "clips", side=64)
    for name in NAMES:
        exportable_models[name].save_pretrained(root / f"{name}-plain")
    with unchecked():
        export(root / "lite-plain", root / "lite", "int8", clips)
        export(root / "fnevr-plain", root / "fnevr")
    return root


@contextmanager
def unchecked():
    """Leave shapes unchecked: the checker does not know the symbols of what traces a model."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


@torch.inference_mode()
def drawn(engine, count):
    """Return all that an engine makes of a source and some driving frames."""
    torch.manual_seed(1)
    side = engine.config.image_size
    source_01, driving_01 = torch.rand(1, 3, side, side), torch.rand(count, 3, side, side)
    source, features = engine.read_source(source_01)
    driving = engine.driving_keypoints(driving_01, source)
    image = engine.draw(source_01, source, driving, features)
    return source.positions, features, driving.positions, driving.jacobians, image


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_graphs_give_the_frames_of_torch(exported, name, engine, record_property):
    plain, _, _ = load_engine(exported / name, engine="torch")
    loaded, chosen, device = load_engine(exported / name, engine=engine)
    assert (chosen, device, isinstance(loaded, GraphEngine)) == (engine, "cpu", True)
    for count in (1, 3):
        expected = drawn(plain, count)
        found = drawn(loaded, count)
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.shape == theirs.shape
            torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)
        levels = ((found[-1] - expected[-1]).abs().max() * 255).item()
        record_property(f"{engine}: levels of 255 that {name} is apart from torch", levels)
        assert levels < 0.05
        assert expected[-1].std() > 1e-3


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_eight_bits_are_close_and_not_the_same(exported, engine):
    exact = drawn(load_engine(exported / "lite", engine="torch")[0], 2)[-1]
    rough = drawn(load_engine(exported / "lite", engine=engine, precision="int8")[0], 2)[-1]
    assert 0 < (rough - exact).square().mean() < 10 ** (-38 / 10)


def test_a_manifest_says_what_is_there(exported):
    expected: dict[GraphPrecision, tuple[str, ...]] = {"float32": GRAPHS, "int8": ("draw",)}
    for precision, names in expected.items():
        folder = graphs_folder(exported / "lite", precision)
        manifest = json.loads((folder / "manifest.json").read_text())
        assert tuple(manifest["files"]) == names
        assert (manifest["precision"], manifest["opset"]) == (precision, OPSET)
        assert {path.name for path in folder.iterdir()} == {
            "manifest.json",
            *(f"{name}.onnx" for name in names),
        }


def test_graphs_hold_standard_operators_alone(exported):
    onnx = pytest.importorskip("onnx")
    for path in exported.glob("*/graphs/*/*.onnx"):
        graph = onnx.load(path)
        onnx.checker.check_model(graph)
        assert {node.domain for node in graph.graph.node} == {""}
        assert b"/fnevr/" not in path.read_bytes()  # no traces of whose files made it
        assert [entry.version for entry in graph.opset_import if entry.domain == ""] == [OPSET]


def test_auto_takes_graphs_where_there_are_some(exported, monkeypatch):
    assert choose_engine(exported / "lite", "cpu", "float32") == "openvino"
    assert choose_engine(exported / "lite", "cuda", "float32") == "torch"
    assert choose_engine(exported / "lite-plain", "cpu", "float32") == "torch"
    assert choose_engine(exported / "fnevr", "cpu", "int8") == "torch"
    monkeypatch.setattr("fnevr.runtime.sessions.find_spec", lambda name: None)
    assert choose_engine(exported / "lite", "cpu", "int8") == "onnx"


def test_an_animator_runs_on_any_engine(exported):
    rng = np.random.default_rng(0)
    source, *driving = rng.integers(0, 255, (4, 64, 64, 3), np.uint8)
    frames = []
    engines: tuple[EngineName, ...] = ("torch", "onnx", "openvino")
    for engine in engines:
        animator = Animator.from_pretrained(exported / "lite", engine=engine)
        assert animator.engine == engine
        frames.append(np.array(list(animator.frames(source, driving, crop=False)), np.int64))
    for others in frames[1:]:
        assert np.abs(others - frames[0]).max() <= 1


def test_reports_say_which_engine_it_was(exported, tmp_path):
    animator = Animator.from_pretrained(exported / "lite", engine="onnx", precision="int8")
    assert (animator.engine, animator.precision) == ("onnx", "int8")


@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")  # torch's own
def test_compiled_models_give_the_same_frames(exported):
    if shutil.which("g++") is None:
        pytest.skip("needs g++")
    expected = drawn(load_engine(exported / "lite", engine="torch")[0], 1)
    with unchecked():
        found = drawn(load_engine(exported / "lite", engine="compile")[0], 1)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)


def test_bfloat16_is_close(exported):
    exact = drawn(load_engine(exported / "lite", engine="torch")[0], 1)[-1]
    rough = drawn(load_engine(exported / "lite", engine="torch", precision="bfloat16")[0], 1)[-1]
    assert 0 < (rough - exact).square().mean() < 10 ** (-38 / 10)


def test_wrong_sizes_say_so(exported, bad_argument):
    engine, _, _ = load_engine(exported / "lite", engine="onnx")
    with pytest.raises(ValueError, match="take images of 3 x 64 x 64"):
        engine.keypoints(torch.rand(1, 3, 32, 32))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"engine": "onnx", "precision": "int8"}, "no graphs of precision int8"),
        ({"engine": "openvino", "device": "cuda"}, "runs on the CPU, not on cuda"),
        ({"engine": "tensorrt"}, "needs `device='cuda'`"),
        ({"engine": "onnx", "precision": "float16"}, "float16 needs `engine='torch'` or"),
        ({"engine": "torch", "precision": "int8"}, "int8 needs `engine='onnx'` or"),
    ],
)
def test_what_an_engine_cannot_do_says_so(exported, options, words):
    with pytest.raises(FnevrError, match=words):
        load_engine(exported / "fnevr", **options)


def test_other_devices_of_onnx_runtime_say_what_to_install(exported):
    import onnxruntime  # noqa: PLC0415

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("it has CUDA")
    with pytest.raises(FnevrError, match="onnxruntime-gpu"):
        load_engine(exported / "lite", device="cuda", engine="onnx")


def copied(exported, tmp_path):
    return shutil.copytree(exported / "lite", tmp_path / "copy")


def test_graphs_of_other_weights_are_refused(exported, tmp_path):
    folder = copied(exported, tmp_path)
    weights = (folder / WEIGHTS_NAME).read_bytes()
    (folder / WEIGHTS_NAME).write_bytes(weights[:-4] + b"\0\0\0\0")
    with pytest.raises(CheckpointError, match="not of the weights beside them"):
        load_engine(folder, engine="onnx")


def test_damaged_graphs_are_refused(exported, tmp_path):
    folder = copied(exported, tmp_path)
    graph = graphs_folder(folder, "float32") / "draw.onnx"
    graph.write_bytes(graph.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match=r"draw\.onnx' is damaged"):
        load_engine(folder, engine="onnx")
    graph.unlink()
    with pytest.raises(CheckpointError, match="are damaged"):
        load_engine(folder, engine="onnx")
    (graphs_folder(folder, "float32") / "manifest.json").write_text("{}")
    assert has_graphs(folder, "float32")
    with pytest.raises(CheckpointError, match="are damaged"):
        load_engine(folder, engine="onnx")


def test_exporting_says_what_is_wrong_and_leaves_nothing(exported, tmp_path, tiny_configs):
    with pytest.raises(FnevrError, match="exists already"):
        export(exported / "lite-plain", exported / "lite")
    with pytest.raises(FnevrError, match="go together"):
        export(exported / "lite-plain", tmp_path / "out", "int8")
    with pytest.raises(FnevrError, match="wanted float32 or int8"):
        export(exported / "lite-plain", tmp_path / "out", "float16")
    config = tiny_configs["face-vid2vid"]
    ARCHITECTURES[config.architecture](config).save_pretrained(tmp_path / "turned")
    with pytest.raises(FnevrError, match="cannot be exported"):
        export(tmp_path / "turned", tmp_path / "out")
    with pytest.raises(FnevrError):
        export(exported / "lite-plain", tmp_path / "out", "int8", tmp_path / "nothing")
    assert [path.name for path in tmp_path.iterdir()] == ["turned"]


def test_graphs_can_be_loaded_beforehand(exported, monkeypatch):
    folder = exported / "lite"
    start_loading(str(folder), None, "onnx", "float32")
    with monkeypatch.context() as patched:
        patched.setattr("fnevr.runtime.sessions.read_graphs", None)  # they were read already
        early, _, _ = load_engine(folder, engine="onnx")
        with pytest.raises(TypeError):  # once
            load_engine(folder, engine="onnx")
    late, _, _ = load_engine(folder, engine="onnx")
    for ours, theirs in zip(drawn(early, 2), drawn(late, 2), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_what_is_wrong_with_graphs_loaded_beforehand_is_said_later(exported):
    start_loading("no such model", None, "auto", "float32")
    start_loading(str(exported / "lite"), "cuda", "onnx", "float32")
    start_loading(str(exported / "lite-plain"), None, "auto", "float32")
    start_loading(str(exported / "lite-plain"), "cpu", "onnx", "float32")
    with pytest.raises(CheckpointError, match="has no graphs"):
        load_engine(exported / "lite-plain", engine="onnx")
    assert not sessions._started


def test_commands_load_graphs_without_pytorch():
    code = "import sys, fnevr.runtime.sessions; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
