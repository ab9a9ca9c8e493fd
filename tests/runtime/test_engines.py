"""Exported graphs give PyTorch's frames; what is missing or damaged says so."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import subprocess
import sys

import numpy as np
import pytest
from support.exported import check_operators, drawn, largest_difference, unchecked
from support.prepared import prepared_clips

from fnevr.animation.animator import Animator
from fnevr.config.engines import ENGINES, TORCH_ENGINES, EngineName, GraphPrecision
from fnevr.config.folder import WEIGHTS_NAME
from fnevr.errors import CheckpointError, FnevrError
from fnevr.models import ARCHITECTURES
from fnevr.models.pose_editor import LightweightPoseEditor
from fnevr.runtime import sessions
from fnevr.runtime.ahead import side_by_side
from fnevr.runtime.export import export
from fnevr.runtime.graphs import GRAPHS, OPSET, graphs_folder, has_graphs, measured_psnr_db
from fnevr.runtime.load import load_engine
from fnevr.runtime.sessions import choose, onnx_run, start_loading


@pytest.fixture(scope="module")
def exported(tmp_path_factory, exportable_models):
    """A small model, and the same with its graphs."""
    root = tmp_path_factory.mktemp("exported")
    clips = prepared_clips(root / "clips", side=64)
    exportable_models["lite"].save_pretrained(root / "lite-plain")
    config = exportable_models["lite"].config
    editor = LightweightPoseEditor(config.num_keypoints, config.num_face_keypoints, width=8)
    editor.save(root / "lite-plain")
    with unchecked():
        level = logging.getLogger().level
        export(root / "lite-plain", root / "lite", "int8", clips)
        assert logging.getLogger().level == level, "the quantizer's silence must end with it"
    return root


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_graphs_give_the_frames_of_torch(exported, engine, record_property):
    levels = largest_difference(exported / "lite", engine)
    record_property(f"{engine}: levels of 255 that lite is apart from torch", levels)
    assert levels < 0.05
    assert load_engine(exported / "lite", engine=engine).turn is not None


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_eight_bits_are_close_and_not_the_same(exported, engine):
    exact = drawn(load_engine(exported / "lite", engine="torch"), 2)[-1]
    rough = drawn(load_engine(exported / "lite", engine=engine, precision="int8"), 2)[-1]
    assert 0 < np.square(rough - exact).mean() < 10 ** (-38 / 10)


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
    check_operators(exported / "lite")


def test_auto_takes_graphs_where_there_are_some(exported, monkeypatch):
    lite = exported / "lite"
    assert choose(lite, "cpu", "auto", "float32") == ("openvino", "float32")
    assert choose(lite, "cuda", "auto", "auto") == ("torch", "float32")
    assert choose(lite, "cpu", "auto", "bfloat16") == ("torch", "bfloat16")
    assert choose(exported / "lite-plain", "cpu", "auto", "auto") == ("torch", "float32")
    monkeypatch.setattr("fnevr.runtime.sessions.has_openvino", lambda: False)
    assert choose(lite, "cpu", "auto", "int8") == ("onnx", "int8")


def test_auto_takes_eight_bits_where_they_are_measured_to_be_close(exported, monkeypatch):
    measured = measured_psnr_db(exported / "lite", "int8")
    assert measured is not None
    monkeypatch.setattr("fnevr.runtime.sessions.AUTO_PSNR_DB", measured - 0.1)
    assert choose(exported / "lite", "cpu", "auto", "auto") == ("openvino", "int8")
    assert choose(exported / "lite", "cpu", "onnx", "auto") == ("onnx", "int8")
    assert choose(exported / "lite", "cpu", "torch", "auto") == ("torch", "float32")
    monkeypatch.setattr("fnevr.runtime.sessions.AUTO_PSNR_DB", measured + 0.1)
    assert choose(exported / "lite", "cpu", "auto", "auto") == ("openvino", "float32")


def test_an_animator_runs_on_any_engine(exported):
    rng = np.random.default_rng(0)
    source, *driving = rng.integers(0, 255, (4, 64, 64, 3), np.uint8)
    frames = []
    engines: tuple[EngineName, ...] = ("torch", "onnx", "openvino")
    for engine in engines:
        animator = Animator.from_pretrained(exported / "lite", engine=engine, precision="float32")
        assert animator.engine.name == engine
        frames.append(np.array(list(animator.frames(source, driving, crop=False)), np.int64))
    for others in frames[1:]:
        assert np.abs(others - frames[0]).max() <= 1


@pytest.mark.parametrize("name", ["onnx", "openvino", "torch"])
def test_pictures_drawn_side_by_side_are_those_drawn_alone(exported, monkeypatch, name):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    alone = load_engine(exported / "lite", engine=name)
    many = alone.side_by_side()
    assert (alone.at_once, many.at_once) == (1, 1 if name == "torch" else 2)
    rng = np.random.default_rng(0)
    source_01, driving_01 = (rng.random((n, 3, 64, 64), np.float32) for n in (1, 6))
    source, driving = alone.read_source(source_01), alone.keypoints(driving_01)
    frames = [driving[index : index + 1] for index in range(6)]
    found = list(side_by_side(lambda frame: many.draw(source, frame), frames, many.at_once))
    for frame, picture in zip(frames, found, strict=True):
        np.testing.assert_allclose(picture, alone.draw(source, frame), atol=1e-5)


def test_one_thread_draws_one_picture_at_a_time(exported, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert load_engine(exported / "lite", engine="openvino").side_by_side().at_once == 1


def test_reports_say_which_engine_it_was(exported, tmp_path):
    animator = Animator.from_pretrained(exported / "lite", engine="onnx", precision="int8")
    assert (animator.engine.name, animator.engine.precision) == ("onnx", "int8")


@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")  # torch's own
def test_compiled_models_give_the_same_frames(exported):
    if shutil.which("g++") is None:
        pytest.skip("needs g++")
    expected = drawn(load_engine(exported / "lite", engine="torch"), 1)
    with unchecked():
        found = drawn(load_engine(exported / "lite", engine="compile"), 1)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4, rtol=1e-3)


def test_bfloat16_is_close(exported):
    exact = drawn(load_engine(exported / "lite", engine="torch"), 1)[-1]
    rough = drawn(load_engine(exported / "lite", engine="torch", precision="bfloat16"), 1)[-1]
    assert 0 < np.square(rough - exact).mean() < 10 ** (-38 / 10)


def test_wrong_sizes_say_so(exported, bad_argument):
    engine = load_engine(exported / "lite", engine="onnx")
    with pytest.raises(ValueError, match="take images of 3 x 64 x 64"):
        engine.keypoints(np.zeros((1, 3, 32, 32), np.float32))


@pytest.mark.parametrize("engine", [name for name in ENGINES if name not in TORCH_ENGINES])
def test_every_name_is_of_an_engine(exported, engine):
    """An engine loads, or says what it needs; a name that nothing runs is another error."""
    try:
        assert load_engine(exported / "lite", "cpu", engine).name == engine
    except FnevrError as error:
        assert engine in str(error)  # noqa: PT017 - either may happen


def test_other_devices_of_onnx_runtime_say_what_to_install(exported):
    import onnxruntime  # noqa: PLC0415

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("it has CUDA")
    graph = (graphs_folder(exported / "lite", "float32") / "draw.onnx").read_bytes()
    with pytest.raises(FnevrError, match="onnxruntime-gpu"):
        onnx_run(graph, "draw", "cuda")


def copied(exported, tmp_path):
    return shutil.copytree(exported / "lite", tmp_path / "copy")


def test_graphs_of_other_weights_are_refused(exported, tmp_path):
    folder = copied(exported, tmp_path)
    weights = (folder / WEIGHTS_NAME).read_bytes()
    (folder / WEIGHTS_NAME).write_bytes(weights[:-4] + b"\0\0\0\0")
    with pytest.raises(CheckpointError, match="not of the weights beside them"):
        load_engine(folder, engine="onnx")


def test_a_graph_of_another_pose_editor_is_refused(exported, tmp_path):
    folder = copied(exported, tmp_path)
    LightweightPoseEditor(5, 3, width=8).save(folder)
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


def rewritten(folder, contents=None, **changed):
    """Change a manifest, and files with their hashes."""
    graphs = graphs_folder(folder, "float32")
    values = json.loads((graphs / "manifest.json").read_text())
    for name, content in (contents or {}).items():
        (graphs / f"{name}.onnx").write_bytes(content)
        values["files"][name] = hashlib.sha256(content).hexdigest()
    (graphs / "manifest.json").write_text(json.dumps(values | changed))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"image_size": 32}, "for 32 pixels, wanted float32 of a fnevr-lite for 64"),
        ({"architecture": "fomm"}, "of a fomm for 64 pixels"),
        ({"precision": "int8"}, "are int8 of a fnevr-lite"),
        ({"opset": 99}, "of opset 99"),
    ],
)
def test_graphs_of_another_kind_are_refused(exported, tmp_path, changed, message):
    folder = copied(exported, tmp_path)
    rewritten(folder, **changed)
    with pytest.raises(CheckpointError, match=message):
        load_engine(folder, engine="onnx")


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
@pytest.mark.parametrize("kind", ["garbage", "empty", "other"])
@pytest.mark.parametrize("name", ["keypoints", "draw", "blend"])
def test_graphs_whose_hash_fits_and_whose_content_does_not(exported, tmp_path, engine, kind, name):
    folder = copied(exported, tmp_path)
    other = graphs_folder(folder, "float32") / "encode.onnx"
    content = {"garbage": b"no graph" * 9, "empty": b"", "other": other.read_bytes()}[kind]
    rewritten(folder, contents={name: content})
    with pytest.raises(CheckpointError, match=f"the model's graph '{name}' cannot be used"):
        drawn(load_engine(folder, engine=engine, precision="float32"), 2)


def test_a_model_without_weights_beside_its_graphs(exported, tmp_path):
    folder = copied(exported, tmp_path)
    (folder / WEIGHTS_NAME).unlink()
    with pytest.raises(FnevrError, match=r"cannot read '.*model\.safetensors'"):
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
        early = load_engine(folder, engine="onnx", precision="float32")
        with pytest.raises(TypeError):  # once
            load_engine(folder, engine="onnx", precision="float32")
    late = load_engine(folder, engine="onnx", precision="float32")
    for ours, theirs in zip(drawn(early, 2), drawn(late, 2), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


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
