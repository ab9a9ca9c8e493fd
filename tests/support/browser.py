"""`fnevr web` as people start it, a camera for browsers, and what a page looks like to them."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

CAMERA_FRAMES, CAMERA_RATE = 12, 6  # the mouth opens and shuts in two seconds
MOST_WAIT_MS = 40_000
CHROMIUM_OPTIONS = (
    "--no-sandbox",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)


@contextmanager
def served(place: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a server that puts its files into a place; it is killed if it still runs."""
    environment = {**os.environ, "TMPDIR": str(place)}
    command = [sys.executable, "-m", "fnevr", "web", "--no-browser", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stderr is not None
            found = re.search(r"http://\S+", process.stderr.readline())
            assert found is not None
            yield process, found[0]
        finally:
            process.kill()


def camera_frames(address: str) -> list[np.ndarray]:
    """Let a server draw its portrait with a mouth that opens and shuts."""
    swing = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(CAMERA_FRAMES // 2 + 1) / CAMERA_FRAMES)
    half = []
    with httpx.Client(base_url=address, timeout=60) as client:
        for value in swing:
            wish = {"options": {"sliders": {"mouth_open": float(value)}}}
            jpeg = client.post("/api/edits", json=wish).raise_for_status().content
            half.append(np.asarray(Image.open(io.BytesIO(jpeg))))
    return [*half, *half[-2:0:-1]]


def write_camera(path: Path, frames: list[np.ndarray]) -> None:
    """Write the file that a browser takes for its camera: YUV4MPEG2, in 4:2:0."""
    height, width = frames[0].shape[:2]
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F{CAMERA_RATE}:1 Ip A1:1 C420jpeg\n".encode())
        for frame in frames:
            image = Image.fromarray(frame).convert("YCbCr")
            file.write(b"FRAME\n" + image.getchannel(0).tobytes())
            for channel in (1, 2):
                file.write(image.getchannel(channel).reduce(2).tobytes())


def until(page: Any, condition: str) -> None:
    """Wait for a condition; the page's own rules forbid the browser to read it as a script."""
    stop = time.monotonic() + MOST_WAIT_MS / 1000
    while not page.evaluate(condition):
        assert time.monotonic() < stop, condition
        page.wait_for_timeout(50)


def serious_faults(page: Any) -> set[tuple[str, str]]:
    """Return what axe finds: the rule, and the element."""
    axe = pytest.importorskip("axe_playwright_python", reason="axe is not installed")
    if not page.evaluate("'axe' in window"):
        page.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    return {
        (fault["id"], node["html"][:120])
        for fault in page.evaluate("axe.run().then((result) => result.violations)")
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    }
