"""`fnevr web` as people start it, a camera for browsers, and what a page looks like to them."""

from __future__ import annotations

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
from support.web import PATIENCE_S

CAMERA_PICTURES, SHOWN_TIMES = 12, 5  # at 30 a second, the mouth opens and shuts in two
MOST_WAIT_MS = 1000 * PATIENCE_S
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


def camera_pictures(address: str) -> list[bytes]:
    """Let a server draw its portrait with a mouth that opens and shuts; the pictures are JPEGs."""
    swing = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(CAMERA_PICTURES // 2 + 1) / CAMERA_PICTURES)
    half = []
    with httpx.Client(base_url=address, timeout=PATIENCE_S) as client:
        for value in swing:
            wish = {"options": {"sliders": {"mouth_open": float(value)}}}
            half.append(client.post("/api/edits", json=wish).raise_for_status().content)
    return [*half, *half[-2:0:-1]]


def camera_file(pictures: list[bytes]) -> bytes:
    """Return a file of MJPEG, which a browser takes for its camera."""
    return b"".join(picture * SHOWN_TIMES for picture in pictures)


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
