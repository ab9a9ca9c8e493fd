"""What a wheel says of itself, and what it brings."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import fnevr

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]


def test_onnx_runtime_reports_nothing(tmp_path):
    """It keeps a number of the user in the home folder, and what it will send."""
    code = (
        "import numpy as np; from fnevr.faces.detector import FaceDetector;"
        "FaceDetector(1).detect(np.zeros((64, 64, 3), np.uint8))"
    )
    kept = ("XDG_CACHE_HOME", "ORT_DISABLE_TELEMETRY")
    env = {name: value for name, value in os.environ.items() if name not in kept}
    subprocess.run([sys.executable, "-c", code], env={**env, "HOME": str(tmp_path)}, check=True)
    assert list(tmp_path.rglob("*")) == []


def test_the_wheel_says_who_made_it_and_what_it_is():
    assert PROJECT["authors"] == [{"name": "The fnevr developers"}]
    assert PROJECT["license"] == "Apache-2.0"
    classifiers = PROJECT["classifiers"]
    assert len(set(classifiers)) == len(classifiers)
    assert "Typing :: Typed" in classifiers
    # An SPDX expression and a classifier of a licence exclude each other: PyPI refuses the wheel.
    assert not [text for text in classifiers if text.startswith("License ::")]
    least = PROJECT["requires-python"].removeprefix(">=")
    assert f"Programming Language :: Python :: {least}" in classifiers


def test_the_wheel_brings_its_types_and_assets():
    package = Path(fnevr.__file__).parent
    patterns = PYPROJECT["tool"]["setuptools"]["package-data"]["fnevr"]
    brought = {path for pattern in patterns for path in package.glob(pattern) if path.is_file()}
    assert package / "py.typed" in brought
    sources = {path for path in package.rglob("*.py") if "__pycache__" not in path.parts}
    others = {path for path in package.rglob("*") if path.is_file()} - sources - brought
    assert not [path for path in others if "__pycache__" not in path.parts]


def test_every_extra_installs_something():
    assert all(PROJECT["optional-dependencies"].values())
