"""The bundled models are the ones that their notice describes."""

from __future__ import annotations

import hashlib
from importlib import resources

FOLDER = resources.files("fnevr").joinpath("assets", "faces")
MAX_BYTES = 8_500_000


def models():
    return [file for file in FOLDER.iterdir() if file.name.endswith(".onnx")]


def test_notice_gives_the_licence_and_each_checksum():
    notice = FOLDER.joinpath("NOTICE").read_text(encoding="utf-8")
    assert "Apache License, Version 2.0" in notice
    assert len(models()) == 4
    for file in models():
        assert hashlib.sha256(file.read_bytes()).hexdigest() in notice
        assert f"{file.name}\n" in notice


def test_models_stay_small():
    assert sum(len(file.read_bytes()) for file in models()) < MAX_BYTES
