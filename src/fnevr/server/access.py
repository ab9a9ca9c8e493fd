"""Who may talk to the server: Host and Origin, the token, the cookie. For WebSockets too.

- Host has to be an address, or a name of this machine: a foreign name that leads here is an attack
  (DNS rebinding).
- Origin, where a browser sends it, has to be the page's own: no other site may ask.
- Where a token is set, it comes once as ``?token=`` (a cookie then remembers it), or with every
  request as ``Authorization: Bearer``.
"""

from __future__ import annotations

import hmac
import ipaddress
import socket
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fnevr.server.answers import Refusal, error_json
from fnevr.server.files import Session, Sessions

# Nothing from elsewhere is loaded, and nobody frames the page.
CONTENT_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "frame-ancestors 'none'; form-action 'self'; base-uri 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
OPEN_PATHS = ("/live/",)  # their addresses hold a secret of their own
FILE_PATHS = ("/api/pictures", "/api/drivers")  # they limit what comes in themselves
LARGEST_BODY = 1 << 20  # bytes of all other requests
COOKIE_DAYS = 30


class Access:
    """Lets a request through, with ``scope["state"]["session"]``, or refuses it.

    Args:
        app: what is guarded.
        sessions: the visitors.
        host: the name or address that the server was told to listen on.
        token: what visitors have to know; None: nothing.
    """

    def __init__(self, app: ASGIApp, sessions: Sessions, host: str, token: str | None) -> None:
        self.app, self.sessions, self.token = app, sessions, token
        self.names = {"localhost", host.lower(), socket.gethostname().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._stranger(headers)
        if refusal is not None:
            await _refuse(refusal, scope, receive, send)
        elif scope["path"].startswith(OPEN_PATHS):
            await self.app(scope, receive, send)
        else:
            await self._admit(headers, scope, receive, send)

    async def _admit(self, headers: Headers, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve whom the cookie or the token lets in, and give the latter a cookie."""
        cookie = f"fnevr_{(scope.get('server') or ('', 0))[1]}"
        session = self.sessions.find(_cookie(headers, cookie))
        is_new = session is None
        if session is None:
            if not self._knows_token(headers, scope):
                await _refuse(_ask_for_token(scope), scope, receive, send)
                return
            session = self.sessions.new()
        scope.setdefault("state", {})["session"] = session

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    added[name] = value
                if is_new:
                    added.append("Set-Cookie", _set_cookie(cookie, session))
            await send(message)

        is_page = scope["type"] == "http" and scope["method"] == "GET"
        if is_page and is_new and self.token and b"token=" in scope.get("query_string", b""):
            # Out of the address bar, and of the history.
            await RedirectResponse(scope["path"], 303)(scope, receive, answer)
            return
        if scope["type"] == "http" and not scope["path"].startswith(FILE_PATHS):
            receive = _limited(receive)
        await self.app(scope, receive, answer)

    def _stranger(self, headers: Headers) -> Response | None:
        """Refuse foreign names and foreign sites."""
        host = headers.get("host", "")
        if not self._is_ours(host):
            message = f"the name '{host}' is not this machine's: use its address"
            return JSONResponse(error_json(message), 403)
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return JSONResponse(error_json(f"requests from '{origin}' are not answered"), 403)
        return None

    def _is_ours(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self.names
        return True

    def _knows_token(self, headers: Headers, scope: Scope) -> bool:
        if self.token is None:
            return True
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        given = [*query.get("token", []), bearer]
        return any(hmac.compare_digest(text.encode(), self.token.encode()) for text in given)


def _limited(receive: Receive) -> Receive:
    """Let a request's body end in an error where it is too large."""
    size = 0

    async def limited() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > LARGEST_BODY:
            raise Refusal(413, f"the request has more than {LARGEST_BODY} bytes")
        return message

    return limited


def _ask_for_token(scope: Scope) -> Response:
    message = "this server wants its token: open the address that `fnevr web` printed"
    if scope["path"] == "/":
        return PlainTextResponse(f"{message[0].upper()}{message[1:]}.\n", 401)
    return JSONResponse(error_json(message), 401, {"WWW-Authenticate": "Bearer"})


async def _refuse(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    await response(scope, receive, send)


def _cookie(headers: Headers, name: str) -> str | None:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return None
    return None if morsel is None else morsel.value


def _set_cookie(name: str, session: Session) -> str:
    age = COOKIE_DAYS * 86_400
    return f"{name}={session.id}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age}"
