"""The WebSocket of a live session, and the stream that other programs read.

The page sends ``{"type": "set", ...}`` (portrait, face, regions, sliders, mirror),
``{"type": "neutral"}``, ``{"type": "record", "on": true}``, and camera pictures: four bytes of a
number (little endian), then a JPEG. It gets portraits in the same form, and

- ``{"type": "ready"}`` when a portrait that was set is shown from now on,
- ``{"type": "dropped", "number": 7}`` for a picture that came too early,
- ``{"type": "unseen", "number": 7}`` for one before any face was seen,
- ``{"type": "face", "seen": false}`` when the face is lost or found,
- ``{"type": "neutral", "taken": true}``,
- ``{"type": "recording"}``, ``{"type": "recorded", "job": "..."}`` (null: nothing was recorded),
- ``{"type": "error", "error": {"message", "argument"}}``; one that ends the session closes it.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import struct
from contextlib import suppress
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, WebSocket, WebSocketDisconnect
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from starlette.websockets import WebSocketState

from fnevr.animation.regions import Regions
from fnevr.errors import FnevrError
from fnevr.server.answers import Refusal, error_json
from fnevr.server.files import BUNDLED_PICTURE, Session
from fnevr.server.jobs import Job
from fnevr.server.live import Controls, LiveSession
from fnevr.server.rooms import Rooms, rooms_of
from fnevr.server.sinks import (
    BOUNDARY,
    CallbackSink,
    DrawnFrame,
    Recording,
    Stream,
    VirtualCamera,
)
from fnevr.server.work import library_options

router = APIRouter()
NUMBER = struct.Struct("<I")
LARGEST_PICTURE = 4 << 20  # bytes of one camera picture
MAX_UNREAD = 100  # messages that wait for the page to read them
CLOSE_S = 5.0  # for the page to read the last ones
BUSY, ENDED = 4409, 4500  # codes with which a WebSocket is closed


@router.get("/live/{key}.mjpg")
async def stream(request: Request, key: str) -> StreamingResponse:
    """Show what is drawn live, as OBS and others read it."""
    live = rooms_of(request).live
    if live.owner is None or live.stream is None or live.owner.stream_key != key:
        raise Refusal(404, "nothing is live at this address: start the camera on the page first")
    media_type = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
    return StreamingResponse(
        live.stream.parts(), media_type=media_type, headers={"Cache-Control": "no-store"}
    )


@router.websocket("/api/live")
async def live(websocket: WebSocket) -> None:
    """Run one live session; a second one is refused while it runs."""
    await websocket.accept()
    owner = websocket.state.session
    try:
        async with rooms_of(websocket).live.held_by(owner):
            await _Conversation(websocket, owner).run()
    except Refusal as refusal:
        with suppress(RuntimeError, WebSocketDisconnect):  # nobody waits for it any more
            await websocket.send_json({"type": "error", **error_json(str(refusal))})
            await websocket.close(BUSY)


class _Conversation:
    """What is said over one WebSocket."""

    def __init__(self, websocket: WebSocket, owner: Session) -> None:
        self.websocket, self.owner = websocket, owner
        self.rooms: Rooms = rooms_of(websocket)
        self.loop = asyncio.get_running_loop()
        self.outgoing: asyncio.Queue[bytes | dict[str, Any]] = asyncio.Queue()
        self.session: LiveSession | None = None
        self.recording: tuple[Recording, Job] | None = None
        self.was_seen = True

    async def run(self) -> None:
        sending = asyncio.create_task(self._send())
        try:
            await self._listen()
        except FnevrError as error:
            self._fail(error)
        finally:
            if self.session is not None:
                self._stop_recording()
                await run_in_threadpool(self.session.close)
            await asyncio.sleep(0)
            self.outgoing.put_nowait({"type": "end"})
            with suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
                await asyncio.wait_for(sending, CLOSE_S)
            if self.websocket.client_state is WebSocketState.CONNECTED:
                with suppress(RuntimeError):
                    await self.websocket.close()

    async def _listen(self) -> None:
        idle_s = self.rooms.settings.limits.live_idle_seconds
        while True:
            try:
                message = await asyncio.wait_for(self.websocket.receive(), idle_s)
            except TimeoutError as error:
                raise Refusal(
                    408, f"no camera picture came for {idle_s:g} s, so the session was ended"
                ) from error
            if message["type"] == "websocket.disconnect":
                return
            if message.get("bytes") is not None:
                self._picture(message["bytes"])
            else:
                await self._word(message.get("text") or "")

    def _picture(self, data: bytes) -> None:
        if not NUMBER.size < len(data) <= LARGEST_PICTURE:
            raise Refusal(413, f"a camera picture has {len(data)} bytes; at most 4 MiB are taken")
        if self.outgoing.qsize() > MAX_UNREAD:
            raise Refusal(429, "what was drawn is not read: the session was ended")
        (number,) = NUMBER.unpack_from(data)
        if self.session is None or not self.session.offer(number, data[NUMBER.size :]):
            self._say(type="dropped", number=number)

    async def _word(self, text: str) -> None:
        try:
            word = json.loads(text)
            kind = word["type"]
        except (ValueError, TypeError, KeyError) as error:
            raise Refusal(422, "a message is no JSON object with a type") from error
        try:
            if kind == "set":
                await self._set(word)
            elif kind == "neutral" and self.session is not None:
                self.session.take_neutral(self._later("neutral", "taken"))
            elif kind == "record" and self.session is not None:
                self._record(bool(word.get("on")))
            else:
                raise Refusal(422, f"a message of the type '{kind}' means nothing here")
        except FnevrError as error:
            # What cannot be done changes nothing; the session goes on.
            self._say(type="error", **error_json(str(error), error.argument))

    async def _set(self, word: dict[str, Any]) -> None:
        """Change what is shown; what is left out stays as it is."""
        options = library_options({k: word[k] for k in ("regions", "sliders") if k in word})
        portrait = None
        if "portrait" in word or self.session is None:
            name = str(word.get("portrait", BUNDLED_PICTURE))
            upload = self.owner.find("picture", name)
            face = word.get("face")
            if face is not None and not isinstance(face, int):
                raise Refusal(422, f"the face is {face!r}, which is no number", argument="face")
            portrait = await run_in_threadpool(self.rooms.studio.live_portrait, upload.path, face)
        changes = {name: value for name, value in options.items() if value is not None}
        if "regions" in options and options["regions"] is None:
            changes["regions"] = Regions()
        if "mirror" in word:
            changes["mirror"] = bool(word["mirror"])
        if self.session is None:
            assert portrait is not None
            self._begin(Controls(portrait, **changes))
        else:
            if portrait is not None:
                changes["portrait"] = portrait
            self.session.controls = replace(self.session.controls, **changes)
        if portrait is not None:
            self._say(type="ready")

    def _begin(self, controls: Controls) -> None:
        def unseen(number: int) -> None:
            self._from_thread({"type": "unseen", "number": number})

        def failed(error: Exception) -> None:
            self.loop.call_soon_threadsafe(self._fail, error)

        self.session = LiveSession(self.rooms.studio, controls, failed, unseen)
        slot = self.rooms.live
        slot.session, slot.stream = self.session, Stream(self.loop)
        self.session.add(CallbackSink(self._drawn))
        self.session.add(slot.stream)
        if self.rooms.settings.virtual_camera:
            self.session.add(VirtualCamera())

    def _drawn(self, frame: DrawnFrame) -> None:
        if frame.is_seen != self.was_seen:
            self.was_seen = frame.is_seen
            self._from_thread({"type": "face", "seen": frame.is_seen})
        self._from_thread(NUMBER.pack(frame.number) + frame.jpeg)

    def _record(self, on: bool) -> None:
        if not on:
            self._stop_recording()
            return
        if self.recording is not None or self.session is None:
            return
        folder = self.owner.folder / secrets.token_hex(8)
        folder.mkdir(parents=True, exist_ok=True)
        job = Job(self.owner, "recording", "a live recording", folder)
        self.recording = Recording(job.video), job
        self.session.add(self.recording[0])
        self._say(type="recording")

    def _stop_recording(self) -> None:
        if self.recording is None or self.session is None:
            return
        (recording, job), self.recording = self.recording, None
        try:
            self.session.remove(recording)
        except FnevrError as error:
            job.end("failed", str(error))
            self._say(type="error", **error_json(str(error)))
            self._say(type="recorded", job=None)
            return
        job.num_done = job.total = recording.num_frames
        job.end("done")
        self.rooms.jobs.add(job)
        self._say(type="recorded", job=job.id)

    def _later(self, kind: str, name: str) -> Any:
        return lambda value: self._from_thread({"type": kind, name: value})

    def _from_thread(self, message: bytes | dict[str, Any]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self.loop.call_soon_threadsafe(self.outgoing.put_nowait, message)

    def _say(self, **message: Any) -> None:
        self.outgoing.put_nowait(message)

    def _fail(self, error: Exception) -> None:
        """Say what ends the session, and end it; what was recorded is kept."""
        self._stop_recording()
        text = str(error)
        if not isinstance(error, FnevrError):
            text = f"internal error, which is our fault: {type(error).__name__}: {error}"
        self._say(type="error", **error_json(text, getattr(error, "argument", None)))
        self._say(type="end")

    async def _send(self) -> None:
        while True:
            message = await self.outgoing.get()
            if isinstance(message, bytes):
                await self.websocket.send_bytes(message)
            elif message["type"] == "end":
                await self.websocket.close(ENDED)
                return
            else:
                await self.websocket.send_json(message)
