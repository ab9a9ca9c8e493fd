"""The texts of the library's sources, for tests of what they say."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import fnevr

PACKAGE = Path(fnevr.__file__).parent


@cache
def library_nodes() -> tuple[tuple[str, ast.AST], ...]:
    """Return every node of the library but for the command line, with its file's name."""
    names = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
    return tuple(
        (name, node)
        for name, path in names.items()
        if name != "cli.py" and not name.startswith("commands/")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    )


def library_texts(*, docstrings: bool = True) -> Iterator[tuple[str, str]]:
    """Yield every constant text with its file's name; an f-string comes in parts."""
    alone: set[ast.AST] = set()  # a text that is a statement documents something
    for name, node in library_nodes():
        if isinstance(node, ast.Expr):
            alone.add(node.value)
        if node in alone and not docstrings:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield name, node.value
