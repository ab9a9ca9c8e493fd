"""Jobs: work that takes long, one at a time, in a process that can be ended.

A job belongs to a visitor, goes on when the page is closed, and is deleted with its files some time
after its end.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import sys
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fnevr.server.answers import Refusal
from fnevr.server.files import Session, Upload
from fnevr.server.settings import ServerSettings

Kind = Literal["animate", "sweep", "recording"]
State = Literal["waiting", "working", "done", "failed", "cancelled"]
VIDEO, SHEET = "result.mp4", "sheet.jpg"
CLEANING_S = 10.0
END_S = 5.0  # for the process to end when it is asked to
RECENT = 20  # steps from which the speed is measured
LARGEST_REPLY = 1 << 20


@dataclass
class Job:
    """One piece of work.

    Attributes:
        owner: whose it is.
        kind: "recording" is a finished one, which the live page made.
        title: for people.
        folder: of what it makes.
        uploads: what it is made from.
        options: of the library.
    """

    owner: Session
    kind: Kind
    title: str
    folder: Path
    uploads: dict[str, Upload] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    state: State = "waiting"
    stage: str = ""
    num_done: int = 0
    total: int | None = None
    error: str | None = None
    argument: str | None = None
    report: dict[str, Any] | None = None
    created: float = field(default_factory=time.time)
    ended: float | None = None
    _steps: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=RECENT))

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it."""
        return self.state in ("done", "failed", "cancelled")

    @property
    def is_cancelled(self) -> bool:
        """Whether its owner ended it."""
        return self.state == "cancelled"

    @property
    def video(self) -> Path:
        """The result."""
        return self.folder / VIDEO

    @property
    def sheet(self) -> Path:
        """Frames of the result side by side."""
        return self.folder / SHEET

    def advance(self, stage: str, num_done: int, total: int | None) -> None:
        """Note how far it is."""
        if stage != self.stage:
            self._steps.clear()
        self.stage, self.num_done, self.total = stage, num_done, total
        self._steps.append((num_done, time.monotonic()))

    def end(self, state: State, error: str | None = None, argument: str | None = None) -> None:
        """Note how it ended; only what is done leaves files."""
        self.state, self.error, self.argument, self.ended = state, error, argument, time.time()
        if state != "done":
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def frames_per_second(self) -> float | None:
        """Of the last steps; None before the second one."""
        if len(self._steps) < 2:
            return None
        (first, start), (last, stop) = self._steps[0], self._steps[-1]
        return (last - first) / (stop - start) if stop > start else None

    def view(self) -> dict[str, object]:
        """Return it as JSON."""
        speed = self.frames_per_second if self.state == "working" else None
        left = None if self.total is None else self.total - self.num_done
        address = f"/api/jobs/{self.id}"
        is_done = self.state == "done"
        return {
            "id": self.id,
            "kind": self.kind,
            "title": self.title,
            "state": self.state,
            "stage": self.stage,
            "frames_done": self.num_done,
            "frames": self.total,
            "frames_per_second": None if speed is None else round(speed, 1),
            "seconds_left": round(left / speed, 1) if left is not None and speed else None,
            "created": self.created,
            "error": {"message": self.error, "argument": self.argument} if self.error else None,
            "report": self.report,
            "video": f"{address}/{VIDEO}" if is_done else None,
            "sheet": f"{address}/{SHEET}" if is_done and self.sheet.exists() else None,
        }


class Worker:
    """The process that does jobs; it starts with the first one.

    Args:
        settings: the server's, which name the model.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None

    async def replies(self, task: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Have a task done, and yield what is said about it."""
        process = await self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(ConnectionError):
            process.stdin.write(json.dumps(task).encode() + b"\n")
            await process.stdin.drain()
        while line := await process.stdout.readline():
            reply = json.loads(line)
            yield reply
            if "progress" not in reply:
                return

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "fnevr.server.work", self._settings.model_dump_json()),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=LARGEST_REPLY,
            )
        return self._process

    async def end(self) -> None:
        """End the process, whatever it is doing."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), END_S)
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


class Jobs:
    """The jobs of all visitors, done in the order in which they came.

    Args:
        settings: the server's.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.limits = settings.limits
        self._worker = Worker(settings)
        self._jobs: dict[str, Job] = {}
        self._waiting: asyncio.Queue[Job] = asyncio.Queue()
        self._current: Job | None = None

    def of(self, owner: Session) -> list[Job]:
        """Return somebody's jobs, the newest first."""
        own = [job for job in self._jobs.values() if job.owner is owner]
        return sorted(own, key=lambda job: job.created, reverse=True)

    def find(self, owner: Session, name: str) -> Job:
        """Return somebody's job by its id.

        Raises:
            Refusal: 404, if they have no such job.
        """
        job = self._jobs.get(name)
        if job is None or job.owner is not owner:
            raise Refusal(404, f"there is no job '{name}' here (any more)")
        return job

    def add(self, job: Job) -> Job:
        """Let a job wait for its turn; a recording is done already.

        Raises:
            Refusal: 429, if its owner has too many.
        """
        if job.kind == "recording":
            self._jobs[job.id] = job
            return job
        num_open = sum(not other.is_over for other in self.of(job.owner))
        if num_open >= self.limits.max_jobs:
            raise Refusal(429, f"{num_open} jobs are waiting already: let one end, or cancel it")
        job.folder.mkdir(parents=True, exist_ok=True)
        self._jobs[job.id] = job
        self._waiting.put_nowait(job)
        return job

    async def cancel(self, job: Job) -> None:
        """End a job before its time; one that is over stays as it is."""
        if job.is_over:
            return
        job.end("cancelled")
        if job is self._current:
            await self._worker.end()

    async def remove(self, job: Job) -> None:
        """End a job, and delete all that it made."""
        await self.cancel(job)
        self._jobs.pop(job.id, None)
        shutil.rmtree(job.folder, ignore_errors=True)

    def files_in_use(self) -> set[Path]:
        """Return the uploads that jobs still need."""
        open_jobs = [job for job in self._jobs.values() if not job.is_over]
        return {upload.path for job in open_jobs for upload in job.uploads.values()}

    def owners(self) -> set[str]:
        """Return the ids of those who have jobs."""
        return {job.owner.id for job in self._jobs.values()}

    async def clean(self) -> None:
        """Delete jobs that ended long ago."""
        oldest = time.time() - 60 * self.limits.keep_minutes
        for job in list(self._jobs.values()):
            if job.ended is not None and job.ended < oldest:
                await self.remove(job)

    async def run(self) -> None:
        """Do one job after the other, for ever."""
        while True:
            job = await self._waiting.get()
            if not job.is_over:
                self._current = job
                try:
                    await self._do(job)
                except Exception as error:  # noqa: BLE001 - the next job may go well
                    await self._worker.end()
                    name = type(error).__name__
                    job.end("failed", f"internal error, which is our fault: {name}: {error}")
                finally:
                    self._current = None

    async def close(self) -> None:
        """End the work."""
        await self._worker.end()

    async def _do(self, job: Job) -> None:
        job.state = "working"
        minutes = self.limits.job_minutes
        try:
            async with asyncio.timeout(60 * minutes):
                async for reply in self._worker.replies(self._task(job)):
                    _take(job, reply)
                    if job.is_cancelled:  # before there was a process to be ended
                        await self._worker.end()
        except TimeoutError:
            await self._worker.end()
            job.end(
                "failed",
                f"the job took more than {minutes:g} minutes, and was ended: take a shorter driver "
                "or a smaller picture",
            )
        if not job.is_over:
            await self._worker.end()
            job.end("failed", "the process that did the work ended: is there enough memory?")
        if job.error is not None or job.report is None:  # what was written after its end
            shutil.rmtree(job.folder, ignore_errors=True)

    def _task(self, job: Job) -> dict[str, Any]:
        paths = {name: str(upload.path) for name, upload in job.uploads.items()}
        return {
            "kind": job.kind,
            "source": paths["picture"],
            "driving": paths.get("driver", ""),
            "video": str(job.video),
            "sheet": str(job.sheet),
            "max_frames": self.limits.max_frames,
            "options": job.options,
        }


def _take(job: Job, reply: dict[str, Any]) -> None:
    """Note what the process says; of a job that was cancelled, nothing is noted."""
    if job.is_over:
        return
    if "progress" in reply:
        job.advance(*reply["progress"])
    elif "report" in reply:
        named = {"source": "picture", "image": "picture", "driving": "driver"}
        for key, kind in named.items():
            if key in reply["report"]:
                reply["report"][key] = job.uploads[kind].name
        job.report = {**reply["report"], "output": VIDEO}
        job.end("done")
    else:
        message = reply["error"]
        for upload in job.uploads.values():
            message = upload.called_by_name(message)
        job.end("failed", message, reply["argument"])
