"""Videos made of stills: animated GIF, WebP and PNG, single pictures, folders of pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from fnevr.errors import MediaError
from fnevr.media.image import (
    DAMAGE,
    EXIF_ORIENTATION,
    KEPT_PIXELS,
    open_image,
    read_image,
    upright_rgb,
    without_warnings,
)
from fnevr.media.reader import VideoFrame, VideoInfo, VideoReader, nearest_rate

PICTURE_EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".avif"}
)
SIGNATURES = (
    b"GIF87a",
    b"GIF89a",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"BM",
    b"II*\0",
    b"MM\0*",
)
ANIMATED_FORMATS = frozenset({"GIF", "WEBP", "PNG"})  # the further images of others are previews
# Pixels of all frames of an animation; some ten million are decoded per second.
FREE_WORK, WORK_PER_BYTE = 200_000_000, 300
BROWSER_DELAY_MS = 100  # what browsers show a frame for that asks for 10 ms or less
SIDEWAYS = frozenset({5, 6, 7, 8})  # EXIF orientations that swap width and height


def is_picture(path: Path) -> bool:
    """Tell by a file's first bytes whether it is a still or animated picture."""
    with path.open("rb") as file:
        head = file.read(16)
    return head.startswith(SIGNATURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


class AnimationReader(VideoReader):
    """Read an animated GIF, WebP or PNG with its own delays; a still is a video of one frame.

    Raises:
        MediaError: if the file is damaged before its first frame is complete.
    """

    def __init__(self, path: Path):
        first = read_image(path)
        durations = _delays_ms(path)
        total = sum(durations, Fraction(0)) / 1000
        height, width, _ = first.shape
        super().__init__(
            path,
            VideoInfo(
                width=width,
                height=height,
                frame_rate=nearest_rate(len(durations) / total),
                num_frames=len(durations),
                duration=total,
                has_audio=False,
            ),
        )

    def _frames(self) -> Iterator[VideoFrame]:
        time = last = Fraction(0)
        with open_image(self.path) as image:
            for index in range(self.info.num_frames or 1):
                try:
                    image.seek(index)
                    rgb = upright_rgb(image)
                    delay = _delay_ms(image)
                except DAMAGE as error:
                    self._report_damage(
                        f"'{self.path}' is damaged at frame {index} ({error}); "
                        "what comes before is used"
                    )
                    return
                yield VideoFrame(rgb, time)
                last, time = time, time + delay / 1000
        self._ends_at(time, last)


class FolderReader(VideoReader):
    """Read the pictures of a folder in natural order: 2.png comes before 10.png.

    Args:
        path: the folder. Hidden files and files that are no pictures are skipped.
        frame_rate: in frames per second, which no picture says.

    Raises:
        MediaError: if there is no picture, or they differ in size.
    """

    def __init__(self, path: Path, frame_rate: Fraction):
        self._pictures = _pictures(path)
        if not self._pictures:
            raise MediaError(
                f"the folder '{path}' has no pictures in it; "
                f"these are read: {', '.join(sorted(PICTURE_EXTENSIONS))}"
            )
        sizes = [_upright_size(picture) for picture in self._pictures]
        for picture, size in zip(self._pictures, sizes, strict=True):
            if size != sizes[0]:
                raise MediaError(
                    f"the pictures in '{path}' differ in size: '{self._pictures[0].name}' is "
                    f"{sizes[0]}, '{picture.name}' is {size}; make them equal"
                )
        height, width, _ = read_image(self._pictures[0]).shape
        num_frames = len(self._pictures)
        super().__init__(
            path, VideoInfo(width, height, frame_rate, num_frames, num_frames / frame_rate, False)
        )

    def _frames(self) -> Iterator[VideoFrame]:
        for index, picture in enumerate(self._pictures):
            try:
                rgb = read_image(picture)
            except MediaError as error:
                self._report_damage(f"{error}; the pictures before it are used")
                return
            yield VideoFrame(rgb, index / self.info.frame_rate)


def natural_order(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts the numbers inside names by value."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name.casefold())
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts)


def _pictures(folder: Path) -> list[Path]:
    """Return the picture files of a folder in natural order."""
    try:
        files = [
            path
            for path in folder.iterdir()
            if path.suffix.lower() in PICTURE_EXTENSIONS
            and not path.name.startswith(".")
            and path.is_file()
        ]
    except OSError as error:
        raise MediaError(f"cannot read the folder '{folder}': {error.strerror}") from error
    return sorted(files, key=lambda path: (natural_order(path.name), path.name))


def _upright_size(path: Path) -> tuple[int, int]:
    """Return width and height as they will be read, without decoding the picture."""
    with open_image(path) as image:
        width, height = image.size
        try:
            with without_warnings():
                is_sideways = image.getexif().get(EXIF_ORIENTATION) in SIDEWAYS
        except DAMAGE:
            is_sideways = False
    return (height, width) if is_sideways else (width, height)


def _delays_ms(path: Path) -> list[Fraction]:
    """Return how long each frame of an animation is shown; it ends where damage begins."""
    delays = []
    with open_image(path) as image:
        num_frames = getattr(image, "n_frames", 1) if image.format in ANIMATED_FORMATS else 1
        _check_work(path, image.size, num_frames)
        for index in range(num_frames):
            try:
                image.seek(index)
                if image.format != "GIF":
                    image.load()  # WebP and PNG know a frame's delay only then
            except DAMAGE:
                break
            delays.append(_delay_ms(image))
    return delays or [Fraction(BROWSER_DELAY_MS)]


def _check_work(path: Path, size: tuple[int, int], num_frames: int) -> None:
    """Raise MediaError if a small file asks for hours: each frame is made on the whole canvas."""
    num_bytes, num_pixels = path.stat().st_size, size[0] * size[1]
    if num_frames == 1:
        return
    if num_pixels > KEPT_PIXELS or num_frames * num_pixels > FREE_WORK + num_bytes * WORK_PER_BYTE:
        raise MediaError(
            f"'{path}' asks for {num_frames} frames of {size[0]} x {size[1]} in {num_bytes} bytes; "
            "make it smaller, or convert it to MP4"
        )


def _delay_ms(image: Image.Image) -> Fraction:
    """Return how long the current frame is shown, as browsers do."""
    delay = Fraction(np.float64(image.info.get("duration", 0))).limit_denominator(1000)
    return delay if delay > 10 else Fraction(BROWSER_DELAY_MS)
