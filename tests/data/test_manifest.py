from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from support.data_rows import make_row

from fnevr.data.manifest import MANIFEST, read_manifest, write_manifest
from fnevr.errors import MediaError


def test_rows_come_back(tmp_path):
    rows = [make_row("a", split="train", licence="CC0", tags={"tier": "A"}), make_row("b")]
    write_manifest(tmp_path, rows)
    assert read_manifest(tmp_path) == rows
    assert len((tmp_path / MANIFEST).read_text().splitlines()) == 2


def test_folder_without_manifest_says_what_to_run(tmp_path):
    with pytest.raises(MediaError, match="is no prepared folder"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: the line: "),
        ('{"name": "a"}', "line 2: identity: Field required"),
        (make_row().model_dump_json()[:-1] + ', "colour": 1}', "line 2: colour: Extra inputs"),
    ],
)
def test_line_that_is_no_row_says_which(tmp_path, line, message):
    (tmp_path / MANIFEST).write_text(make_row().model_dump_json() + "\n" + line + "\n")
    with pytest.raises(MediaError, match=message):
        read_manifest(tmp_path)


@pytest.mark.parametrize("separator", list("\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e"))
def test_names_may_hold_what_python_takes_for_the_end_of_a_line(tmp_path, separator):
    name = f"a{separator}b"
    rows = [make_row("a", name, source=name, tags={name: name}), make_row("b", licence=name)]
    write_manifest(tmp_path, rows)
    assert read_manifest(tmp_path) == rows


def test_a_manifest_may_be_empty(tmp_path):
    write_manifest(tmp_path, [])
    assert read_manifest(tmp_path) == []


@pytest.mark.parametrize("values", [{"fps": np.inf}, {"motion": np.nan}, {"crop": (0, 0, np.inf)}])
def test_what_could_not_be_read_is_not_written(tmp_path, values):
    with pytest.raises(ValidationError, match="finite"):
        make_row(**values)
    changed = make_row().model_copy(update=values)  # which checks nothing
    with pytest.raises(MediaError, match=f"line 1: {next(iter(values))}"):
        write_manifest(tmp_path, [changed])
    assert list(tmp_path.iterdir()) == []


def test_a_manifest_that_is_no_text(tmp_path):
    (tmp_path / MANIFEST).write_bytes(b"\xff\xfe")
    with pytest.raises(MediaError, match="delete the manifest"):
        read_manifest(tmp_path)


def test_name_cannot_leave_the_folder():
    with pytest.raises(ValidationError, match="name"):
        make_row("../elsewhere")
