"""The light core: what a portrait needs to move runs where PyTorch cannot be imported."""

from __future__ import annotations

import json
import pkgutil
import re
import subprocess
import sys

import pytest

import fnevr

WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # importing it raises ModuleNotFoundError
"""

# What comes with `fnevr[torch]`: networks as PyTorch runs, trains and measures them.
TORCH_PACKAGES = (
    *("compat", "cost", "evaluate", "losses", "models", "reproduce", "train"),
    "runtime.folding",
)
TORCH_MODULES = {
    *("data.augment", "data.loader", "data.pairs", "data.shards"),
    *("face3d.deca", "face3d.mesh_feature"),
    *(
        "geometry.flow",
        "geometry.grids",
        "geometry.resampling",
        "geometry.thin_plate",
        "geometry.warps",
    ),
    *("runtime.export", "runtime.precision", "runtime.quantize", "runtime.torch_engine"),
}
CORE_MODULES = {"models", "models.encoded_source", "models.pickled"}  # of those packages


def core_modules():
    names = [
        info.name.removeprefix("fnevr.")
        for info in pkgutil.walk_packages(fnevr.__path__, prefix="fnevr.")
        if info.name != "fnevr.__main__"
    ]
    return [
        name
        for name in names
        if name in CORE_MODULES
        or (
            name not in TORCH_MODULES
            and not any(f"{name}.".startswith(f"{package}.") for package in TORCH_PACKAGES)
        )
    ]


def run(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH + code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )


def test_every_module_of_the_core_imports_without_torch():
    names = core_modules()
    assert len(names) > 70
    code = """
import importlib
for name in sys.argv[1:]:
    importlib.import_module(f"fnevr.{name}")
assert sys.modules["torch"] is None
"""
    result = run(code, *names)
    assert result.returncode == 0, result.stderr


def test_what_is_said_to_need_torch_does():
    """A module that no longer needs it belongs to the core."""
    code = """
import importlib
for name in sys.argv[1:]:
    try:
        importlib.import_module(f"fnevr.{name}")
    except ModuleNotFoundError:
        continue
    print(name)
"""
    result = run(code, *sorted(TORCH_MODULES))
    assert (result.returncode, result.stdout) == (0, ""), result.stderr


def test_it_animates_edits_records_and_reconstructs(tmp_path):
    """One process runs them all, since starting takes longer than most of them."""
    code = """
import json
from fnevr.cli import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["fnevr", *arguments]
    try:
        main()
    except SystemExit as end:
        assert not end.code, arguments
"""
    from fnevr.config.presets import asset  # noqa: PLC0415

    portrait, motion = str(asset("portrait.jpg")), str(asset("motion.safetensors"))
    short, small = str(tmp_path / "short.mp4"), ["--detail", "256", "--size", "256"]
    commands = [
        ["edit", portrait, "--yaw", "15", "-o", str(tmp_path / "turned.png")],
        ["edit", portrait, "--sweep", "yaw=-5:5", "-o", str(tmp_path / "sweep.mp4"), *small],
        ["animate", "-s", portrait, "-d", motion, "-o", short, "--end", "0.4", *small],
        ["animate", "-s", portrait, "-d", short, "-o", str(tmp_path / "b.mp4"), *small],
        ["reconstruct", short, "-o", str(tmp_path / "c.mp4"), "--json", "-"],
        ["record", short, "-o", str(tmp_path / "track.safetensors")],
        ["reconstruct3d", portrait, "-o", str(tmp_path / "head.ply")],
    ]
    result = run(code, json.dumps(commands))
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["engine"] in {"onnx", "openvino"}
    assert report["precision"] == "int8"
    made = {path.name for path in tmp_path.iterdir() if path.stat().st_size > 1000}
    assert made == {
        "turned.png",
        "short.mp4",
        "sweep.mp4",
        "b.mp4",
        "c.mp4",
        "track.safetensors",
        "head.ply",
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ["animate", "--engine", "torch", "-o", "OUT/a.mp4"],
        ["animate", "--device", "mps", "-o", "OUT/a.mp4"],
        ["complexity", "--model", "lite"],
        ["convert", "FILE", "OUT/model"],
    ],
    ids=" ".join,
)
def test_what_needs_torch_says_how_to_get_it_in_one_sentence(arguments, tmp_path):
    code = """
from importlib import util
find_spec = util.find_spec
util.find_spec = lambda name, *more: None if name == "torch" else find_spec(name, *more)
from fnevr.cli import main
sys.argv = ["fnevr", *sys.argv[1:]]
main()
"""
    result = run(
        code, *(part.replace("OUT", str(tmp_path)).replace("FILE", __file__) for part in arguments)
    )
    assert result.returncode == 2
    assert "needs PyTorch" in result.stderr
    assert re.search(r"pip install .*\[(torch|train|eval|onnx)\]'", result.stderr)
    assert len(result.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
