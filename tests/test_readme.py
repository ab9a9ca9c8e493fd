"""The README says what is there: its commands exist, and its file tree names every module."""

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from fnevr.cli import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [line for line in README.splitlines() if line.startswith("fnevr ")]


def test_there_are_commands():
    assert len(COMMANDS) >= 4


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_parse(line):
    _, name, *arguments = shlex.split(line)
    command = vars(get_command(app))["commands"][name]
    command.make_context(name, arguments)


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_the_file_tree_names_every_module():
    tree = README[README.index("src/fnevr/\n") :]
    package = ROOT / "src" / "fnevr"
    for path in package.rglob("*.py"):
        if path.name not in {"__init__.py", "__main__.py"}:
            assert re.search(rf"\b{path.stem}\b", tree), path.relative_to(package)
