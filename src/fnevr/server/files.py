"""What each visitor brought: pictures and drivers, in a folder of their own, for a while.

Names on disk are made here. A visitor is known by a cookie, and sees nobody else's files.
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

from fnevr.animation.keypoint_track import is_track, load_track
from fnevr.config.presets import asset
from fnevr.errors import FnevrError, MediaError
from fnevr.faces.find import find_faces
from fnevr.faces.landmarks import landmarks_box
from fnevr.media.container import open_container, video_stream
from fnevr.media.image import Picture, open_image, read_image
from fnevr.media.stills import is_picture
from fnevr.media.video import open_video
from fnevr.server.answers import Refusal
from fnevr.server.settings import Limits

BUNDLED_PICTURE, BUNDLED_DRIVER = "portrait", "motion"
LONGEST_NAME = 120
Kind = Literal["picture", "driver"]
Box = tuple[float, float, float, float]


@dataclass
class Upload:
    """A file that is here.

    Attributes:
        id: made by the server.
        kind: what it is used as.
        name: what its owner calls it; for people only.
        path: on disk.
        about: what the API says about it besides.
        used: when it was last used, in seconds of the monotonic clock.
    """

    id: str
    kind: Kind
    name: str
    path: Path
    about: dict[str, object]
    used: float = field(default_factory=time.monotonic)

    def view(self) -> dict[str, object]:
        """Return it as JSON."""
        return {"id": self.id, "name": self.name, **self.about}

    def called_by_name(self, message: str) -> str:
        """Write the owner's name of the file for its path in a message."""
        return message.replace(str(self.path), self.name)


@dataclass
class Session:
    """One visitor.

    Attributes:
        id: the secret in the cookie.
        folder: of all that is theirs; made when it is needed.
        stream_key: the secret in the address of their live pictures.
        uploads: by kind and id.
        used: when they were last here, in seconds of the monotonic clock.
    """

    id: str
    folder: Path
    stream_key: str
    uploads: dict[tuple[Kind, str], Upload] = field(default_factory=dict)
    used: float = field(default_factory=time.monotonic)

    def find(self, kind: Kind, name: str) -> Upload:
        """Return a file by its id; the bundled ones are everybody's.

        Raises:
            Refusal: 404, if this visitor has no such file.
        """
        if name == BUNDLED_PICTURE and kind == "picture":
            return bundled_picture()
        if name == BUNDLED_DRIVER and kind == "driver":
            return bundled_driver()
        upload = self.uploads.get((kind, name))
        if upload is None:
            raise Refusal(
                404, f"there is no {kind} '{name}' here (any more): bring it again", argument=kind
            )
        upload.used = time.monotonic()
        return upload

    def remove(self, kind: Kind, name: str) -> Upload | None:
        """Forget a file, and delete it."""
        upload = self.uploads.pop((kind, name), None)
        if upload is not None:
            upload.path.unlink(missing_ok=True)
        return upload


class Sessions:
    """All visitors.

    Args:
        root: the folder of their folders.
        limits: what each may bring.
    """

    def __init__(self, root: Path, limits: Limits) -> None:
        self.root, self.limits = root, limits
        self._known: dict[str, Session] = {}

    def all(self) -> list[Session]:
        """Return all visitors."""
        return list(self._known.values())

    def find(self, cookie: str | None) -> Session | None:
        """Return who has this cookie; None if nobody does."""
        session = self._known.get(cookie or "")
        if session is not None:
            session.used = time.monotonic()
        return session

    def new(self) -> Session:
        """Welcome somebody new."""
        name = secrets.token_urlsafe(24)
        folder = self.root / secrets.token_hex(8)
        session = self._known[name] = Session(name, folder, secrets.token_urlsafe(16))
        return session

    def forget(self, session: Session) -> None:
        """Delete all that somebody brought."""
        self._known.pop(session.id, None)
        shutil.rmtree(session.folder, ignore_errors=True)

    async def receive(
        self, session: Session, kind: Kind, name: str, chunks: AsyncIterator[bytes], length: int
    ) -> Upload:
        """Write a file to disk as it comes in; it is not looked at yet.

        Args:
            session: whose it is.
            kind: what it is brought as.
            name: what its owner calls it.
            chunks: its bytes.
            length: as announced, in bytes; 0 where nothing was.

        Raises:
            Refusal: 413, if it is too large; 429, if there are too many; 507, if the disk is full.
        """
        limit = int(self.limits.max_upload_mb * 1e6)
        if length > limit:
            raise _too_large(length, limit)
        if len(session.uploads) >= self.limits.max_files:
            raise Refusal(
                429, f"there are {len(session.uploads)} files here already: remove some first"
            )
        name = name.strip().replace("\n", " ")[-LONGEST_NAME:] or kind
        identity = secrets.token_hex(8)
        suffix = ".safetensors" if kind == "driver" and is_track(name) else f".{kind}"
        path = session.folder / f"{identity}{suffix}"
        size = 0
        try:
            session.folder.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > limit:
                        raise _too_large(size, limit)
                    file.write(chunk)
        except BaseException as error:
            path.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise Refusal(
                    507, f"the file cannot be kept: {error.strerror}; make room on the disk"
                ) from error
            raise
        return Upload(identity, kind, name, path, {})

    def admit(self, session: Session, upload: Upload) -> Upload:
        """Look at a file that came in, and keep it if it can be used.

        Raises:
            FnevrError: if it cannot; it is deleted then.
        """
        try:
            about = _about_picture if upload.kind == "picture" else _about_driver
            upload.about = about(upload.path, self.limits)
        except BaseException as error:
            upload.path.unlink(missing_ok=True)
            if isinstance(error, FnevrError):
                message = upload.called_by_name(str(error))
                status = error.status if isinstance(error, Refusal) else 422
                raise Refusal(status, message, argument=upload.kind) from error
            raise
        session.uploads[upload.kind, upload.id] = upload
        return upload

    def clean(self, in_use: set[Path], at_work: set[str]) -> list[Upload]:
        """Delete what was not used for long, and forget visitors who were not here for long.

        Args:
            in_use: files that a job needs.
            at_work: ids of visitors who have jobs, or are live.

        Returns:
            What was deleted.
        """
        oldest = time.monotonic() - 60 * self.limits.keep_minutes
        removed = []
        for session in self.all():
            if session.used < oldest and not session.uploads and session.id not in at_work:
                self.forget(session)
            for (kind, name), upload in list(session.uploads.items()):
                if upload.used < oldest and upload.path not in in_use:
                    session.remove(kind, name)
                    removed.append(upload)
        return removed


def bundled_picture() -> Upload:
    """Return the portrait that ships with the package."""
    path = asset("portrait.jpg")
    with open_image(path) as image:
        width, height = image.size
    return Upload(
        BUNDLED_PICTURE, "picture", "the bundled portrait", path, {"width": width, "height": height}
    )


def bundled_driver() -> Upload:
    """Return the motion that ships with the package."""
    path = asset("motion.safetensors")
    return Upload(BUNDLED_DRIVER, "driver", "the bundled motion", path, _about_track(path))


def _about_picture(path: Path, limits: Limits) -> dict[str, object]:
    with open_image(path) as image:
        _check_pixels(*image.size, limits)
    rgb = read_image(path)
    height, width = rgb.shape[:2]
    return {"width": width, "height": height, "faces": faces_of(rgb)}


def faces_of(rgb: Picture) -> list[Box]:
    """Return the boxes of the faces in a picture, in its pixels, the largest face first."""
    return [landmarks_box(landmarks) for landmarks in find_faces(rgb)]


def _about_driver(path: Path, limits: Limits) -> dict[str, object]:
    about = _about_track(path) if is_track(path) else _about_video(path, limits)
    seconds, frames = about["seconds"], about["frames"]
    assert isinstance(seconds, float)
    assert isinstance(frames, int)
    if seconds > limits.max_seconds:
        raise Refusal(
            413,
            f"the driver is {seconds:.0f} s long; at most {limits.max_seconds:g} s are taken: "
            "cut it shorter",
        )
    if frames > limits.max_frames:
        raise Refusal(
            413,
            f"the driver has {frames} frames; at most {limits.max_frames} are taken: cut it "
            "shorter",
        )
    return about


def _about_track(path: Path) -> dict[str, object]:
    track = load_track(path)
    rate = float(track.frame_rate)
    about: dict[str, object] = {"kind": "track", "frame_rate": rate, "has_audio": False}
    return {**about, "frames": len(track), "seconds": len(track) / rate}


def _about_video(path: Path, limits: Limits) -> dict[str, object]:
    media_type = _check_before_decoding(path, limits)
    with open_video(path) as reader:
        info = reader.info
    rate = float(info.frame_rate)
    frames, duration = info.num_frames, info.duration
    if frames is None or duration is None:
        frames, duration = _counted(path)
    about: dict[str, object] = {"kind": "video", "frame_rate": rate, "has_audio": info.has_audio}
    return {
        **about,
        "media_type": media_type,
        "width": info.width,
        "height": info.height,
        "frames": frames,
        "seconds": float(duration),
    }


def _check_before_decoding(path: Path, limits: Limits) -> str:
    """Return the media type, by which a browser shows a video.

    Raises:
        Refusal: 422, if its format is not taken; 413, if its frames are too large.
    """
    media_type = "video/mp4"  # browsers look at the file for which one it is
    if is_picture(path):
        with open_image(path) as image:
            names, size = {str(image.format).lower()}, image.size
        media_type = f"image/{min(names)}"
    else:
        with open_container(path) as container:
            names, stream = set(container.format.name.split(",")), video_stream(container)
            size = (0, 0) if stream is None else (stream.width, stream.height)
    _check_pixels(*size, limits)
    if not names & set(limits.containers):
        raise Refusal(
            422,
            f"'{path}' is of the format {', '.join(sorted(names))}; a driver is a keypoint track "
            f"(.safetensors) or one of {', '.join(limits.containers)}: convert it to MP4",
        )
    return media_type


def _check_pixels(width: int, height: int, limits: Limits) -> None:
    if width * height > limits.max_megapixels * 1e6:
        raise Refusal(
            413,
            f"{width} x {height} are {width * height / 1e6:.1f} megapixels; at most "
            f"{limits.max_megapixels:g} are taken: make it smaller",
        )


def _counted(path: Path) -> tuple[int, Fraction]:
    """Return frames and duration of a video that does not say them: browsers record such ones."""
    with open_container(path) as container:
        stream = video_stream(container)
        if stream is None or stream.time_base is None:
            raise MediaError(f"'{path}' holds no video; give a video file")
        times = [packet.pts for packet in container.demux(stream) if packet.pts is not None]
        span = Fraction(max(times, default=0) - min(times, default=0)) * stream.time_base
    return len(times), span


def _too_large(size: int, limit: int) -> Refusal:
    return Refusal(
        413,
        f"the file has {size / 1e6:.0f} MB or more; at most {limit / 1e6:g} MB are taken: make it "
        "smaller",
    )
