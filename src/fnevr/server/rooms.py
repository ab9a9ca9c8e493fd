"""What one server has, and how a request finds it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from starlette.requests import HTTPConnection

from fnevr.server.answers import Refusal
from fnevr.server.files import Session, Sessions
from fnevr.server.jobs import Jobs
from fnevr.server.live import LiveSession
from fnevr.server.settings import ServerSettings
from fnevr.server.sinks import Stream
from fnevr.server.studio import Studio

ENDING_S = 3.0  # for a live session that was left to end


@dataclass
class LiveSlot:
    """The one live session that there is room for: two would share the machine, and both lag.

    Attributes:
        owner: who has it; None: it is free.
        session: theirs, once it has begun.
        stream: its pictures, for other programs.
    """

    owner: Session | None = None
    session: LiveSession | None = None
    stream: Stream | None = None
    _taken: asyncio.Lock = field(default_factory=asyncio.Lock)

    @asynccontextmanager
    async def held_by(self, owner: Session) -> AsyncIterator[None]:
        """Have it for oneself; a session that is ending just now is waited for.

        Raises:
            Refusal: 409, if another session goes on.
        """
        try:
            await asyncio.wait_for(self._taken.acquire(), ENDING_S)
        except TimeoutError as error:
            raise Refusal(
                409,
                "a live session is running already, and this machine draws one at a time: end it "
                "first",
            ) from error
        try:
            self.owner = owner
            yield
        finally:
            self.owner = self.session = self.stream = None
            self._taken.release()


@dataclass
class Rooms:
    """All that requests work with."""

    settings: ServerSettings
    sessions: Sessions
    jobs: Jobs
    studio: Studio
    live: LiveSlot = field(default_factory=LiveSlot)


def rooms_of(connection: HTTPConnection) -> Rooms:
    """Return what the server of a request has."""
    rooms = connection.app.state.rooms
    assert isinstance(rooms, Rooms)
    return rooms
