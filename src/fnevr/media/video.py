"""Videos in and out: `open_video` for anything with frames, `VideoWriter` for the result."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from fnevr.errors import MediaError
from fnevr.media.container import DEFAULT_RATE, ContainerReader, holds_video
from fnevr.media.files import PathLike, readable_file
from fnevr.media.image import is_image
from fnevr.media.reader import VideoFrame, VideoInfo, VideoReader, exact_rate
from fnevr.media.stills import AnimationReader, FolderReader, is_picture
from fnevr.media.writer import VideoWriter, check_video_target

__all__ = [
    "VideoFrame",
    "VideoInfo",
    "VideoReader",
    "VideoWriter",
    "check_video_target",
    "is_video",
    "open_video",
]


def is_video(path: PathLike) -> bool:
    """Return whether a path is a video or a folder, rather than a picture, moving ones among them.

    What is not there, or is neither, counts as no video.
    """
    path = Path(path)
    try:
        if path.is_dir():
            return True
        is_still = path.is_file() and (is_picture(path) or is_image(path))
        return path.is_file() and not is_still and holds_video(path)
    except (OSError, ValueError):
        return False


def open_video(path: PathLike, *, frame_rate: Fraction | float | int = DEFAULT_RATE) -> VideoReader:
    """Open anything that holds frames, and decode the first to know that it can be read.

    Args:
        path: a video file of any container and codec; an animated GIF, WebP or PNG; a picture
            (one frame); or a folder of pictures.
        frame_rate: frames per second of a folder of pictures; not used for files.

    Returns:
        A reader to iterate over, as often as needed; use it in a ``with`` block.

    Raises:
        MediaError: if there is nothing there that can be shown as a video.
        ValueError: if the frame rate of a folder is none.
    """
    path = Path(path)
    try:
        is_folder = path.is_dir()
    except (OSError, ValueError) as error:
        raise MediaError(f"cannot read '{path}': {error}") from error
    if is_folder:
        return FolderReader(path, exact_rate(frame_rate))
    readable_file(path, "a video")
    return AnimationReader(path) if is_picture(path) else ContainerReader(path)
