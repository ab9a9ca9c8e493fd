"""What a job does, in a process of its own that can be ended at any time.

Requests come as lines of JSON on stdin, and go back as lines of JSON on stdout:
``{"progress": [stage, done, total]}``, then ``{"report": ...}`` or ``{"error": ...}``.

The process ends when stdin does: with the server.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Literal

from pydantic import ConfigDict, TypeAdapter
from typing_extensions import TypedDict  # Pydantic takes the standard one from Python 3.12 on

from fnevr.animation.animator import Animator
from fnevr.animation.contact_sheet import around_face, contact_sheet, spaced_frames
from fnevr.animation.edit import EditReport, Sweep
from fnevr.animation.reference_frame import BestFrame
from fnevr.animation.regions import Regions
from fnevr.animation.report import Report
from fnevr.animation.sliders import FaceSliders
from fnevr.animation.transfers import TransferChoice
from fnevr.errors import FaceError, FnevrError
from fnevr.media.image import read_image, write_image
from fnevr.progress import Progress
from fnevr.server.settings import ServerSettings
from fnevr.server.studio import load_animator

NICENESS = 10  # live pictures come first
SHEET_FRAMES, SHEET_COLUMNS, SHEET_HEIGHT = 7, 4, 192
POLITE_EXIT = 0


class FramingOptions(TypedDict, total=False):
    """How a picture is framed: arguments of `Animator.animate` and `Animator.edit`."""

    crop: bool
    paste_back: bool
    face: int | None
    detail: int
    still_background: bool


class TurnOptions(TypedDict, total=False):
    """Angles, in degrees, of the same."""

    yaw_deg: float
    pitch_deg: float
    roll_deg: float


class AnimateOptions(FramingOptions, TurnOptions, total=False):
    """Arguments of `Animator.animate`; what is left out has its default there."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    transfer: TransferChoice
    smooth: bool
    regions: dict[str, float]
    sliders: dict[str, float]
    best_frame: BestFrame | None


class EditOptions(FramingOptions, TurnOptions, total=False):
    """Arguments of `Animator.edit`; what is left out has its default there."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    sliders: dict[str, float]
    sweep: str


class Task(TypedDict):
    """One job, as the process is told.

    `video` and `sheet` are written, by the options of `kind`; `driving` is not used by "sweep".
    """

    kind: Literal["animate", "sweep"]
    source: str
    driving: str
    video: str
    sheet: str
    max_frames: int
    options: dict[str, Any]


def library_options(options: dict[str, Any]) -> dict[str, Any]:
    """Make the library's arguments of what came as JSON.

    Raises:
        FnevrError: if a value is not possible.
    """
    made = dict(options)
    if made.get("face") is not None and made.get("crop") is False:
        raise FnevrError(
            "a face has no meaning with `crop=False`: leave one of them out", argument="face"
        )
    if "sliders" in made:
        made["sliders"] = FaceSliders.of_values(made["sliders"], "`sliders`")
    if "regions" in made:
        made["regions"] = _regions(made["regions"])
    if "sweep" in made:
        made["sweep"] = Sweep.parse(made["sweep"])
    return made


def _regions(values: dict[str, float]) -> Regions | None:
    known = Regions.__dataclass_fields__
    unknown = values.keys() - known.keys()
    if unknown:
        raise FnevrError(f"there is no region {', '.join(sorted(unknown))}", argument="regions")
    regions = Regions(**values)
    return None if regions == Regions() else regions


def carry_out(animator: Animator, task: Task, progress: Progress) -> Report | EditReport:
    """Do one job: write the video and its contact sheet.

    Raises:
        FnevrError: if it cannot be done.
    """
    limit = task["max_frames"]

    def watched(stage: str, num_done: int, total: int | None) -> None:
        if num_done > limit:
            raise FnevrError(
                f"the driver has more than {limit} frames, which are taken at most: cut it shorter",
                argument="driver",
            )
        progress(stage, num_done, total)

    options = library_options(task["options"])
    report: Report | EditReport
    if task["kind"] == "animate":
        report = animator.animate(
            task["source"], task["driving"], task["video"], progress=watched, **options
        )
    else:
        report = animator.edit(task["source"], task["video"], progress=watched, **options)
    _write_sheet(task)
    return report


def _write_sheet(task: Task) -> None:
    tiles = spaced_frames(Path(task["video"]), SHEET_FRAMES)
    source = read_image(task["source"])
    if source.shape == tiles[0].shape:
        tiles = [source, *tiles]
    with suppress(FaceError):  # whole pictures are as good
        tiles = around_face(tiles, task["options"].get("face"))
    write_image(task["sheet"], contact_sheet(tiles, SHEET_COLUMNS, SHEET_HEIGHT))


def _serve(settings: ServerSettings, requests: queue.Queue[str], replies: IO[str]) -> None:
    def reply(**message: object) -> None:
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    animator: Animator | None = None
    while True:
        task: Task = json.loads(requests.get())
        try:
            if animator is None:
                reply(progress=["loading the model", 0, None])
                animator = load_animator(settings)
            report = carry_out(
                animator, task, lambda stage, done, total: reply(progress=[stage, done, total])
            )
        except FnevrError as error:
            reply(error=str(error), argument=error.argument)
        except MemoryError:
            reply(error="there is not enough memory: take a smaller picture", argument=None)
        except Exception as error:  # noqa: BLE001 - the next job may go well
            name = type(error).__name__
            reply(error=f"internal error, which is our fault: {name}: {error}", argument=None)
        else:
            reply(report=report.model_dump(mode="json"))


def _listen(lines: IO[str], requests: queue.Queue[str], leave: Callable[[int], object]) -> None:
    """Pass requests on; leave, whatever is going on, when the server is gone."""
    for line in lines:
        requests.put(line)
    leave(POLITE_EXIT)


def main() -> None:
    """Run the process; the settings are its argument, as JSON."""
    settings = TypeAdapter(ServerSettings).validate_json(sys.argv[1])
    # What libraries print goes where messages go, not between the replies.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    requests: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(sys.stdin, requests, os._exit), daemon=True).start()
    _serve(settings, requests, replies)


if __name__ == "__main__":
    main()
