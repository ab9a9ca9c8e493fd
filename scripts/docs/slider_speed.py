"""Measure the sliders of the page for `docs/web.md`, in a browser.

    python scripts/docs/slider_speed.py [PICTURE] [--movements 30]

Starts a server and a browser (playwright, the system's chromium). Every movement is a key pressed
on a slider; its time is that from the input event until the changed picture has been painted.
"""

from __future__ import annotations

import os
import statistics
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from page_server import opened_page, page_server

SLIDERS = ("smile", "mouth_open", "yaw")
WATCH = """() => {
  const image = document.querySelector('#edit img.fit');
  window.waits = [];
  let moved = null;
  document.addEventListener('input', (event) => { moved = event.timeStamp; }, true);
  image.addEventListener('load', () => requestAnimationFrame(() => {
    const painted = new MessageChannel(); // its message comes after the frame's painting
    painted.port1.onmessage = () => {
      if (moved !== null) window.waits.push(performance.now() - moved);
      moved = null;
    };
    painted.port2.postMessage(null);
  }));
}"""


def main(
    picture: Annotated[Path | None, typer.Argument(help="None: the bundled portrait.")] = None,
    movements: Annotated[int, typer.Option(help="How many times a slider is moved.")] = 30,
) -> None:
    """Print the measurements."""
    with page_server() as (address, _):
        waits = _measure(address, picture, movements)
    typer.echo(
        f"{len(waits)} movements: median {statistics.median(waits):.0f} ms, 95 % below "
        f"{float(np.quantile(waits, 0.95)):.0f} ms, from {min(waits):.0f} to {max(waits):.0f} ms; "
        f"load {os.getloadavg()[0]:.1f}"
    )


def _measure(address: str, picture: Path | None, movements: int) -> list[float]:
    """Return how long each movement took to be seen, in milliseconds."""
    with opened_page(address) as page:
        page.click("#consent button")
        page.click('nav a[href="#edit"]')
        if picture is not None:
            page.set_input_files('#edit input[aria-label="Add a picture"]', picture)
            page.wait_for_selector(f'#edit [aria-label="Use {picture.name}"][aria-pressed=true]')
        page.wait_for_function("document.querySelector('#edit img.fit').src.startsWith('blob:')")
        page.wait_for_timeout(1000)
        page.evaluate(WATCH)
        for index in range(movements + len(SLIDERS)):
            _move(page, index)
        waits: list[float] = page.evaluate("window.waits")[len(SLIDERS) :]  # the first ones warm up
    return waits


def _move(page: Any, index: int) -> None:
    """Move one slider after the other: all of them to the right, then all of them back."""
    count = page.evaluate("window.waits.length")
    turn, which = divmod(index, len(SLIDERS))
    page.focus(f"#edit input[name={SLIDERS[which]}]")
    page.keyboard.press("ArrowLeft" if turn % 2 else "ArrowRight")
    page.wait_for_function(f"window.waits.length > {count}")
    page.wait_for_timeout(100)


if __name__ == "__main__":
    typer.run(main)
