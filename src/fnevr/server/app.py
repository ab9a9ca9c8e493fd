"""The application: the page, the API, and what is cleaned up while it runs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from starlette.staticfiles import StaticFiles

from fnevr.server import api, live_api, mesh_api
from fnevr.server.access import Access
from fnevr.server.answers import answer_errors
from fnevr.server.files import Sessions
from fnevr.server.jobs import CLEANING_S, Jobs
from fnevr.server.rooms import Rooms
from fnevr.server.settings import ServerSettings
from fnevr.server.studio import Studio

PAGE = Path(__file__).parent / "page"


def create_app(settings: ServerSettings, root: Path, cleaning_s: float = CLEANING_S) -> FastAPI:
    """Make a server's application.

    Args:
        settings: what it is told.
        root: an empty folder for visitors' files, which are deleted when the server ends.
        cleaning_s: seconds between looks for what has been kept long enough.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        rooms: Rooms = app.state.rooms
        tasks = [
            asyncio.create_task(rooms.jobs.run()),
            asyncio.create_task(_clean(rooms, cleaning_s)),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await rooms.jobs.close()
            for session in sessions.all():
                sessions.forget(session)

    sessions = Sessions(root, settings.limits)
    app = FastAPI(title="fnevr", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.rooms = Rooms(settings, sessions, Jobs(settings), Studio(settings))
    app.include_router(api.router)
    app.include_router(mesh_api.router)
    app.include_router(live_api.router)
    app.mount("/", StaticFiles(directory=PAGE, html=True))
    answer_errors(app)
    app.add_middleware(Access, sessions=sessions, host=settings.host, token=settings.token)
    return app


async def _clean(rooms: Rooms, cleaning_s: float) -> None:
    """Delete what has been kept long enough, for ever."""
    while True:
        os.utime(rooms.sessions.root)  # says that the server runs
        await asyncio.sleep(cleaning_s)
        await rooms.jobs.clean()
        in_use, at_work = rooms.jobs.files_in_use(), rooms.jobs.owners()
        if rooms.live.owner is not None:
            at_work.add(rooms.live.owner.id)
        for upload in await run_in_threadpool(rooms.sessions.clean, in_use, at_work):
            rooms.studio.forget(upload.path)
