"""How the command line says what the library says."""

import ast
import errno
import os
import re
import subprocess
import sys

import pytest
import typer
from support.commands import all_commands
from support.texts import library_nodes, library_texts
from typer.testing import CliRunner

from fnevr.cli import app
from fnevr.commands.options import (
    ARGUMENT,
    BAD_INPUT,
    INTERRUPTED,
    TAKEN_UP,
    answering_for_errors,
    in_options,
    option_of,
)
from fnevr.commands.paths import Reads
from fnevr.errors import FnevrError, MediaError

COMMANDS = all_commands()
OPTIONS = [
    (command, parameter)
    for command, parameters in COMMANDS.items()
    for parameter in parameters.params
    if parameter.opts[0].startswith("--") and parameter.name not in ("help", "json_file")
]
FLAGS = {flag for _, each in OPTIONS for flag in (*each.opts, *each.secondary_opts)}


def told(capsys, error, flags=None, *more):
    with pytest.raises(typer.Exit) as stopped, answering_for_errors(flags or {}, *more):
        raise error
    return stopped.value.exit_code, capsys.readouterr().err.rstrip("\n")


@pytest.mark.parametrize(("command", "parameter"), OPTIONS, ids=str)
def test_every_option_is_found_by_the_name_of_its_argument(command, parameter):
    assert option_of(parameter.name) == parameter.opts[0]
    assert option_of(parameter.name, "True") == parameter.opts[0]
    if parameter.secondary_opts:
        assert option_of(parameter.name, "False") == parameter.secondary_opts[0]
    else:
        assert option_of(parameter.name, "'x'") == f"{parameter.opts[0]} x"


def test_whole_numbers_have_an_end():
    """10 ** 400 is a whole number too, and no float; seeds are bounded by the library."""
    numbers = [each for each in OPTIONS if each[1].type_descriptor.annotation is int]
    assert len(numbers) > 20
    endless = {parameter.name for _, parameter in numbers if parameter.max is None}
    assert endless == {"seed"}


def test_every_argument_that_the_library_names_has_an_option():
    named = {
        option_of(match[1], match[2]).split()[0]
        for _, text in library_texts(docstrings=False)
        for match in ARGUMENT.finditer(text)
    }
    assert {"--no-crop", "--engine", "--depth"} <= named <= FLAGS


def test_every_argument_that_an_error_is_about_has_an_option():
    about = {
        option_of(str(node.value.value))
        for name, node in library_nodes()
        if not name.startswith("server/")  # whose page has fields, not options
        and isinstance(node, ast.keyword)
        and node.arg == "argument"
        and isinstance(node.value, ast.Constant)
    }
    assert {"--face", "--best-frame", "--workers"} <= about <= FLAGS


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("or `crop=False` if it is cropped", "or --no-crop if it is cropped"),
        ("use `transfer='relative'`", "use --transfer relative"),
        ("use `paste_back=True`", "use --paste-back"),
        ("`engine='tensorrt'` needs `device=\"cuda\"`", "--engine tensorrt needs --device cuda"),
        ("name it by `depth=FOLDER`", "name it by --depth FOLDER"),
        ("run `fnevr prepare A B`, see `lite`", "run `fnevr prepare A B`, see `lite`"),
        ("as in yaw=-30:30", "as in yaw=-30:30"),
    ],
)
def test_arguments_in_backquotes_become_options(message, said):
    assert in_options(message) == said


@pytest.mark.parametrize(
    ("error", "flags", "said"),
    [
        (FnevrError("there is no face 3", argument="face"), {}, "there is no face 3 (--face)"),
        (FnevrError("too far", argument="yaw_deg"), {"--source": "far"}, "too far (--yaw)"),
        (
            FnevrError("use `device='cpu'`", argument="device"),
            {},
            "use --device cpu",
        ),
        (MediaError("no such file: 'a.mp4'"), {"--driving": "a.mp4"}, "'a.mp4' (--driving)"),
        (MediaError("no such file: 'aa.mp4'"), {"--driving": "a.mp4"}, "file: 'aa.mp4'"),
        (MediaError("'a--b.mp4' is empty"), {"CLIP": "a--b.mp4"}, "'a--b.mp4' is empty (CLIP)"),
    ],
)
def test_a_message_ends_with_its_option(capsys, monkeypatch, error, flags, said):
    monkeypatch.setattr("fnevr.commands.options.check_files", lambda *_files, **_options: None)
    code, message = told(capsys, error, {flag: Reads(path) for flag, path in flags.items()})
    assert code == BAD_INPUT
    assert message.startswith("Error: ")
    assert message.endswith(said)


def test_an_interrupt_says_what_is_true_of_the_command(capsys):
    assert told(capsys, KeyboardInterrupt()) == (INTERRUPTED, "Interrupted; nothing was written.")
    code, message = told(capsys, KeyboardInterrupt(), {}, TAKEN_UP)
    assert code == INTERRUPTED
    assert "what is finished is kept, and the same command goes on" in message
    assert "nothing was written" not in message


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 TB"),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB"),
    ],
)
def test_a_full_memory_is_the_machines_fault(capsys, error):
    code, message = told(capsys, error)
    assert code == BAD_INPUT
    assert "not enough memory: take smaller" in message


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.EDQUOT])
def test_a_full_disk_is_the_machines_fault(capsys, number):
    code, message = told(capsys, OSError(number, os.strerror(number)))
    assert code == BAD_INPUT
    assert "make room" in message


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENAMETOOLONG, errno.EIO, errno.ESTALE])
def test_a_file_that_the_system_refuses_is_not_our_fault(capsys, number):
    code, message = told(capsys, OSError(number, os.strerror(number), "me.jpg"))
    assert code == BAD_INPUT
    assert message == f"Error: cannot use 'me.jpg': {os.strerror(number)}"


LONG = "n" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        ("animate", "--model", LONG),
        ("edit", LONG),
        ("prepare", LONG, "out"),
        ("convert", LONG, "out"),
        ("evaluate", "--data", LONG, "--model", "lite", "--report", "report"),
        ("models", "--json", f"{LONG}/{LONG}.json"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_names_that_are_too_long(tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == BAD_INPUT, result.output
    assert re.search("File name too long|no such folder", " ".join(result.stderr.split()))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
@pytest.mark.parametrize("arguments", [["models"], ["models", "--json", "-"]], ids=" ".join)
def test_a_closed_pipe_is_nobodys_fault(arguments):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "fnevr", *arguments],
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")
