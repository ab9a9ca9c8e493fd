"""All files of a command are checked before any work, by one rule."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from support.commands import all_commands
from typer.testing import CliRunner

from fnevr.cli import app
from fnevr.commands.options import BAD_INPUT
from fnevr.media.files import is_same_file
from fnevr.media.image import write_image
from fnevr.runtime import load

COMMANDS = all_commands()


@pytest.fixture
def here(tmp_path, monkeypatch, gray_picture):
    """A working directory with inputs; whoever loads a model or reads a picture fails the test."""
    monkeypatch.chdir(tmp_path)
    write_image("me.png", gray_picture)
    for name in ("talk.mp4", "sliders.json", "deca.tar", "flame.pkl", "vox.pth.tar", "a.tsv"):
        Path(name).write_bytes(b"input")
    for folder in ("clips", "frames", "depth"):
        Path(folder).mkdir()
    write_image("frames/1.png", gray_picture)
    Path("model").mkdir()
    for name in ("config.json", "model.safetensors"):
        (Path("model") / name).write_bytes(b"{}")
    os.link("me.png", "hard.png")
    Path("soft.png").symlink_to("me.png")
    Path("folder").symlink_to(".", target_is_directory=True)

    def load_nothing(*_arguments, **_options):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(load, "load_engine", load_nothing)
    monkeypatch.setattr("fnevr.runtime.sessions.start_loading", load_nothing)
    return tmp_path


@pytest.fixture
def gray_picture():
    return np.full((40, 40, 3), 128, np.uint8)


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refusal(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == BAD_INPUT, result.output
    return " ".join(result.stderr.split())


ANIMATE = ("animate", "-s", "me.png", "-d", "talk.mp4")


@pytest.mark.parametrize(
    ("arguments", "one", "other"),
    [
        ((*ANIMATE, "--json", "me.png"), "--json", "--source"),
        ((*ANIMATE, "--json", "hard.png"), "--json", "--source"),
        ((*ANIMATE, "--json", "soft.png"), "--json", "--source"),
        ((*ANIMATE, "--json", "folder/talk.mp4"), "--json", "--driving"),
        ((*ANIMATE, "-o", "./folder/talk.mp4"), "--output", "--driving"),
        ((*ANIMATE, "-o", "new.mp4", "--json", "folder/new.mp4"), "--json", "--output"),
        ((*ANIMATE, "--sliders", "sliders.json", "--json", "sliders.json"), "--json", "--sliders"),
        (("animate", "--json", "result.mp4"), "--json", "--output"),
        (("record", "talk.mp4", "-o", "hard.safetensors"), "--output", "DRIVER"),
        (("reconstruct", "talk.mp4", "--json", "talk.mp4"), "--json", "CLIP"),
        (("edit", "me.png", "-o", "soft.png"), "--output", "IMAGE"),
        (
            ("edit", "me.png", "--save-sliders", "a.png", "-o", "a.png"),
            "--save-sliders",
            "--output",
        ),
        (
            ("edit", "me.png", "--sliders", "sliders.json", "--save-sliders", "sliders.json"),
            "--save-sliders",
            "--sliders",
        ),
        (
            ("reconstruct3d", "me.png", "--overlay", "z.png", "--json", "z.png"),
            "--json",
            "--overlay",
        ),
        (
            ("reconstruct3d", "me.png", "--depth", "z.png", "--normals", "z.png"),
            "--normals",
            "--depth",
        ),
        (
            ("reconstruct3d", "me.png", "--json", "deca.tar", "--deca", "deca.tar"),
            "--json",
            "--deca",
        ),
        (("reconstruct3d", "me.png", "--overlay", "hard.png"), "--overlay", "IMAGE"),
        (("prepare", "frames", "folder/frames"), "OUT", "IN"),
        (("prepare", "frames", "out", "--shards", "out"), "--shards", "OUT"),
        (("prepare-stills", "frames", "clips", "--motion", "clips"), "OUT", "--motion"),
        (("train", "clips", "clips"), "RUN", "DATA"),
        (("convert", "vox.pth.tar", "depth", "--depth", "depth"), "FOLDER", "--depth"),
        (("export", "model", "folder/model"), "FOLDER", "MODEL"),
        (
            ("evaluate", "--data", "clips", "--model", "lite", "--report", "clips"),
            "--report",
            "--data",
        ),
    ],
)
def test_no_output_is_an_input_or_another_output(here, arguments, one, other):
    if "hard.safetensors" in arguments:
        os.link("talk.mp4", "hard.safetensors")
    before = contents(here)
    assert re.search(
        rf"Error: {one} and {other} are both '.*cannot be one file", refusal(*arguments)
    )
    assert contents(here) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*ANIMATE, "--model", "model", "--json", "model/config.json"), "--json .* of --model"),
        (("animate", "-s", "me.png", "-d", "frames", "--json", "frames/1.png"), "of --driving"),
        ((*ANIMATE, "--sliders", "no.json"), r"no such file: 'no\.json'.*\(--sliders\)"),
        ((*ANIMATE, "--model", "clips"), r"is no model.*\(--model\)"),
        (("edit", "frames", "--yaw", "5"), r"not a regular file.*\(IMAGE\)"),
        ((*ANIMATE, "--json", "no/a.json"), r"does not exist.*\(--json\)"),
        ((*ANIMATE, "--json", "frames"), r"not a regular file.*\(--json\)"),
        (("edit", "me.png", "-o", "a.mp4"), r"must end in .*\(--output\)"),
        (("edit", "me.png", "--sweep", "yaw=0:9", "-o", "a.png"), r"must end in .*\(--output\)"),
        (("edit", "me.png", "--save-sliders", "no/a.json"), r"does not exist.*\(--save-sliders\)"),
        (("reconstruct3d", "me.png", "--flame", "no.pkl"), r"no such file.*\(--flame\)"),
        (("reconstruct3d", "me.png", "--normals", "a.txt"), r"must end in .*\(--normals\)"),
        (("prepare", "no", "out"), r"no such folder: 'no'.*\(IN\)"),
        (("prepare", "frames", "me.png"), r"'.*me\.png' is a file \(OUT\)"),
        (("prepare", "frames", "out", "--json", "no/a.json"), r"\(--json\)"),
        (("prepare", "frames", "out", "--voxceleb", "no"), r"\(--voxceleb\)"),
        (("train", "no", "run"), r"\(DATA\)"),
        (("train", "clips", "run", "--stills", "no"), r"\(--stills\)"),
        (("convert", "no.tar", "out"), r"\(CHECKPOINT\)"),
        (("convert", "no", "out"), r"no such file: 'no'.*\(CHECKPOINT\)"),
        (("convert", "depth", "out"), r"EPOCH_identity_embedder\.pth and so on.*\(CHECKPOINT\)"),
        (("export", "lite", "out", "--calibration", "no"), r"\(--calibration\)"),
        (("evaluate", "--data", "no", "--model", "lite", "--report", "r"), r"\(--data\)"),
        (
            ("evaluate", "--data", "clips", "--model", "lite", "--report", "r", "--arcface", "no"),
            r"\(--arcface\)",
        ),
        (("bench", "--json", "no/a.json"), r"\(--json\)"),
        (("complexity", "--json", "frames"), r"\(--json\)"),
    ],
)
def test_files_are_checked_before_any_work(here, arguments, message):
    before = contents(here)
    assert re.search(message, refusal(*arguments))
    assert contents(here) == before


@pytest.mark.parametrize(
    "arguments",
    [
        (*ANIMATE, "-o", "old.mp4"),
        (*ANIMATE, "-o", "new.mp4", "--json", "old.json"),
        ("edit", "me.png", "--save-sliders", "old.json"),
        ("reconstruct3d", "me.png", "--overlay", "old.png"),
        ("record", "talk.mp4", "-o", "old.safetensors"),
        ("convert", "vox.pth.tar", "model"),
        ("models", "--json", "old.json"),
    ],
)
def test_no_clobber_replaces_nothing(here, arguments):
    for suffix in ("mp4", "json", "png", "safetensors"):
        Path(f"old.{suffix}").write_bytes(b"earlier result")
    before = contents(here)
    assert re.search(
        r"exists already: .* leave --no-clobber out", refusal(*arguments, "--no-clobber")
    )
    assert contents(here) == before


def test_without_no_clobber_earlier_results_are_replaced(here):
    Path("old.json").write_bytes(b"earlier result")
    result = CliRunner().invoke(app, ["models", "--json", "old.json"])
    assert result.exit_code == 0
    assert b"lite" in Path("old.json").read_bytes()


def test_commands_that_write_files_can_keep_earlier_ones():
    without = {"train", "train-editor", "evaluate", "reproduce paper", "export", "web"}
    for name, command in COMMANDS.items():
        options = {flag for parameter in command.params for flag in parameter.opts}
        assert ("--no-clobber" in options) == (name not in without), name


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("me.png", "hard.png", True),
        ("me.png", "soft.png", True),
        ("new", "folder/folder/new", True),
        ("new", "clips/../new", True),
        ("new", "newer", False),
        ("me.png", "frames/1.png", False),
        ("me.png", "a\0b", False),
    ],
)
def test_one_file_by_two_names(here, one, other, is_same):
    assert is_same_file(one, other) == is_same
    assert is_same_file(other, one) == is_same


def test_a_loop_of_links_is_refused_and_not_our_fault(here):
    Path("loop.png").symlink_to("loop.png")
    assert "(--source)" in refusal("animate", "-s", "loop.png", "-d", "talk.mp4")
    assert "(--json)" in refusal(*ANIMATE, "--json", "loop.png")
