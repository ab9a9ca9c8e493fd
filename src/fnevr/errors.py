"""Errors that a user can act on. Each message says what was wrong, what we got and what to do."""

from __future__ import annotations

import re


def printable(text: str) -> str:
    r"""Return text that any file or terminal takes: names that are not UTF-8 hold what is no text.

    A byte E9 in a file's name, which Python reads as a lone surrogate, becomes \udce9.
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


MAX_MESSAGE = 100_000  # characters; a list of all tensors of a model is half as long
# Controls but for tabs and ends of lines, and those that turn the direction of writing.
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def shown(text: str) -> str:
    r"""Return text that a terminal only shows: names and titles may hold codes that it would obey.

    The escape code of a colour becomes \x1b[31m.
    """
    return CONTROLS.sub(lambda code: code[0].encode("unicode_escape").decode(), printable(text))


def shortened(text: str) -> str:
    """Return a message that a terminal shows at once, however much of a file it quotes.

    Its beginning and end are kept, which say what is wrong and what to do.
    """
    if len(text) <= MAX_MESSAGE:
        return text
    half = MAX_MESSAGE // 2
    return f"{text[:half]} ... ({len(text) - 2 * half} characters more) ... {text[-half:]}"


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number and what is counted: 1 frame, 2 frames; 1 person, 2 people."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


class FnevrError(Exception):
    """Base of the errors caused by input: the command line prints them and exits with code 2.

    A message names arguments as Python does, such as `crop=False` in backquotes; the command line
    writes its options instead.

    Attributes:
        argument: the name of the argument that the error is about, if it is about one.
    """

    def __init__(self, message: str = "", *, argument: str | None = None) -> None:
        super().__init__(shown(shortened(message)))
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
