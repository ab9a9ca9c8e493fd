"""Rows of a manifest, for the tests of fnevr.data."""

from __future__ import annotations

from typing import Any

from fnevr.data.manifest import ClipRow


def make_row(name="clip", identity="someone", **values):
    known: dict[str, Any] = {
        "source": "a.mp4",
        "start_s": 0.0,
        "seconds": 0.24,
        "frames": 6,
        "fps": 25.0,
    }
    known |= {"crop": (0.0, 0.0, 32.0), "face_px": 20.0, "motion": 0.1}
    return ClipRow(name=name, identity=identity, **(known | values))
