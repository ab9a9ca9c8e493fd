"""Errors as answers: one JSON object for all of them, with the library's own words.

``{"error": {"message": "...", "argument": "face" or null}}``
"""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from fnevr.errors import FnevrError


class Refusal(FnevrError):
    """A request that cannot be granted.

    Args:
        status: of HTTP.
        message: what was wrong, and what to do.
        argument: the field of the request that it is about, if it is about one.
    """

    def __init__(self, status: int, message: str, *, argument: str | None = None) -> None:
        super().__init__(message, argument=argument)
        self.status = status


def error_json(message: str, argument: str | None = None) -> dict[str, dict[str, str | None]]:
    """Return what an error looks like as JSON."""
    return {"error": {"message": message, "argument": argument}}


def answer_errors(app: FastAPI) -> None:
    """Let an application answer all errors in the same form."""

    @app.exception_handler(FnevrError)
    async def _library(_request: Request, error: FnevrError) -> JSONResponse:
        status = error.status if isinstance(error, Refusal) else 422
        return JSONResponse(error_json(str(error), error.argument), status)

    @app.exception_handler(RequestValidationError)
    async def _validation(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = [str(part) for part in first["loc"] if part not in ("body", "query", "path")]
        name = ".".join(place)
        return JSONResponse(
            error_json(f"{name or 'the request'}: {first['msg']}", name or None), 422
        )

    @app.exception_handler(HTTPException)
    async def _http(_request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse(error_json(str(error.detail)), error.status_code)

    @app.exception_handler(Exception)
    async def _ours(_request: Request, error: Exception) -> JSONResponse:
        return JSONResponse(
            error_json(f"internal error, which is our fault: {type(error).__name__}: {error}"), 500
        )
