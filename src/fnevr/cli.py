"""The command line: the commands of `fnevr.commands`, signals.

Exit codes: 0 done, 1 our fault, 2 bad input or machine at fault, 130 interrupted, 141 closed pipe.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import io
import logging
import os
import signal
import sys
from contextlib import suppress
from typing import Annotated

import typer

from fnevr import __version__
from fnevr.commands.evaluation import bench, complexity, evaluate
from fnevr.commands.faces import animate, edit, reconstruct, reconstruct3d, record
from fnevr.commands.models import (
    convert,
    export,
    models,
    prepare,
    prepare_stills,
    train,
    train_editor,
)
from fnevr.commands.reproduce import paper
from fnevr.commands.verbose import with_verbose
from fnevr.commands.web import web

M_ARENA_MAX = -8  # of glibc's <malloc.h>
app = typer.Typer(
    help="Animate a portrait with the motion of a talking head.",
    no_args_is_help=True,
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def options(
    show_version: Annotated[
        bool, typer.Option("--version", is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Animate a portrait with the motion of a talking head."""
    if show_version:
        typer.echo(f"fnevr {__version__}")
        raise typer.Exit


for command in (
    *(animate, record, reconstruct, edit, reconstruct3d),
    *(prepare, prepare_stills, train, train_editor, convert, export, models),
    *(evaluate, complexity, bench),
    web,
):
    app.command()(with_verbose(command))

reproduce = typer.Typer(
    help="Repeat published results.", no_args_is_help=True, rich_markup_mode=None
)
reproduce.command()(with_verbose(paper))
app.add_typer(reproduce, name="reproduce")


def main() -> None:
    """Run the command line."""
    _open_closed_streams()
    _share_memory()
    received: list[int] = []

    def stop(number: int, _frame: object) -> None:
        """Leave by the way of an exception, so that unfinished files are removed."""
        received.append(number)
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, stop)
    # When a terminal closes; there is none on Windows, and `nohup` wants it ignored.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, stop)
    for stream in (sys.stdout, sys.stderr):  # names that are not UTF-8 end no command
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    atexit.register(_end, received)
    _leave_out_slow_imports()
    # What the package logs, the report lists as a warning; once is enough.
    logging.getLogger("fnevr").addHandler(logging.NullHandler())
    app(prog_name="fnevr")


def _open_closed_streams() -> None:
    """Open streams that whoever started this had closed: files would get their numbers."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115 - for the whole run


def _share_memory() -> None:
    """Have glibc keep freed memory in two places, not in one for each thread: a tenth of all."""
    with suppress(AttributeError, OSError, TypeError):  # other C libraries
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)


def _leave_out_slow_imports() -> None:
    """Keep libraries from importing what no command uses: a tenth of a second in all."""
    sys.modules["openvino.tools.ovc"] = None  # type: ignore[assignment]  # its model converter
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def _end(received: list[int]) -> None:
    """End the process; registered first, so that it comes after all else."""
    # Python would search all of PyTorch for cycles before it ends: half a second, for nothing.
    gc.freeze()
    if received:
        # What a signal found running in native code may still run, and abort what is taken apart.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(128 + received[0])
