"""Take the pictures of the page for `docs/web.md`: one of each state.

    python scripts/docs/page_pictures.py docs

Starts a server and a browser (playwright, the system's chromium). The camera is a file: the
bundled portrait, which turns and opens its mouth.
"""

from __future__ import annotations

import io
import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import typer
from page_server import opened_page, page_server
from PIL import Image

from fnevr.config.presets import asset

CAMERA_FRAMES, SHOWN_TIMES = 16, 4  # browsers show 30 pictures of such a file in a second
DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
QUALITY = 82


def main(folder: Path) -> None:
    """Write the pictures into a folder."""
    with TemporaryDirectory() as place, page_server() as (address, _):
        camera = Path(place) / "camera.mjpeg"
        camera.write_bytes(_camera(address))
        _take_all(address, camera, folder)


def _camera(address: str) -> bytes:
    frames = []
    for index in range(CAMERA_FRAMES):
        swing = math.sin(2 * math.pi * index / CAMERA_FRAMES)
        options = {"yaw_deg": 12 * swing, "sliders": {"mouth_open": max(swing, 0.0)}}
        answer = httpx.post(f"{address}api/edits", json={"options": options}, timeout=60)
        frames.append(answer.raise_for_status().content * SHOWN_TIMES)
    return b"".join(frames)


def _take_all(address: str, camera: Path, folder: Path) -> None:
    with opened_page(address, camera, viewport=DESK) as page:
        page.set_default_timeout(300_000)
        _take(page, folder / "web_consent.jpg")
        page.click("#consent button")
        _take(page, folder / "web_empty.jpg")
        page.click("#animate .over .primary")
        page.wait_for_function("document.querySelector('#animate .meter progress')?.value > 0.4")
        _take(page, folder / "web_working.jpg")
        _play(page)
        _take(page, folder / "web_animate.jpg")
        _edit(page)
        _take(page, folder / "web_edit.jpg")
        _live(page)
        _take(page, folder / "web_live.jpg")
        page.emulate_media(color_scheme="dark")
        page.click("#live >> text=Stop the camera")
        page.click('nav a[href="#animate"]')
        page.click("#animate summary")
        _take(page, folder / "web_dark.jpg")
        page.emulate_media(color_scheme="light")
        page.click("#animate summary")
        page.set_viewport_size(PHONE)
        _take_phone(page, folder / "web_phone.jpg")
        page.set_viewport_size(DESK)
        _fail(page, camera.with_name("suit.jpg"))
        _take(page, folder / "web_error.jpg")


def _play(page: Any) -> None:
    """Wait for the result, and stop where the face shows something."""
    page.wait_for_selector("#animate .screen video")
    page.wait_for_function("document.querySelector('#animate .screen video').readyState > 3")
    page.evaluate(
        """new Promise((done) => {
          const video = document.querySelector('#animate .screen video');
          video.pause();
          video.addEventListener('seeked', done, { once: true });
          video.currentTime = 2.2;
        })"""
    )


def _edit(page: Any) -> None:
    page.click('nav a[href="#edit"]')
    for name, value in (("yaw", 15), ("smile", 0.7), ("brow_left", 0.8), ("brow_right", 0.8)):
        page.fill(f"#edit input[name={name}]", str(value))
    page.wait_for_timeout(2000)


def _live(page: Any) -> None:
    page.click('nav a[href="#live"]')
    page.click("#live .over .primary")
    page.wait_for_selector("#live canvas:visible")
    page.wait_for_timeout(4000)


def _fail(page: Any, picture: Path) -> None:
    """Ask for what cannot be done: a picture without a face."""
    page.click('nav a[href="#animate"]')
    Image.open(asset("portrait.jpg")).crop((100, 260, 512, 512)).save(picture)
    page.set_input_files('#animate input[aria-label="Add a picture"]', picture)
    page.wait_for_selector("#animate >> text=No face was found")
    page.click("#animate .over .primary")
    page.wait_for_selector("#animate .screen >> text=It did not work")


def _take(page: Any, path: Path) -> None:
    page.mouse.move(0, 0)
    _screenshot(page).save(path, quality=QUALITY)


def _take_phone(page: Any, path: Path) -> None:
    """Take the three rooms side by side."""
    pictures = []
    for room in ("animate", "live", "edit"):
        page.click(f'nav a[href="#{room}"]')
        page.wait_for_timeout(500)
        page.evaluate("scrollTo(0, {})".format(260 if room == "edit" else 0))
        pictures.append(_screenshot(page))
    width, height = pictures[0].size
    sheet = Image.new("RGB", (len(pictures) * (width + 16) - 16, height), "white")
    for index, picture in enumerate(pictures):
        sheet.paste(picture, (index * (width + 16), 0))
    sheet.save(path, quality=QUALITY)


def _screenshot(page: Any) -> Image.Image:
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


if __name__ == "__main__":
    typer.run(main)
