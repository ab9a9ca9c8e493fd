"""`--verbose`, which every command has: what runs where, and where an error comes from."""

from __future__ import annotations

import functools
import inspect
import logging
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from fnevr.errors import shown

DEBUG_VARIABLE = "FNEVR_DEBUG"
NAME = "verbose"
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose", "-v", help="Say what is loaded and done, and where an error comes from."
    ),
]


def with_verbose(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option, after its own."""

    @functools.wraps(command)
    def told(*arguments: Any, **options: Any) -> None:
        if options.pop(NAME, False):
            say_more()
        command(*arguments, **options)

    # Typer reads names, defaults and annotations, which are text in the modules of the commands.
    signature = inspect.signature(command, eval_str=True)
    keyword = inspect.Parameter.KEYWORD_ONLY
    option = inspect.Parameter(NAME, keyword, default=False, annotation=Verbose)
    parameters = [*signature.parameters.values(), option]
    told.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    told.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return told


class _Shown(logging.Formatter):
    """Lines that a terminal only shows."""

    def format(self, record: logging.LogRecord) -> str:
        return shown(super().format(record))


def say_more() -> None:
    """Print versions and what the package logs on stderr; errors come with their traceback."""
    from fnevr.versions import versions

    os.environ[DEBUG_VARIABLE] = "1"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Shown("%(relativeCreated)d ms: %(message)s"))
    logger = logging.getLogger("fnevr")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    typer.echo(", ".join(f"{name} {number}" for name, number in versions().items()), err=True)
