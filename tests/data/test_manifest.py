from __future__ import annotations

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


def test_name_cannot_leave_the_folder():
    with pytest.raises(ValidationError, match="name"):
        make_row("../elsewhere")
