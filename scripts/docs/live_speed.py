"""Measure a live session for `docs/web.md`: frames per second, latency, memory.

    python scripts/docs/live_speed.py DRIVER.mp4 [--seconds 120] [--browser]

Starts a server of its own, and sends it the driver's frames as a page sends those of a camera: each
is made a JPEG, at most two are on their way, and what comes back is decoded. With `--browser` the
page itself does so (playwright, the system's chromium), whose camera is a file of the driver's
frames. Linux only: times and memory of the server are read from /proc.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import statistics
import struct
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer
import websockets
from page_server import opened_page, page_server
from PIL import Image

from fnevr.media.video import open_video

LONGEST, IN_FLIGHT = 480, 2
WARM_UP_S = 10.0
SHOWN = re.compile(r"([\d.]+) frames/s · (\d+) ms")
"""What the corner of the page says, of the last 30 pictures."""


def main(
    driver: Annotated[Path, typer.Argument(help="A video with a face.")],
    seconds: Annotated[float, typer.Option(help="How long to measure.")] = 120.0,
    browser: Annotated[bool, typer.Option(help="Measure in a browser.")] = False,
) -> None:
    """Print the measurements."""
    with open_video(driver) as video:
        pictures = [_small(frame.rgb) for frame in video]
    with page_server() as (address, pid):
        if browser:
            _measure_in_browser(address, pictures, pid, seconds)
        else:
            live = address.replace("http", "ws", 1) + "api/live"
            asyncio.run(_measure(live, pictures, pid, seconds))


def _measure_in_browser(
    address: str, pictures: list[Image.Image], pid: int, seconds: float
) -> None:
    with TemporaryDirectory() as folder:
        camera = Path(folder) / "camera.mjpeg"
        camera.write_bytes(b"".join(map(_jpeg, pictures)))
        samples, memory = _samples(address, camera, pid, seconds)
    rates, latencies = zip(*samples, strict=True)
    typer.echo(
        f"in a browser: {statistics.mean(rates):.1f} frames/s over {seconds:.0f} s, median latency "
        f"{statistics.median(latencies):.0f} ms; memory {memory:.0f} MB, {_memory_mb(pid):.0f} MB "
        f"at the end; load {os.getloadavg()[0]:.1f}"
    )


def _samples(
    address: str, camera: Path, pid: int, seconds: float
) -> tuple[list[tuple[float, float]], float]:
    """Return what the page says every two seconds, and the server's memory at the start."""
    samples = []
    with opened_page(address, camera) as page:
        page.click("#consent button")
        page.click('nav a[href="#live"]')
        page.click("#live .over .primary")
        page.wait_for_selector("#live canvas:visible", timeout=60_000)
        page.wait_for_timeout(1000 * WARM_UP_S)
        memory, stop = _memory_mb(pid), time.perf_counter() + seconds
        while time.perf_counter() < stop:
            page.wait_for_timeout(2000)
            found = SHOWN.search(page.inner_text("#live"))
            assert found is not None
            samples.append((float(found[1]), float(found[2])))
    return samples, memory


async def _measure(address: str, pictures: list[Image.Image], pid: int, seconds: float) -> None:
    async with websockets.connect(address, max_size=None) as socket:
        await socket.send(json.dumps({"type": "set"}))
        while json.loads(await socket.recv())["type"] != "ready":
            continue
        await _run(socket, pictures, WARM_UP_S)
        memory, used, start = _memory_mb(pid), _cpu_s(pid), time.perf_counter()
        latencies = await _run(socket, pictures, seconds)
        took = time.perf_counter() - start
        per_frame = 1000 * (_cpu_s(pid) - used) / len(latencies)
        typer.echo(
            f"{len(latencies) / took:.1f} frames/s over {took:.0f} s, median latency "
            f"{1000 * statistics.median(latencies):.0f} ms, 95 % below "
            f"{1000 * float(np.quantile(latencies, 0.95)):.0f} ms\n"
            f"{per_frame:.0f} ms of processor time a frame; memory {memory:.0f} MB, "
            f"{_memory_mb(pid):.0f} MB at the end; load {os.getloadavg()[0]:.1f}"
        )


async def _run(
    socket: websockets.ClientConnection, pictures: list[Image.Image], seconds: float
) -> list[float]:
    """Return how long each picture was on its way, in seconds."""
    sent: dict[int, float] = {}
    latencies: list[float] = []
    number, stop = 0, time.perf_counter() + seconds
    while time.perf_counter() < stop or sent:
        while len(sent) < IN_FLIGHT and time.perf_counter() < stop:
            sent[number] = time.perf_counter()
            jpeg = _jpeg(pictures[number % len(pictures)])
            await socket.send(struct.pack("<I", number) + jpeg)
            number += 1
        answer = await socket.recv()
        if isinstance(answer, bytes):
            (drawn,) = struct.unpack_from("<I", answer)
            Image.open(io.BytesIO(answer[4:])).load()
            latencies.append(time.perf_counter() - sent.pop(drawn))
    return latencies


def _small(rgb: np.ndarray) -> Image.Image:
    image = Image.fromarray(rgb)
    image.thumbnail((LONGEST, LONGEST))
    return image


def _jpeg(image: Image.Image) -> bytes:
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=85)
    return encoded.getvalue()


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1000


if __name__ == "__main__":
    typer.run(main)
