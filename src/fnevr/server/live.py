"""A live session: camera pictures in, portraits out, two at a time.

Each of two threads reads what a camera picture shows, and draws it. A picture that comes while two
are in the works is dropped: what is shown stays young.
"""

from __future__ import annotations

import io
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from fnevr.animation.edit import PoseEditor
from fnevr.animation.live import CameraReader
from fnevr.animation.regions import Regions
from fnevr.animation.sliders import FaceSliders
from fnevr.errors import FnevrError, MediaError
from fnevr.face3d.performance import Performance
from fnevr.media.image import DAMAGE
from fnevr.server.sinks import DrawnFrame, FrameSink
from fnevr.server.studio import Studio

MAX_IN_FLIGHT = 2
MAX_CAMERA_PIXELS = 1920 * 1080
CAMERA_FRAME_S = 1 / 25  # taken to lie before the first frame


@dataclass(frozen=True)
class Controls:
    """What can be changed while a session runs.

    Attributes:
        portrait: what is moved.
        regions: how much of what the camera sees goes over.
        sliders: an expression on top.
        mirror: the portrait moves as in a mirror.
    """

    portrait: PoseEditor
    regions: Regions = field(default_factory=Regions)
    sliders: FaceSliders = field(default_factory=FaceSliders)
    mirror: bool = True

    @cached_property
    def changes(self) -> dict[str, np.ndarray]:
        """What the sliders add to a performance, computed once."""
        if self.sliders.is_none:
            return {}
        return dict(self.sliders.changes(self.portrait.retarget))


@dataclass(frozen=True)
class _Read:
    """What a camera picture shows.

    Attributes:
        place: of the picture, counted from the session's first.
        number: its owner's.
        seconds: when it came.
        performance: what the face does; None before one is seen for the first time.
        is_seen: whether it is seen in this picture.
    """

    place: int
    number: int
    seconds: float
    performance: Performance | None
    is_seen: bool


@dataclass
class Counts:
    """What happened to the camera's pictures."""

    taken: int = 0
    dropped: int = 0
    drawn: int = 0
    most_in_flight: int = 0


@dataclass
class _Sinks:
    """Where pictures go; changed while they come."""

    members: list[FrameSink] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, frame: DrawnFrame) -> None:
        with self.lock:
            for sink in self.members:
                sink.write(frame)


class LiveSession:
    """Draws a portrait as somebody before a camera moves.

    Args:
        studio: has the model.
        controls: to begin with.
        on_error: is told what goes wrong in the threads.
        on_unseen: is told the number of a picture that nothing can be drawn for, because no face
            has been seen yet.
    """

    def __init__(
        self,
        studio: Studio,
        controls: Controls,
        on_error: Callable[[Exception], None],
        on_unseen: Callable[[int], None],
    ) -> None:
        self.controls, self.counts = controls, Counts()
        self._studio, self._on_error, self._on_unseen = studio, on_error, on_unseen
        self._sinks = _Sinks()
        self._in_flight = 0
        self._lock = threading.Lock()
        self._pictures: queue.Queue[tuple[int, bytes, float] | None] = queue.Queue()
        self._take_neutral: Callable[[bool], None] | None = None
        self._start = time.monotonic()
        self._reading = threading.Lock()
        self._num_read, self._last_seconds = 0, -CAMERA_FRAME_S
        self._reader, self._is_mirrored = CameraReader(), controls.mirror
        self._num_shown, self._shown = 0, threading.Condition()
        self._threads = [
            threading.Thread(target=self._running, daemon=True) for _ in range(MAX_IN_FLIGHT)
        ]
        for thread in self._threads:
            thread.start()

    def offer(self, number: int, jpeg: bytes) -> bool:
        """Take a camera picture, or drop it.

        Args:
            number: its owner's.
            jpeg: the picture.

        Returns:
            Whether it was taken.
        """
        with self._lock:
            if self._in_flight >= MAX_IN_FLIGHT:
                self.counts.dropped += 1
                return False
            self._in_flight += 1
            self.counts.taken += 1
            self.counts.most_in_flight = max(self.counts.most_in_flight, self._in_flight)
        self._pictures.put((number, jpeg, time.monotonic() - self._start))
        return True

    def take_neutral(self, tell: Callable[[bool], None]) -> None:
        """Take what the face does in the next picture for its neutral look.

        Args:
            tell: whether there was a face.
        """
        self._take_neutral = tell

    def add(self, sink: FrameSink) -> None:
        """Send pictures there too."""
        with self._sinks.lock:
            self._sinks.members.append(sink)

    def remove(self, sink: FrameSink) -> None:
        """Send no more pictures there, and finish it; one that is not there is left alone.

        Raises:
            FnevrError: if it cannot be finished.
        """
        with self._sinks.lock:
            if sink not in self._sinks.members:
                return
            self._sinks.members.remove(sink)
        sink.close()

    def close(self) -> None:
        """End the threads, and finish all sinks."""
        self._pictures.put(None)
        for thread in self._threads:
            thread.join()
        for sink in list(self._sinks.members):
            try:
                self.remove(sink)
            except FnevrError as error:
                self._on_error(error)

    def _running(self) -> None:
        try:
            while (read := self._read_next()) is not None:
                with self._shown_after_others(read) as show:
                    if read.performance is None:
                        self._on_unseen(read.number)
                    else:
                        show.append(self._drawn(read, read.performance))
        except Exception as error:  # noqa: BLE001 - told to who opened the session
            self._on_error(error)

    def _read_next(self) -> _Read | None:
        """Read the next picture: by one thread at a time, for a face is followed through them.

        Returns:
            None when the session ends.
        """
        with self._reading:
            picture = self._pictures.get()
            if picture is None:
                self._pictures.put(None)  # for the other threads
                return None
            number, jpeg, seconds = picture
            performance = self._performance(jpeg, seconds)
            read = _Read(self._num_read, number, seconds, performance, self._reader.is_seen)
            self._num_read += 1
            return read

    def _performance(self, jpeg: bytes, seconds: float) -> Performance | None:
        """Read what the face does; None before one is seen for the first time."""
        rgb = decoded(jpeg)
        if self._is_mirrored != self.controls.mirror:
            self._reader, self._is_mirrored = CameraReader(), self.controls.mirror
        if self._is_mirrored:
            rgb = np.ascontiguousarray(rgb[:, ::-1])
        performance = self._reader.update(rgb, seconds - self._last_seconds)
        self._last_seconds = seconds
        tell, self._take_neutral = self._take_neutral, None
        if tell is not None:
            tell(self._reader.take_neutral())
        return performance

    def _drawn(self, read: _Read, performance: Performance) -> DrawnFrame:
        controls = self.controls
        draws_beside = controls.portrait.engine.at_once >= MAX_IN_FLIGHT
        with nullcontext() if draws_beside else self._studio.drawing():
            rgb = controls.portrait.performing(performance, controls.regions, controls.changes)
        return DrawnFrame(rgb, read.seconds, read.number, read.is_seen)

    @contextmanager
    def _shown_after_others(self, read: _Read) -> Iterator[list[DrawnFrame]]:
        """Send what is drawn of a picture to the sinks after those that came before it.

        The picture makes room for another one then, whether anything was drawn of it or not.
        """
        drawn: list[DrawnFrame] = []
        try:
            yield drawn
        finally:
            with self._shown:
                self._shown.wait_for(lambda: self._num_shown == read.place)
                self._leave()
                try:
                    for frame in drawn:
                        self.counts.drawn += 1
                        self._sinks.write(frame)
                finally:
                    self._num_shown += 1
                    self._shown.notify_all()

    def _leave(self) -> None:
        with self._lock:
            self._in_flight -= 1


def decoded(jpeg: bytes) -> UInt8[np.ndarray, "H W 3"]:
    """Decode a camera picture.

    Raises:
        MediaError: if it is no JPEG, or has more than 1920 x 1080 pixels.
    """
    try:
        image = Image.open(io.BytesIO(jpeg), formats=["JPEG"])
        if image.width * image.height > MAX_CAMERA_PIXELS:
            raise MediaError(
                f"a camera picture has {image.width} x {image.height} pixels; at most 1920 x 1080 "
                "are taken"
            )
        return np.asarray(image.convert("RGB"))
    except DAMAGE as error:
        raise MediaError(f"a camera picture is no JPEG that can be read ({error})") from error
