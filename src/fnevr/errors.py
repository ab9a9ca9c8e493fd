"""Errors that a user can act on. Each message says what was wrong, what we got and what to do."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Return text that any file or terminal takes: names that are not UTF-8 hold what is no text.

    A byte E9 in a file's name, which Python reads as a lone surrogate, becomes \udce9.
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class FnevrError(Exception):
    """Base of the errors caused by input: the command line prints them and exits with code 2.

    A message names arguments as Python does, such as `crop=False` in backquotes; the command line
    writes its options instead.

    Attributes:
        argument: the name of the argument that the error is about, if it is about one.
    """

    def __init__(self, message: str = "", *, argument: str | None = None) -> None:
        super().__init__(printable(message))
        self.argument = argument


class MediaError(FnevrError):
    """An image, video or audio file that cannot be read or written."""


class WriteError(MediaError):
    """A file or folder that cannot be written; no input is at fault."""


class FaceError(FnevrError):
    """No usable face in a picture, or a face index that does not exist."""


class CheckpointError(FnevrError):
    """A weights file that is damaged, unsafe, or does not match the model."""


def describe_problems(origin: str, problems: list[str]) -> str:
    """Return one message that lists all problems."""
    listing = "\n  ".join(problems)
    plural = "tensor does" if len(problems) == 1 else "tensors do"
    return f"{origin}: {len(problems)} {plural} not match the model:\n  {listing}"
