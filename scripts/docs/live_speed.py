"""Measure a live session for `docs/web.md`: frames per second, latency, memory.

    python scripts/docs/live_speed.py DRIVER.mp4 [--seconds 120]

Starts a server of its own, and sends it the driver's frames as a page sends those of a camera: at
most two are on their way. Linux only: times and memory of the server are read from /proc.
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
from typing import Annotated

import numpy as np
import typer
import websockets
from page_server import page_server
from PIL import Image

from fnevr.media.video import open_video

LONGEST, IN_FLIGHT = 480, 2
WARM_UP_S = 10.0


def main(
    driver: Annotated[Path, typer.Argument(help="A video with a face.")],
    seconds: Annotated[float, typer.Option(help="How long to measure.")] = 120.0,
) -> None:
    """Print the measurements."""
    with open_video(driver) as video:
        pictures = [_jpeg(frame.rgb) for frame in video]
    with page_server() as (address, pid):
        live = address.replace("http", "ws", 1) + "api/live"
        asyncio.run(_measure(live, pictures, pid, seconds))


async def _measure(address: str, pictures: list[bytes], pid: int, seconds: float) -> None:
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
    socket: websockets.ClientConnection, pictures: list[bytes], seconds: float
) -> list[float]:
    """Return how long each picture was on its way, in seconds."""
    sent: dict[int, float] = {}
    latencies: list[float] = []
    number, stop = 0, time.perf_counter() + seconds
    while time.perf_counter() < stop or sent:
        while len(sent) < IN_FLIGHT and time.perf_counter() < stop:
            sent[number] = time.perf_counter()
            await socket.send(struct.pack("<I", number) + pictures[number % len(pictures)])
            number += 1
        answer = await socket.recv()
        if isinstance(answer, bytes):
            (drawn,) = struct.unpack_from("<I", answer)
            latencies.append(time.perf_counter() - sent.pop(drawn))
    return latencies


def _jpeg(rgb: np.ndarray) -> bytes:
    image = Image.fromarray(rgb)
    image.thumbnail((LONGEST, LONGEST))
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
