"""Where live pictures go: a recording, a stream for other programs, a camera of this machine.

Shapes: h and w of the pictures, which are all of one size.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from fnevr.animation.live import SIDE
from fnevr.errors import FnevrError
from fnevr.media.writer import VideoWriter

JPEG_QUALITY = 88
NOMINAL_RATE = 25  # frames per second; what is recorded has times of its own
BOUNDARY = "fnevr-frame"


@dataclass(frozen=True)
class DrawnFrame:
    """One live picture.

    Attributes:
        rgb: the picture.
        seconds: when its camera picture came, since the session's first.
        number: the camera picture's.
        is_seen: whether a face was seen in it.
    """

    rgb: UInt8[np.ndarray, "h w 3"]
    seconds: float
    number: int
    is_seen: bool

    @cached_property
    def jpeg(self) -> bytes:
        """The picture as JPEG, encoded once for all who want it."""
        return to_jpeg(self.rgb)


@runtime_checkable
class FrameSink(Protocol):
    """Takes live pictures, from one thread."""

    def write(self, frame: DrawnFrame) -> None:
        """Take the next picture."""

    def close(self) -> None:
        """Finish: there are no more."""


class CallbackSink:
    """Hands pictures to a function.

    Args:
        take: the function; it must not wait.
    """

    def __init__(self, take: Callable[[DrawnFrame], None]) -> None:
        self.write = take

    def close(self) -> None:
        """Have nothing to finish."""


class Recording:
    """Writes pictures to a video file, which appears when it is closed.

    Args:
        path: of the file.

    Raises:
        MediaError: if it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.num_frames = path, 0
        self._start: float | None = None
        self._stack = ExitStack()
        self._writer = self._stack.enter_context(VideoWriter(path, SIDE, SIDE, NOMINAL_RATE))

    def write(self, frame: DrawnFrame) -> None:
        """Add a picture at its time."""
        self._start = frame.seconds if self._start is None else self._start
        self._writer.write(frame.rgb, Fraction(frame.seconds - self._start).limit_denominator(1000))
        self.num_frames += 1

    def close(self) -> None:
        """Finish the file.

        Raises:
            MediaError: if there was no picture, or the file cannot be written.
        """
        self._stack.close()


class Stream:
    """Gives the newest picture to everybody who reads along, as MJPEG.

    Args:
        loop: the event loop of those who read.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._newest: DrawnFrame | None = None
        self._changed = asyncio.Event()
        self._is_closed = False

    def write(self, frame: DrawnFrame) -> None:
        """Show a picture; who is slow misses some."""
        self._tell(frame)

    def close(self) -> None:
        """End all streams."""
        self._tell(None)

    def _tell(self, frame: DrawnFrame | None) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody reads any more
            self._loop.call_soon_threadsafe(self._show, frame)

    def _show(self, frame: DrawnFrame | None) -> None:
        self._newest = frame or self._newest
        self._is_closed = self._is_closed or frame is None
        self._changed.set()
        self._changed = asyncio.Event()

    async def parts(self) -> AsyncIterator[bytes]:
        """Yield the parts of a `multipart/x-mixed-replace` answer."""
        while not self._is_closed:
            changed = self._changed
            if self._newest is not None:
                jpeg = self._newest.jpeg
                head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}"
                yield head.encode() + b"\r\n\r\n" + jpeg + b"\r\n"
            await changed.wait()


class VirtualCamera:
    """Shows pictures as a camera of this machine, which video calls can choose.

    Raises:
        FnevrError: if pyvirtualcam or its driver is missing.
    """

    def __init__(self) -> None:
        self._camera: Any = _open_camera()

    def write(self, frame: DrawnFrame) -> None:
        """Show a picture."""
        self._camera.send(np.ascontiguousarray(frame.rgb))

    def close(self) -> None:
        """Free the camera."""
        self._camera.close()


def check_virtual_camera() -> None:
    """Raise FnevrError now if a virtual camera could not be opened later."""
    _open_camera().close()


def _open_camera() -> Any:
    try:
        import pyvirtualcam  # noqa: PLC0415 - optional, and only used where it is asked for
    except ImportError as error:
        raise FnevrError(
            "a virtual camera needs pyvirtualcam, which is not installed: pip install "
            "pyvirtualcam; or let OBS read the stream whose address the page shows",
            argument="virtual_camera",
        ) from error
    try:
        return pyvirtualcam.Camera(SIDE, SIDE, NOMINAL_RATE)
    except RuntimeError as error:
        raise FnevrError(
            f"the virtual camera cannot be opened: {error}; on Linux load v4l2loopback, elsewhere "
            "install OBS",
            argument="virtual_camera",
        ) from error


def to_jpeg(rgb: UInt8[np.ndarray, "h w 3"]) -> bytes:
    """Encode a picture as JPEG."""
    encoded = io.BytesIO()
    Image.fromarray(rgb).save(encoded, "JPEG", quality=JPEG_QUALITY)
    return encoded.getvalue()
