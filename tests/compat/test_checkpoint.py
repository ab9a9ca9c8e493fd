from __future__ import annotations

import argparse
import os
import pickle
import zipfile
from collections import OrderedDict, defaultdict
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from fnevr.cli import app
from fnevr.compat import convert, export_checkpoint, load_checkpoint
from fnevr.compat.names import LAYOUTS
from fnevr.config.models import fomm_config
from fnevr.errors import CheckpointError
from fnevr.models import ARCHITECTURES, FOMM, FNeVR, load_model

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(params=["fnevr", "fomm"])
def model(request, tiny_fnevr_config, tiny_fomm_config):
    model = FNeVR(tiny_fnevr_config) if request.param == "fnevr" else FOMM(tiny_fomm_config)
    model.train()(torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32))
    return model.eval()


@pytest.fixture
def checkpoint(model, tmp_path):
    path = tmp_path / "checkpoint.pth.tar"
    export_checkpoint(model, path)
    return path


def rejected(checkpoint, model, message):
    """Check that conversion fails with a message and leaves no folder behind."""
    before = set(checkpoint.parent.iterdir())
    with pytest.raises(CheckpointError, match=message) as caught:
        convert(checkpoint, checkpoint.parent / "converted", model.config)
    assert set(checkpoint.parent.iterdir()) == before
    return str(caught.value)


def edited(checkpoint, edit):
    """Apply `edit` to the dict in the checkpoint."""
    parts = torch.load(checkpoint, weights_only=True)
    edit(parts)
    torch.save(parts, checkpoint)


@pytest.mark.parametrize(
    "layout", [row for row in LAYOUTS if row.name != "dagan"], ids=lambda layout: layout.name
)
def test_table_gives_each_of_our_tensors_one_of_the_authors_and_leaves_none(layout):
    rows = (GOLDEN / f"{layout.name}_state_dict.tsv").read_text().splitlines()[1:]
    assert len(rows) > 100
    theirs = [tuple(row.split("\t")[:2]) for row in rows]
    config = layout.config()
    if layout.optional_parts:  # Bilayer's enhancer
        config = config.model_copy(update={"num_enhancements": 4})
    with torch.device("meta"):
        ours = ARCHITECTURES[layout.architecture](config).state_dict()
    pairs = [layout.to_theirs(name) for name in ours]
    assert None not in pairs
    # DaGAN keeps its depth network in files of its own, which the golden list leaves out.
    assert sorted(pair for pair in pairs if not pair[0].startswith("depth_")) == sorted(theirs)
    assert len(set(pairs)) == len(pairs)
    assert layout.to_theirs("unknown.weight") is None


def test_there_and_back_is_exact(model, checkpoint, tmp_path):
    converted = convert(checkpoint, tmp_path / "converted", model.config)
    loaded = load_model(tmp_path / "converted")
    for name, value in model.state_dict().items():
        assert torch.equal(converted.state_dict()[name], value), name
        assert torch.equal(loaded.state_dict()[name], value), name

    export_checkpoint(loaded, tmp_path / "again.pth.tar")
    first = torch.load(checkpoint, weights_only=True)
    again = torch.load(tmp_path / "again.pth.tar", weights_only=True)
    assert first.keys() == again.keys() == {"generator", "kp_detector", "epoch"}
    for part in ("generator", "kp_detector"):
        assert first[part].keys() == again[part].keys()
        assert all(torch.equal(first[part][name], again[part][name]) for name in first[part])


def test_the_command_says_what_it_removes(tmp_path, monkeypatch, model, checkpoint):
    monkeypatch.setattr("fnevr.compat.names.Layout.config", lambda layout: model.config)
    for is_there in (False, True):
        (tmp_path / "out").mkdir(exist_ok=True)
        (tmp_path / "out" / "pose_editor.safetensors").touch()
        result = CliRunner().invoke(app, ["convert", str(checkpoint), str(tmp_path / "out")])
        assert result.exit_code == 0, result.output
        assert (tmp_path / "out" / "pose_editor.safetensors").exists() == is_there
        assert ("which was of other weights" in result.output) != is_there


def test_optimizers_and_discriminator_are_left_out(model, checkpoint, tmp_path):
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-4)
    model.train()(torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)).image.sum().backward()
    optimizer.step()
    extra = {"discriminator": {"conv.weight": torch.ones(1)}, "epoch": 99}
    edited(
        checkpoint, lambda parts: parts.update(optimizer_generator=optimizer.state_dict(), **extra)
    )
    convert(checkpoint, tmp_path / "converted", model.config)
    load_model(tmp_path / "converted")


def test_old_torch_format_loads(model, checkpoint):
    parts = torch.load(checkpoint, weights_only=True)
    torch.save(parts, checkpoint, _use_new_zipfile_serialization=False)
    load_checkpoint(checkpoint, model.config)


def test_half_precision_checkpoint_loads_into_float32(model, checkpoint):
    def halve(parts):
        for part in ("generator", "kp_detector"):
            for name, tensor in parts[part].items():
                parts[part][name] = tensor.half() if tensor.is_floating_point() else tensor

    edited(checkpoint, halve)
    loaded = load_checkpoint(checkpoint, model.config)
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}


def test_one_error_lists_all_wrong_tensors_by_the_authors_names(model, checkpoint):
    def damage(parts):
        del parts["generator"]["first.conv.bias"]
        parts["generator"]["down_blocks.0.conv.bias"] = torch.zeros(99)
        parts["generator"]["surprise"] = torch.zeros(1)
        parts["generator"]["first.norm.bias"] = 3
        parts["kp_detector"]["kp.bias"] = torch.full((3,), float("inf"))

    edited(checkpoint, damage)
    message = rejected(checkpoint, model, "5 tensors do not match")
    assert "missing: generator.first.conv.bias" in message
    assert "mis-shaped: generator.down_blocks.0.conv.bias is (99,), wanted (8,)" in message
    assert "unexpected: generator.surprise" in message
    assert "not a tensor: generator.first.norm.bias is a int" in message
    assert "not finite: kp_detector.kp.bias" in message


def test_one_missing_tensor(model, checkpoint):
    edited(checkpoint, lambda parts: parts["kp_detector"].pop("kp.weight"))
    rejected(
        checkpoint, model, r"1 tensor does not match[^\n]*\n  missing: kp_detector\.kp\.weight$"
    )


def test_one_extra_tensor(model, checkpoint):
    edited(checkpoint, lambda parts: parts["kp_detector"].update(extra=torch.ones(2)))
    rejected(checkpoint, model, r"1 tensor does not match[^\n]*\n  unexpected: kp_detector\.extra$")


def test_one_mis_shaped_tensor(model, checkpoint):
    edited(checkpoint, lambda parts: parts["kp_detector"].update({"kp.bias": torch.ones(5)}))
    rejected(checkpoint, model, r"mis-shaped: kp_detector\.kp\.bias is \(5,\), wanted \(3,\)$")


@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
def test_truncated_file(model, checkpoint, fraction, is_zip):
    parts = torch.load(checkpoint, weights_only=True)
    torch.save(parts, checkpoint, _use_new_zipfile_serialization=is_zip)
    data = checkpoint.read_bytes()
    checkpoint.write_bytes(data[: int(fraction * len(data))])
    rejected(checkpoint, model, "not a torch checkpoint, or damaged")


class Payload:
    """Pickles to a call that leaves a trace."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("zip", "refused, because loading it would run code: it asks for .*mkdir"),
        ("legacy", "refused, because loading it would run code: it asks for .*mkdir"),
        ("pickle", "not a torch checkpoint"),
    ],
)
def test_code_in_a_pickle_is_not_run(model, checkpoint, kind, message, tmp_path):
    trace = tmp_path / "trace"
    parts = {**torch.load(checkpoint, weights_only=True), "epoch": Payload(trace)}
    if kind == "pickle":
        checkpoint.write_bytes(pickle.dumps(parts))
    else:
        torch.save(parts, checkpoint, _use_new_zipfile_serialization=kind == "zip")
    rejected(checkpoint, model, message)
    assert not trace.exists()


class Settings:
    """An object of a training script."""


@pytest.mark.parametrize(
    "extra",
    [
        {"loss": np.float64(0.5), "lr": np.float32(1e-4), "epoch": np.int64(3)},
        {"history": np.arange(5.0), "names": np.array(["a", "b"])},
        {"args": argparse.Namespace(lr=0.1, device=torch.device("cpu"), ids=[1, 2])},
        {"counts": defaultdict(int, a=1), "nested": defaultdict(list, a=[np.float64(1)])},
        {"where": Path("/tmp"), "when": datetime(2020, 1, 2, tzinfo=timezone.utc)},  # noqa: UP017
    ],
    ids=lambda extra: next(iter(extra)),
)
@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
def test_what_scripts_keep_beside_the_weights_does_not_matter(model, checkpoint, extra, is_zip):
    parts = {**torch.load(checkpoint, weights_only=True), **extra}
    torch.save(parts, checkpoint, _use_new_zipfile_serialization=is_zip)
    loaded = load_checkpoint(checkpoint, model.config)
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
        lambda state: OrderedDict(
            (name, torch.nn.Parameter(t, False)) for name, t in state.items()
        ),
        lambda state: {name: tensor.double() for name, tensor in state.items()},
        lambda state: {
            name: tensor.t().contiguous().t() if tensor.ndim == 2 else tensor
            for name, tensor in state.items()
        },
    ],
    ids=["DataParallel", "parameters", "double", "strides"],
)
def test_weights_as_people_hold_them(model, checkpoint, wrap):
    def change(parts):
        for part in ("generator", "kp_detector"):
            parts[part] = wrap(parts[part])

    edited(checkpoint, change)
    loaded = load_checkpoint(checkpoint, model.config).state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(loaded[name], value) or name.endswith("num_batches_tracked"), name


def test_weights_in_a_defaultdict(model, checkpoint):
    def wrap(parts):
        parts["generator"] = defaultdict(list, parts["generator"])

    edited(checkpoint, wrap)
    load_checkpoint(checkpoint, model.config)


def test_other_objects_are_refused_without_the_advice_to_run_them(model, checkpoint):
    parts = {**torch.load(checkpoint, weights_only=True), "settings": Settings()}
    torch.save(parts, checkpoint)
    message = rejected(checkpoint, model, "would run code: it asks for '.*Settings'")
    assert "weights_only" not in message
    assert "safe_globals" not in message
    checkpoint.write_bytes(pickle.dumps(parts))
    message = rejected(checkpoint, model, "not a torch checkpoint, or damaged")
    assert "eights" not in message


def test_counts_of_batches_that_old_checkpoints_lack(model, checkpoint):
    def age(parts):
        for part in ("generator", "kp_detector"):
            for name in [name for name in parts[part] if name.endswith("num_batches_tracked")]:
                del parts[part][name]

    edited(checkpoint, age)
    loaded = load_checkpoint(checkpoint, model.config).state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(loaded[name], value) or name.endswith("num_batches_tracked"), name
    edited(checkpoint, lambda parts: parts["kp_detector"].pop("kp.bias"))
    rejected(checkpoint, model, r"1 tensor does not match[^\n]*\n  missing: kp_detector\.kp\.bias$")


@pytest.mark.parametrize(
    "data", [b"hello", b"\x80\x02", b"PK\x03\x04" + b"\0" * 100, bytes(range(256)) * 8]
)
def test_other_files(model, checkpoint, data):
    checkpoint.write_bytes(data)
    rejected(checkpoint, model, "not a torch checkpoint, or damaged")


def test_zip_of_something_else(model, checkpoint):
    with zipfile.ZipFile(checkpoint, "w") as archive:
        archive.writestr("notes.txt", "hello")
    rejected(checkpoint, model, "not a torch checkpoint, or damaged")


@pytest.mark.parametrize("content", [[1, 2], torch.ones(3), None])
def test_something_else_than_a_dict(model, checkpoint, content):
    torch.save(content, checkpoint)
    rejected(checkpoint, model, "wanted a dict of state dicts")


@pytest.mark.parametrize("part", ["generator", "kp_detector"])
def test_missing_part(model, checkpoint, part):
    edited(checkpoint, lambda parts: parts.pop(part))
    rejected(checkpoint, model, "not a checkpoint of a known model")


def test_missing_file_and_folder(model, tmp_path):
    for path in (tmp_path / "nowhere.pth", tmp_path):
        with pytest.raises(CheckpointError, match="no such checkpoint file"):
            load_checkpoint(path, model.config)


def test_config_of_another_model(checkpoint, model, tiny_fnevr_config, tiny_fomm_config):
    other = tiny_fomm_config if model.architecture == "fnevr" else tiny_fnevr_config
    with pytest.raises(CheckpointError, match=f"is a checkpoint of '{model.architecture}'"):
        load_checkpoint(checkpoint, other)


def test_default_config_is_that_of_the_released_models(tiny_fomm_config, tmp_path):
    """A tiny checkpoint does not fit it, and the error says what would."""
    export_checkpoint(FOMM(tiny_fomm_config), tmp_path / "tiny.pth")
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path / "tiny.pth")
    wanted = fomm_config().num_keypoints
    assert f"mis-shaped: kp_detector.kp.bias is (3,), wanted ({wanted},)" in str(caught.value)


def test_model_without_a_place_in_the_layout(tiny_fnevr_config, tmp_path):
    longer = tiny_fnevr_config.model_copy(
        update={"decoder": tiny_fnevr_config.decoder.model_copy(update={"widths": (8, 4, 4, 4, 4)})}
    )
    with pytest.raises(CheckpointError, match=r"no place for decoder\.blocks\.4"):
        export_checkpoint(FNeVR(longer), tmp_path / "out.pth")
    assert list(tmp_path.iterdir()) == []
