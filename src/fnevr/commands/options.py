"""What the commands share: options, exit codes, messages for what goes wrong."""

from __future__ import annotations

import errno
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from fnevr.commands.paths import Files, check_files
from fnevr.commands.verbose import DEBUG_VARIABLE
from fnevr.config.engines import (
    GRAPH_PRECISIONS,
    PRECISIONS,
    TORCH_ENGINES,
    DeviceName,
    EngineChoice,
    PrecisionChoice,
)
from fnevr.errors import FnevrError, shown
from fnevr.extras import how_to_install

OUR_FAULT, BAD_INPUT, INTERRUPTED, CLOSED_PIPE = 1, 2, 130, 141
NO_ROOM = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
NO_MEMORY = (
    "Error: there is not enough memory: take smaller pictures, smaller batches or a smaller model."
)
NO_MEMORY_SIGNS = re.compile(
    r"not enough memory|can't allocate memory|out of memory", re.IGNORECASE
)
ISSUES = "please report it with the output of the same command run with --verbose"
NOTHING_WRITTEN = "Interrupted; nothing was written."
TAKEN_UP = "Interrupted; what is finished is kept, and the same command goes on from there."
WHOLE_FILES = "Interrupted; no file was left half written."

# Arguments of the library whose options are not called after them, or switch the other way.
IRREGULAR = {
    "models": "--model",
    "pairs_file": "--pairs",
    "min_face_px": "--min-face",
    "settings": "--set",
    "start_s": "--start",
    "end_s": "--end",
    "yaw_deg": "--yaw",
    "pitch_deg": "--pitch",
    "roll_deg": "--roll",
}
ARGUMENT = re.compile(r"`(\w+)=([^`]*)`")
QUOTES = "'\""


OTHER_PRECISIONS = [precision for precision in PRECISIONS if precision not in GRAPH_PRECISIONS]

Model = Annotated[
    str, typer.Option("--model", help="A preset (see `fnevr models`) or a folder with weights.")
]
DeviceOption = Annotated[
    DeviceName | None,
    typer.Option(
        "--device", help="Default: cuda if there is some, otherwise cpu.", show_default=False
    ),
]
Engine = Annotated[
    EngineChoice,
    typer.Option(
        "--engine",
        help="What runs the networks; auto takes the quickest that is here. All but "
        f"{' and '.join(TORCH_ENGINES)} need a model with graphs: lite, or what `fnevr export` "
        "made.",
    ),
]
PrecisionOption = Annotated[
    PrecisionChoice,
    typer.Option(
        "--precision",
        help=f"{' and '.join(OTHER_PRECISIONS)} are of the engines {' and '.join(TORCH_ENGINES)}, "
        "int8 is of those that run graphs. auto takes int8 where its pictures are measured to be "
        "close to those of float32.",
    ),
]
NoClobber = Annotated[
    bool, typer.Option("--no-clobber", help="Refuse to replace files that are there.")
]
Json = Annotated[
    str | None, typer.Option("--json", metavar="FILE", help='Write a report; "-" is stdout.')
]


MAX_COUNT = 10**9  # more of anything than a command can do, and small enough to compute with

Workers = Annotated[int, typer.Option("--workers", max=MAX_COUNT, help="Processes.")]
Every = Annotated[
    int,
    typer.Option(
        "--every", max=MAX_COUNT, help="AKD, AED, CSIM, LPIPS and FID look at every n-th frame."
    ),
]
AlexNet = Annotated[
    Path | None, typer.Option("--alexnet", help="For LPIPS: torchvision's AlexNet weights.")
]
Inception = Annotated[
    Path | None, typer.Option("--inception", help="For FID: inception-2015-12-05.pt.")
]
ArcFace = Annotated[
    Path | None, typer.Option("--arcface", help="For CSIM: ArcFace's w600k_r50.onnx.")
]
OpenFace = Annotated[
    Path | None, typer.Option("--openface", help="For AED: OpenFacePytorch's openface.pth.")
]
ShardOption = Annotated[
    str,
    typer.Option(
        "--shard",
        metavar="K/N",
        help="Do the K-th of N shares; several machines or GPUs do the others.",
    ),
]


def one_of(names: Sequence[str]) -> Callable[[str], str]:
    """Return what reads one name of a repeatable option, where Typer takes no `Literal`."""

    def read(text: str) -> str:
        if text not in names:
            raise typer.BadParameter(f"'{text}' is not one of {', '.join(names)}.")
        return text

    return read


def face_choice(text: str, flag: str) -> tuple[int, ...] | Literal["all"]:
    """Read which faces are meant: "all", or numbers with commas between."""
    return "all" if text == "all" else face_numbers(text, flag, "all, or ")


def face_numbers(text: str, flag: str, also: str = "") -> tuple[int, ...]:
    """Read numbers of faces with commas between.

    Args:
        text: what the option says.
        flag: the option.
        also: what else it takes, for the message.

    Raises:
        FnevrError: if it says something else.
    """
    numbers = [number.strip() for number in text.split(",")]
    if not all(number.isdecimal() and len(number) < 5 for number in numbers):
        raise FnevrError(
            f"{flag} must be {also}numbers of faces such as 0 or 0,2, counted from 0, got '{text}'"
        )
    return tuple(int(number) for number in numbers)


@contextmanager
def answering_for_errors(
    files: Files,
    interrupted: str = NOTHING_WRITTEN,
    extra: str = "torch",
    *,
    no_clobber: bool = False,
) -> Iterator[None]:
    """Check all files of a command first, and turn what goes wrong into a message and an exit code.

    Args:
        files: by their options; a message about one of them quotes its option.
        interrupted: what to say of an interrupt, which is true of this command.
        extra: which extra of the package brings all that the command needs.
        no_clobber: refuse to replace files that are there.
    """
    flags = {flag: use.path for flag, use in files.items()}
    try:
        check_files(files, no_clobber=no_clobber)
        yield
    except FnevrError as error:
        if os.environ.get(DEBUG_VARIABLE):
            traceback.print_exception(error)
        message = in_options(str(error))
        fail(BAD_INPUT, f"Error: {message}{_flag_behind(message, error.argument, flags)}")
    except KeyboardInterrupt:
        fail(INTERRUPTED, interrupted)
    except typer.Exit:
        raise
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "torch":
            fail(OUR_FAULT, _internal(error))
        how = how_to_install(extra)
        fail(BAD_INPUT, f"Error: this command needs PyTorch, which is not installed: {how}")
    except MemoryError:
        fail(BAD_INPUT, NO_MEMORY)
    except Exception as error:  # noqa: BLE001 - the outermost caller: what is left is our fault
        _answer(error)


def _answer(error: Exception) -> NoReturn:
    """Leave after an error that the library does not call one of a user's."""
    if isinstance(error, BrokenPipeError):  # whoever read our output has left
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a descriptor is wanted
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    os.dup2(nowhere.fileno(), stream.fileno())
        raise typer.Exit(CLOSED_PIPE)
    if isinstance(error, OSError) and error.errno in NO_ROOM:  # stdout, in a file
        fail(BAD_INPUT, f"Error: {error.strerror}: make room, or write to another disk")
    if isinstance(error, OSError) and error.filename is not None:
        fail(BAD_INPUT, f"Error: cannot use '{os.fsdecode(error.filename)}': {error.strerror}")
    if isinstance(error, RuntimeError) and NO_MEMORY_SIGNS.search(str(error)):  # of PyTorch
        fail(BAD_INPUT, NO_MEMORY)
    fail(OUR_FAULT, _internal(error))


def _internal(error: Exception) -> str:
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exception(error)
    return f"Internal error, which is our fault: {type(error).__name__}: {error}\n{ISSUES}."


def say(text: str, err: bool = False) -> None:
    """Print text for people: codes that a terminal would obey, in names of files, are written out.

    Args:
        text: one or more lines.
        err: print on stderr.
    """
    typer.echo(shown(text), err=err)


def fail(code: int, message: str) -> NoReturn:
    """Print a message on stderr and leave with an exit code."""
    say(message, err=True)
    raise typer.Exit(code)


def option_of(argument: str, value: str | None = None) -> str:
    """Return the option of the command line for an argument of the library, as in `crop=False`."""
    flag = IRREGULAR.get(argument, f"--{argument.replace('_', '-')}")
    if value == "False":
        return flag.replace("--", "--no-", 1)
    return flag if value in (None, "True") else f"{flag} {str(value).strip(QUOTES)}"


def in_options(message: str) -> str:
    """Write the arguments that a message names as Python does, `crop=False`, as options."""
    return ARGUMENT.sub(lambda match: option_of(match[1], match[2]), message)


def _flag_behind(message: str, argument: str | None, flags: Mapping[str, object]) -> str:
    """Name the option that a message is about, unless it does so itself."""
    about = [] if argument is None else [option_of(argument)]
    names = {flag: shown(str(value)) for flag, value in flags.items() if value}
    about += [flag for flag, name in names.items() if f"'{name}'" in message]
    about += [flag for flag, name in names.items() if _is_named(name, message)]
    return "" if not about or about[0] in message else f" ({about[0]})"


def _is_named(value: str, message: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", message) is not None


def tell_warnings(warnings: Iterable[str]) -> None:
    """Print on stderr what was not as it should be."""
    for warning in warnings:
        say(f"Warning: {in_options(warning)}", err=True)


def write_json(target: str, text: str) -> None:
    """Write a report to a file, or to stdout for "-"."""
    if target == "-":
        typer.echo(text)
        return
    from fnevr.media.files import atomic_path

    with atomic_path(target) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
