"""What one server has, and how a request finds it."""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.requests import HTTPConnection

from fnevr.server.files import Session, Sessions
from fnevr.server.jobs import Jobs
from fnevr.server.live import LiveSession
from fnevr.server.settings import ServerSettings
from fnevr.server.sinks import Stream
from fnevr.server.studio import Studio


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

    def leave(self) -> None:
        """Make it free."""
        self.owner = self.session = self.stream = None


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
