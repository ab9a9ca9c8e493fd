"""The docs say what is there: commands exist, the tree names every module, links lead somewhere."""

import ast
import re
import shlex
import tomllib
from pathlib import Path

import pytest
from support.commands import all_commands
from support.texts import library_texts

import fnevr
from fnevr.extras import how_to_install

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")])
PACKAGE = ROOT / "src" / "fnevr"


def code_blocks(path: Path) -> list[tuple[str, str]]:
    """Return language and text of every fenced block of a page."""
    text = path.read_text(encoding="utf-8")
    return re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(path: Path) -> list[str]:
    """Return what a page's fenced blocks tell to run."""
    blocks = "\n".join(text for _, text in code_blocks(path))
    return re.findall(r"^(?:\.venv/bin/)?(fnevr .*)$", blocks, re.MULTILINE)


COMMANDS = [line for page in PAGES for line in commands(page)]
PYTHON = [text for page in PAGES for language, text in code_blocks(page) if language == "python"]


def test_there_are_commands():
    assert len(commands(ROOT / "README.md")) >= 5
    names = {line.split()[1] for line in commands(ROOT / "docs" / "commands.md")}
    assert names == {name.split()[0] for name in all_commands()}


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_parse(line):
    words = shlex.split(line, comments=True)[1:]
    name = next(name for name in all_commands() if words[: len(name.split())] == name.split())
    all_commands()[name].make_context(name, words[len(name.split()) :])


@pytest.mark.parametrize("text", PYTHON)
def test_the_python_parses_and_imports_what_there_is(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module == "fnevr":
            assert {alias.name for alias in node.names} <= set(fnevr.__all__)


INSTALLS = [
    (name, match[1])
    for name, text in [
        *((page.name, page.read_text(encoding="utf-8")) for page in PAGES),
        *((extra, f"{how_to_install(extra)}") for extra in ("torch", "train", "eval", "web")),
    ]
    for match in re.finditer(r"pip install ((?:-e )?'?(?:fnevr|\.|/)[^\s`'*]*)", text)
]


def test_fnevr_is_installed_from_its_sources():
    """No package index has it; other packages come from one."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    known = set(extras["project"]["optional-dependencies"])
    assert len(INSTALLS) > 10
    assert not [text for _, text in library_texts() if re.search(r"pip install '?fnevr", text)]
    for name, what in INSTALLS:
        found = re.fullmatch(r"(?:-e )?'?(?:\.|/[^\[]+)(?:\[([\w,]+)\])?", what)
        assert found, (name, what)
        assert set((found[1] or "torch").split(",")) <= known, (name, what)


@pytest.mark.parametrize(
    ("page", "how"),
    [
        ("README.md", r"^make animate\nsource \.venv/bin/activate$"),
        ("docs/commands.md", r"`pip install -e \.`"),
        ("docs/web.md", r"pip install -e '\.\[web\]'"),
    ],
)
def test_a_page_says_how_to_install_before_it_says_what_to_run(page, how):
    text = (ROOT / page).read_text(encoding="utf-8")
    install = re.search(how, text, re.MULTILINE)
    first = re.search(r"^fnevr ", text, re.MULTILINE)
    assert install
    assert first
    assert install.start() < first.start()


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = [
        target
        for page in PAGES
        for target in re.findall(r"^make (\w+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def file_tree() -> str:
    """Return the tree of the page on the code."""
    page = (ROOT / "docs" / "code.md").read_text(encoding="utf-8")
    return page[page.index("src/fnevr/\n") :]


def test_the_file_tree_names_every_module():
    tree = file_tree()
    for path in PACKAGE.rglob("*.py"):
        if path.name not in {"__init__.py", "__main__.py"}:
            assert re.search(rf"\b{path.stem}\b", tree), path.relative_to(PACKAGE)


def test_the_file_tree_names_no_other_module():
    there = {path.name for path in PACKAGE.rglob("*.py")}
    assert {Path(name).name for name in re.findall(r"[\w/]+\.py\b", file_tree())} <= there


def test_the_front_page_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 100


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_exist(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text):
        link = "".join(target).partition("#")[0]
        assert "://" in link or (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_prose_is_wrapped(page):
    lines = page.read_text(encoding="utf-8").splitlines()
    long = [line for line in lines if len(line) > 100 and not line.startswith(("|", "![", "<img"))]
    assert not long
