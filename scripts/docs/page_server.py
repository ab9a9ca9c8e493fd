"""A server of the page and a browser, for scripts that measure the page or take its pictures."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright


@contextmanager
def page_server() -> Iterator[tuple[str, int]]:
    """Run `fnevr web`; give its address, which ends with a slash, and the number of its process."""
    command = [sys.executable, "-m", "fnevr", "web", "--no-browser"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            found = re.search(r"http://\S+", server.stderr.readline())
            assert found is not None
            yield found[0], server.pid
        finally:
            server.terminate()


@contextmanager
def opened_page(address: str, camera: Path | None = None, **options: Any) -> Iterator[Any]:
    """Open the page in a browser (playwright, the system's chromium).

    Args:
        address: of the server.
        camera: a file of MJPEG, which the browser takes for its camera; None for no camera.
        options: of the browser's page.
    """
    arguments = ["--no-sandbox"]
    if camera is not None:
        arguments += ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
        arguments += [f"--use-file-for-fake-video-capture={camera}"]
        options["permissions"] = ["camera"]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        # Without its content policy, so that playwright may wait for functions.
        page = browser.new_page(bypass_csp=True, **options)
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        yield page
        browser.close()
