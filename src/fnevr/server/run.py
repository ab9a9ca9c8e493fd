"""Start a server: a port, an address to open, a browser."""

from __future__ import annotations

import secrets
import shutil
import socket
import threading
import time
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

import uvicorn

from fnevr.errors import FnevrError
from fnevr.server.app import create_app
from fnevr.server.settings import LOOPBACK, ServerSettings
from fnevr.server.sinks import check_virtual_camera

MAX_MESSAGE = 8 << 20  # bytes of a WebSocket's message
SHUTDOWN_S = 3
PREFIX = "fnevr-web-"  # of the folders of visitors' files
ABANDONED_S = 600.0  # a server that runs touches its folder more often


def serve(settings: ServerSettings, port: int, browser: bool, say: Callable[[str], None]) -> None:
    """Serve until interrupted.

    Args:
        settings: what the server is told. A host that others reach gets a token if it has none.
        port: that is listened on; 0 takes a free one.
        browser: open the page.
        say: is told the address.

    Raises:
        FnevrError: if the address cannot be listened on, or there is no virtual camera.
    """
    if settings.virtual_camera:
        check_virtual_camera()
    if settings.token is None and settings.host not in LOOPBACK:
        settings = settings.model_copy(update={"token": secrets.token_urlsafe(16)})
    listener = _listen(settings.host, port)
    remove_abandoned(Path(gettempdir()))
    with listener, TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as folder:
        address = address_of(settings, listener.getsockname()[1])
        say(address)
        config = uvicorn.Config(
            create_app(settings, Path(folder)),
            log_level="warning",
            ws_max_size=MAX_MESSAGE,
            ws_per_message_deflate=False,  # pictures are compressed already
            timeout_graceful_shutdown=SHUTDOWN_S,
        )
        if browser:
            threading.Timer(0.5, webbrowser.open, [address]).start()
        uvicorn.Server(config).run(sockets=[listener])


def remove_abandoned(place: Path) -> None:
    """Delete the folders of servers that were killed.

    Args:
        place: the system's place for temporary files.
    """
    for folder in place.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > ABANDONED_S:
                shutil.rmtree(folder, ignore_errors=True)


def address_of(settings: ServerSettings, port: int) -> str:
    """Return what to type into a browser."""
    host = settings.host
    if host in ("0.0.0.0", "::"):
        host = socket.gethostname()
    name = f"[{host}]" if ":" in host else host
    query = f"?token={settings.token}" if settings.token else ""
    return f"http://{name}:{port}/{query}"


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()  # whoever is told the address may come at once
        except BaseException:
            listener.close()
            raise
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FnevrError(
            f"cannot listen on {host}, port {port}: {reason}; choose another one", argument="port"
        ) from error
    return listener
