"""The JSON API: what is here, pictures, drivers, jobs, edits.

All of it belongs to the visitor whose cookie came with the request.
"""

from __future__ import annotations

import inspect
import io
import secrets
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect

from fnevr import __version__
from fnevr.animation.animator import Animator
from fnevr.animation.edit import Edit
from fnevr.animation.head_turn import AXES, LIMIT_DEG, REACH_DEG, HeadTurn
from fnevr.animation.regions import LARGEST_FACTOR, Regions
from fnevr.animation.sliders import LIMITS as SLIDER_LIMITS
from fnevr.animation.sliders import FaceSliders
from fnevr.animation.source import Framing
from fnevr.media.image import Picture, read_image
from fnevr.media.resize import at_most
from fnevr.server.answers import Refusal
from fnevr.server.files import (
    BUNDLED_DRIVER,
    BUNDLED_PICTURE,
    Kind,
    Session,
    bundled_driver,
    bundled_picture,
    faces_of,
)
from fnevr.server.jobs import SHEET, VIDEO, Job
from fnevr.server.rooms import rooms_of
from fnevr.server.sinks import to_jpeg
from fnevr.server.work import AnimateOptions, EditOptions, library_options

router = APIRouter(prefix="/api")
PREVIEW = 1024  # longer side of pictures that a page shows, in pixels
Longest = Annotated[int, Query(ge=16, le=4096)]


class _Wish(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AnimateWish(_Wish):
    """A job: a driver moves a picture."""

    kind: Literal["animate"]
    picture: str = BUNDLED_PICTURE
    driver: str = BUNDLED_DRIVER
    options: AnimateOptions = Field(default_factory=AnimateOptions)


class SweepWish(_Wish):
    """A job: the head of a picture turns from one angle to another and back."""

    kind: Literal["sweep"]
    picture: str = BUNDLED_PICTURE
    options: EditOptions = Field(default_factory=EditOptions)


class EditWish(_Wish):
    """One edited picture, at once."""

    picture: str = BUNDLED_PICTURE
    options: EditOptions = Field(default_factory=EditOptions)
    longest: int | None = Field(PREVIEW, ge=16)
    format: Literal["jpeg", "png"] = "jpeg"


Wish = Annotated[AnimateWish | SweepWish, Field(discriminator="kind")]


def visitor(request: Request) -> Session:
    """Return whose request it is."""
    session = request.state.session
    assert isinstance(session, Session)
    return session


@router.get("/about")
def about(request: Request) -> dict[str, Any]:
    """Say what this server can do: limits, and the library's own defaults and ranges."""
    settings = rooms_of(request).settings
    return {
        "version": __version__,
        "model": settings.model,
        "limits": settings.limits.model_dump(),
        "defaults": {"animate": _defaults(Animator.animate), "edit": _defaults(Animator.edit)},
        "regions": {
            # None is 1 for a picture, and the page has no source videos.
            field.name: {
                "least": 0,
                "most": LARGEST_FACTOR,
                "default": 1.0 if field.default is None else field.default,
            }
            for field in fields(Regions)
        },
        "sliders": {
            name: {"least": least, "most": most, "default": 0}
            for name, (least, most) in SLIDER_LIMITS.items()
        },
        "angles": {axis: {"reach": REACH_DEG[axis], "limit": LIMIT_DEG} for axis in AXES},
        "virtual_camera": settings.virtual_camera,
        "stream": f"/live/{visitor(request).stream_key}.mjpg",
    }


def _defaults(function: Any) -> dict[str, Any]:
    """Return the defaults that can be written as JSON."""
    parameters = inspect.signature(function).parameters.values()
    defaults = {parameter.name: parameter.default for parameter in parameters}
    simple = str | int | float | None
    return {
        name: value
        for name, value in defaults.items()
        if isinstance(value, simple) and name != "progress"
    }


@router.get("/pictures")
def pictures(request: Request) -> list[dict[str, Any]]:
    """List the visitor's pictures."""
    return _list(visitor(request), "picture")


@router.get("/drivers")
def drivers(request: Request) -> list[dict[str, Any]]:
    """List the visitor's drivers."""
    return _list(visitor(request), "driver")


def _list(session: Session, kind: Kind) -> list[dict[str, Any]]:
    return [upload.view() for (is_kind, _), upload in session.uploads.items() if is_kind == kind]


@router.post("/pictures", status_code=201)
async def bring_picture(request: Request, name: str = "") -> dict[str, Any]:
    """Take a picture, the body of the request, and find the faces in it."""
    return await _bring(request, "picture", name)


@router.post("/drivers", status_code=201)
async def bring_driver(request: Request, name: str = "") -> dict[str, Any]:
    """Take a video, or a keypoint track whose name ends in .safetensors."""
    return await _bring(request, "driver", name)


async def _bring(request: Request, kind: Kind, name: str) -> dict[str, Any]:
    sessions, session = rooms_of(request).sessions, visitor(request)
    announced = request.headers.get("content-length", "")
    length = int(announced) if announced.isdecimal() else 0
    try:
        upload = await sessions.receive(session, kind, name, request.stream(), length)
    except ClientDisconnect as error:
        raise Refusal(400, "the file broke off: send it again", argument=kind) from error
    return (await run_in_threadpool(sessions.admit, session, upload)).view()


@router.get("/pictures/{name}")
def picture(request: Request, name: str) -> dict[str, Any]:
    """Say what is known about a picture."""
    if name == BUNDLED_PICTURE:
        bundled = bundled_picture()
        return {**bundled.view(), "faces": _bundled_faces(bundled.path)}
    return visitor(request).find("picture", name).view()


@cache
def _bundled_faces(path: Path) -> list[Any]:
    return list(faces_of(read_image(path)))


@router.get("/pictures/{name}/image")
def picture_image(request: Request, name: str, longest: Longest = PREVIEW) -> Response:
    """Show a picture, upright and made smaller, as JPEG."""
    rgb = at_most(read_image(visitor(request).find("picture", name).path), longest)
    headers = {"Cache-Control": "private, max-age=3600"}
    return Response(to_jpeg(rgb), media_type="image/jpeg", headers=headers)


@router.get("/drivers/{name}")
def driver(request: Request, name: str) -> dict[str, Any]:
    """Say what is known about a driver."""
    if name == BUNDLED_DRIVER:
        return bundled_driver().view()
    return visitor(request).find("driver", name).view()


@router.get("/drivers/{name}/video")
def driver_video(request: Request, name: str) -> FileResponse:
    """Show the video of a driver, as it was brought."""
    upload = visitor(request).find("driver", name)
    if upload.about["kind"] != "video":
        raise Refusal(404, "a keypoint track has no pictures")
    return FileResponse(upload.path, media_type=str(upload.about["media_type"]))


@router.delete("/pictures/{name}", status_code=204)
def remove_picture(request: Request, name: str) -> None:
    """Delete a picture."""
    _remove(request, "picture", name)


@router.delete("/drivers/{name}", status_code=204)
def remove_driver(request: Request, name: str) -> None:
    """Delete a driver."""
    _remove(request, "driver", name)


def _remove(request: Request, kind: Kind, name: str) -> None:
    rooms, session = rooms_of(request), visitor(request)
    upload = session.uploads.get((kind, name))
    if upload is None:
        raise Refusal(404, f"there is no {kind} '{name}' of yours")
    if upload.path in rooms.jobs.files_in_use():
        raise Refusal(409, f"a job still needs '{upload.name}': cancel it first, or wait")
    session.remove(kind, name)
    rooms.studio.forget(upload.path)


@router.post("/jobs", status_code=202)
async def start_job(request: Request, wish: Wish) -> dict[str, Any]:
    """Let a job wait for its turn. What is wrong with its options is said now."""
    rooms, session = rooms_of(request), visitor(request)
    uploads = {"picture": session.find("picture", wish.picture)}
    options = library_options(dict(wish.options))
    turn = HeadTurn(*(options.get(f"{axis}_deg", 0.0) for axis in AXES))
    if isinstance(wish, AnimateWish):
        uploads["driver"] = session.find("driver", wish.driver)
        title = f"{uploads['picture'].name} moves like {uploads['driver'].name}"
    else:
        if "sweep" not in options:
            raise Refusal(422, "a sweep is missing, such as yaw=-30:30", argument="sweep")
        Edit(turn, options.get("sliders") or FaceSliders(), options["sweep"])
        title = f"{uploads['picture'].name} turns ({dict(wish.options)['sweep']})"
    folder = session.folder / secrets.token_hex(8)
    return rooms.jobs.add(
        Job(session, wish.kind, title, folder, uploads, dict(wish.options))
    ).view()


@router.get("/jobs")
async def jobs(request: Request) -> list[dict[str, Any]]:
    """List the visitor's jobs, the newest first."""
    return [job.view() for job in rooms_of(request).jobs.of(visitor(request))]


@router.get("/jobs/{name}")
async def job(request: Request, name: str) -> dict[str, Any]:
    """Say how far a job is, or how it ended."""
    return rooms_of(request).jobs.find(visitor(request), name).view()


@router.post("/jobs/{name}/cancel")
async def cancel_job(request: Request, name: str) -> dict[str, Any]:
    """End a job before its time."""
    rooms = rooms_of(request)
    found = rooms.jobs.find(visitor(request), name)
    await rooms.jobs.cancel(found)
    return found.view()


@router.delete("/jobs/{name}", status_code=204)
async def remove_job(request: Request, name: str) -> None:
    """Delete a job, and what it made."""
    rooms = rooms_of(request)
    await rooms.jobs.remove(rooms.jobs.find(visitor(request), name))


@router.get("/jobs/{name}/" + VIDEO)
def job_video(request: Request, name: str, download: bool = False) -> FileResponse:
    """Give the video that a job made."""
    found = rooms_of(request).jobs.find(visitor(request), name)
    return _made(found, found.video, "video/mp4", "fnevr.mp4" if download else None)


@router.get("/jobs/{name}/" + SHEET)
def job_sheet(request: Request, name: str) -> FileResponse:
    """Give frames of that video side by side."""
    found = rooms_of(request).jobs.find(visitor(request), name)
    return _made(found, found.sheet, "image/jpeg", None)


def _made(job: Job, path: Path, media_type: str, filename: str | None) -> FileResponse:
    if job.state != "done" or not path.exists():
        raise Refusal(409, f"the job made no such file: it is {job.state}")
    return FileResponse(path, media_type=media_type, filename=filename)


@router.post("/edits")
def edit(request: Request, wish: EditWish) -> Response:
    """Draw one edited picture. The picture is read once, so that further edits cost one frame."""
    options = library_options(dict(wish.options))
    if "sweep" in options:
        raise Refusal(422, "a sweep is a video: ask for a job", argument="sweep")
    turn = HeadTurn(*(options.pop(f"{axis}_deg", 0.0) for axis in AXES))
    sliders = options.pop("sliders", None)
    upload = visitor(request).find("picture", wish.picture)
    studio = rooms_of(request).studio
    with studio.drawing():
        editor = studio.editor(upload.path, Framing(**options), wish.longest)
        rgb = editor.turned(turn, sliders)
    headers = {"Cache-Control": "no-store"}
    if warnings := turn.warnings():
        headers["X-Warning"] = quote("; ".join(warnings))
    if wish.format == "png":
        return Response(_to_png(rgb), media_type="image/png", headers=headers)
    return Response(to_jpeg(rgb), media_type="image/jpeg", headers=headers)


def _to_png(rgb: Picture) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(rgb).save(encoded, "PNG")
    return encoded.getvalue()
