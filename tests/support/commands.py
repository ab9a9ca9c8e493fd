"""All commands of the command line, those of groups by both of their words."""

from __future__ import annotations

from typing import Any

from typer.main import get_command

from fnevr.cli import app


def all_commands():
    """Return the commands by their names."""
    commands: dict[str, Any] = {}
    for name, command in vars(get_command(app))["commands"].items():
        inner = vars(command).get("commands")
        commands |= (
            {f"{name} {word}": one for word, one in inner.items()} if inner else {name: command}
        )
    return commands
