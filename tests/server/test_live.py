"""Live sessions over the WebSocket, and where their pictures go."""

import asyncio
import io
import struct
import sys
import threading
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.exported import unchecked
from support.web import SOCKET, ended, jpeg, make_app, two_faces, until, visitor

from fnevr.animation.live import SIDE
from fnevr.config.presets import asset
from fnevr.errors import FnevrError, MediaError
from fnevr.media.image import read_image
from fnevr.media.video import open_video
from fnevr.server.live import Controls, LiveSession, decoded
from fnevr.server.sinks import (
    BOUNDARY,
    CallbackSink,
    DrawnFrame,
    Recording,
    Stream,
    VirtualCamera,
)


@pytest.fixture(scope="module")
def camera():
    return jpeg(read_image(asset("portrait.jpg")))


def picture(number, content):
    return struct.pack("<I", number) + content


def next_word(socket, kind):
    """Return the next message of a type; pictures before it are passed over."""
    while True:
        message = socket.receive()
        if message.get("text") is not None and f'"{kind}"' in message["text"]:
            return message["text"]


def next_picture(socket):
    while True:
        message = socket.receive()
        if message.get("bytes") is not None:
            (number,) = struct.unpack_from("<I", message["bytes"])
            return number, np.asarray(Image.open(io.BytesIO(message["bytes"][4:])))


def test_a_face_before_the_camera_moves_the_portrait(app, somebody, camera):
    with somebody.websocket_connect(SOCKET) as socket:
        socket.send_json({"type": "set", "portrait": "portrait"})
        next_word(socket, "ready")
        pictures = []
        for number in range(3):
            socket.send_bytes(picture(number, camera))
            got, rgb = next_picture(socket)
            assert (got, rgb.shape) == (number, (SIDE, SIDE, 3))
            pictures.append(rgb.astype(int))
        socket.send_json({"type": "neutral"})
        socket.send_bytes(picture(3, camera))
        assert '"taken":true' in next_word(socket, "neutral")
        socket.send_json({"type": "set", "sliders": {"mouth_open": 1}})
        socket.send_bytes(picture(4, camera))
        next_picture(socket)
        socket.send_bytes(picture(5, camera))
        _, opened = next_picture(socket)
        assert np.abs(opened - pictures[0]).max() > 60
        socket.send_json({"type": "set", "sliders": {"mouth_open": 9}})
        assert "mouth_open" in next_word(socket, "error")
        assert app.state.rooms.live.session.counts.most_in_flight <= 2


def test_portraits_are_switched_while_it_runs(somebody, camera):
    content = jpeg(two_faces())
    other = somebody.post("/api/pictures?name=two.jpg", content=content).json()["id"]
    with somebody.websocket_connect(SOCKET) as socket:
        socket.send_json({"type": "set", "portrait": "portrait"})
        next_word(socket, "ready")
        socket.send_bytes(picture(0, camera))
        _, first = next_picture(socket)
        socket.send_json({"type": "set", "portrait": other, "face": 1})
        next_word(socket, "ready")
        socket.send_bytes(picture(1, camera))
        _, second = next_picture(socket)
        assert second.shape == first.shape
        assert np.abs(second.astype(int) - first).mean() > 2
        socket.send_json({"type": "set", "portrait": "nobody"})
        assert "no picture 'nobody'" in next_word(socket, "error")
        socket.send_bytes(picture(2, camera))
        number, third = next_picture(socket)
        assert number == 2
        assert np.abs(third.astype(int) - second).mean() < 2


def test_pictures_that_come_too_early_are_dropped(somebody, camera):
    with somebody.websocket_connect(SOCKET) as socket:
        socket.send_bytes(picture(0, camera))
        assert '"number":0' in next_word(socket, "dropped")
        socket.send_json({"type": "set"})
        next_word(socket, "ready")
        for number in range(6):
            socket.send_bytes(picture(number, camera))
        kinds = [socket.receive() for _ in range(6)]
        drawn = [message for message in kinds if message.get("bytes") is not None]
        dropped = [message["text"] for message in kinds if message.get("text") is not None]
        assert len(drawn) >= 2
        assert all('"dropped"' in text for text in dropped)
        assert len(drawn) + len(dropped) == 6


def test_without_a_face_nothing_is_drawn(somebody):
    with somebody.websocket_connect(SOCKET) as socket:
        socket.send_json({"type": "set"})
        next_word(socket, "ready")
        socket.send_bytes(picture(7, jpeg(np.full((120, 160, 3), 90, np.uint8))))
        assert '"number":7' in next_word(socket, "unseen")


def test_a_second_session_is_refused(app, somebody, monkeypatch):
    with somebody.websocket_connect(SOCKET) as first:
        monkeypatch.setattr("fnevr.server.rooms.ENDING_S", 0.1)
        first.send_json({"type": "set"})
        next_word(first, "ready")
        with somebody.websocket_connect(SOCKET) as second:
            assert "one at a time" in next_word(second, "error")
            assert second.receive()["code"] == 4409
        monkeypatch.undo()
    with somebody.websocket_connect(SOCKET) as third:
        third.send_json({"type": "set"})
        next_word(third, "ready")
    assert app.state.rooms.live.owner is None


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (picture(0, b"no picture"), "no JPEG"),
        (picture(0, jpeg(np.zeros((1200, 1920, 3), np.uint8))), "at most 1920 x 1080"),
        (b"", "at most 4 MiB"),
        ("no json", "no JSON object"),
    ],
)
def test_what_is_no_picture_ends_the_session(somebody, message, words):
    with somebody.websocket_connect(SOCKET) as socket:
        socket.send_json({"type": "set"})
        next_word(socket, "ready")
        (socket.send_bytes if isinstance(message, bytes) else socket.send_text)(message)
        assert words in next_word(socket, "error")
        assert socket.receive()["type"] == "websocket.close"


def test_a_session_without_pictures_is_ended(tmp_path):
    app = make_app(tmp_path, live_idle_seconds=0.2)
    with visitor(app) as client, client.websocket_connect(SOCKET) as socket:
        assert "no camera picture came" in next_word(socket, "error")


def test_a_recording_is_a_job_that_is_done(somebody, camera, tmp_path):
    with somebody.websocket_connect(SOCKET) as socket:
        socket.send_json({"type": "set"})
        next_word(socket, "ready")
        socket.send_json({"type": "record", "on": True})
        next_word(socket, "recording")
        for number in range(4):
            socket.send_bytes(picture(number, camera))
            next_picture(socket)
        socket.send_json({"type": "record", "on": False})
        next_word(socket, "recorded")
    job = somebody.get("/api/jobs").json()[0]
    assert ended(somebody, job)["kind"] == "recording"
    (tmp_path / "r.mp4").write_bytes(somebody.get(job["video"]).content)
    with open_video(tmp_path / "r.mp4") as video:
        assert len(list(video)) == job["frames"] == 4


def test_other_programs_read_along(somebody, camera):
    address = somebody.get("/api/about").json()["stream"]
    assert somebody.get(address).status_code == 404
    assert somebody.get("/live/guess.mjpg").status_code == 404


def drawn(level, seconds=0.0):
    return DrawnFrame(np.full((SIDE, SIDE, 3), level, np.uint8), seconds, 0, True)


def test_a_stream_gives_the_newest_picture():
    async def read():
        stream = Stream(asyncio.get_running_loop())
        stream.write(drawn(10))
        stream.write(drawn(200))
        await asyncio.sleep(0)
        parts = stream.parts()
        first = await anext(parts)
        stream.close()
        return first, [part async for part in parts]

    first, rest = asyncio.run(read())
    head, _, body = first.partition(b"\r\n\r\n")
    assert head.startswith(b"--" + BOUNDARY.encode())
    assert f"Content-Length: {len(body) - 2}".encode() in head
    assert np.asarray(Image.open(io.BytesIO(body)))[0, 0, 0] == 200
    assert rest == []


def test_a_recording_keeps_the_times(tmp_path):
    recording = Recording(tmp_path / "r.mp4")
    for index, seconds in enumerate((5.0, 5.1, 5.5)):
        recording.write(drawn(80 * index, seconds))
    assert not (tmp_path / "r.mp4").exists()
    recording.close()
    with open_video(tmp_path / "r.mp4") as video:
        assert [float(frame.time) for frame in video] == pytest.approx([0, 0.1, 0.5], abs=0.01)


def test_a_recording_without_pictures_leaves_nothing(tmp_path):
    recording = Recording(tmp_path / "r.mp4")
    with pytest.raises(MediaError, match="no frame"):
        recording.close()
    assert list(tmp_path.iterdir()) == []


def test_a_virtual_camera_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(FnevrError, match="pip install pyvirtualcam"):
        VirtualCamera()


def test_a_virtual_camera_is_sent_pictures(monkeypatch):
    sent = []

    class Camera:
        def __init__(self, width, height, fps):
            assert (width, height) == (SIDE, SIDE)
            assert fps > 0

        def send(self, rgb):
            sent.append(rgb)

        def close(self):
            sent.append("closed")

    module = type(sys)("pyvirtualcam")
    monkeypatch.setattr(module, "Camera", Camera, raising=False)
    monkeypatch.setitem(sys.modules, "pyvirtualcam", module)
    camera = VirtualCamera()
    camera.write(drawn(9))
    camera.close()
    assert sent[0][0, 0, 0] == 9
    assert sent[1] == "closed"


def test_only_jpegs_are_decoded():
    png = io.BytesIO()
    Image.new("RGB", (8, 8)).save(png, "PNG")
    with pytest.raises(MediaError, match="no JPEG"):
        decoded(png.getvalue())


class SlowAtFirst:
    """A portrait of which every second picture takes longer."""

    def __init__(self, at_once):
        self.engine = SimpleNamespace(at_once=at_once)
        self.drawing, self.most_at_once, self.lock = 0, 0, threading.Lock()

    def performing(self, performance, regions, changes):
        del regions, changes
        with self.lock:
            self.drawing += 1
            self.most_at_once = max(self.most_at_once, self.drawing)
        time.sleep(0.1 if performance % 2 == 0 else 0.01)
        with self.lock:
            self.drawing -= 1
        if performance == 7:
            raise ZeroDivisionError
        return np.full((2, 2, 3), performance, np.uint8)


class Counting:
    """Reads from each picture how many there were before."""

    is_seen = True

    def __init__(self):
        self.count = -1

    def update(self, rgb, seconds):
        del rgb, seconds
        self.count += 1
        return self.count


def shown_by(portrait: Any, camera, count, studio: Any = None):
    """Send pictures through a session; return it, what was shown, and the errors."""
    shown: list[tuple[int, int]] = []
    errors: list[Any] = []
    with unchecked():
        session = LiveSession(studio, Controls(portrait), errors.append, errors.append)
        session.add(
            CallbackSink(lambda frame: shown.append((frame.number, int(frame.rgb[0, 0, 0]))))
        )
        for number in range(count):
            until(lambda number=number: session.offer(100 + number, camera))
        session.close()
    return session, shown, errors


@pytest.mark.parametrize("at_once", [1, 2])
def test_pictures_are_shown_in_their_order(monkeypatch, camera, at_once):
    monkeypatch.setattr("fnevr.server.live.CameraReader", Counting)
    lock, portrait = threading.Lock(), SlowAtFirst(at_once)
    one_at_a_time = SimpleNamespace(drawing=lambda: lock)
    session, shown, errors = shown_by(portrait, camera, 7, one_at_a_time)
    assert shown == [(100 + k, k) for k in range(7)]
    assert errors == []
    assert portrait.most_at_once == at_once
    assert session.counts.most_in_flight == 2


def test_what_fails_in_one_thread_holds_up_no_other(monkeypatch, camera):
    monkeypatch.setattr("fnevr.server.live.CameraReader", Counting)
    _, shown, errors = shown_by(SlowAtFirst(2), camera, 9)
    assert [type(error) for error in errors] == [ZeroDivisionError]
    assert shown == [(100 + k, k) for k in range(9) if k != 7]
