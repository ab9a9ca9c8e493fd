from __future__ import annotations

import pytest
from support.still_folders import HEADER, TABLE

from fnevr.data.still_table import read_sitters
from fnevr.errors import MediaError


def test_pictures_of_one_person_come_together(tmp_path):
    (tmp_path / "stills.tsv").write_text(HEADER + TABLE)
    ann, bob, *_ = read_sitters(tmp_path)
    assert ann.pictures == (tmp_path / "stills" / "ann1.png", tmp_path / "stills" / "ann2.png")
    assert (ann.row.identity, ann.row.split, ann.row.source) == (
        "ann",
        "train",
        "ann1.png, ann2.png",
    )
    assert (ann.row.frames, ann.row.real_frames, ann.row.weight) == (2, 2, 2.0)
    assert (ann.row.licence, ann.row.tags) == ("CC0", {"origin": "here"})
    assert (bob.row.split, bob.row.weight, bob.row.tags) == ("val", 1.0, {})
    assert bob.row.name.startswith("bob-")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name\tsplit\na.png\ttrain\n", r"lacks the columns \['identity'\]"),
        (HEADER + "a.png\ttest\ta\t\t\t\n", "a.png: split must be train or val, got 'test'"),
        (HEADER + "a.png\t\ta\t\t\t\n", "a.png: split must be train or val, got ''"),
        (
            HEADER + "a.png\ttrain\ta\tmuch\t\t\n",
            "weight must be more than 0 and at most 1e.06, got 'much'",
        ),
        (
            HEADER + "a.png\ttrain\ta\t0\t\t\n",
            "weight must be more than 0 and at most 1e.06, got '0'",
        ),
        (HEADER + "a.png\ttrain\ta\t1e308\t\t\n", "weight must be more than 0 and at most"),
        ("\t".join(["name", *map(str, range(1000))]) + "\na\n" * 9, "1001 columns, at most 1000"),
        (HEADER + "a.png\n", "row 1 ends before its split"),
        (
            HEADER + "a.png\ttrain\ta\t\t\t\nb.png\tval\ta\t\t\t\n",
            "a is in both splits: a.png and b.png",
        ),
    ],
)
def test_table_that_cannot_be_used_says_why(tmp_path, text, message):
    (tmp_path / "stills.tsv").write_text(text)
    with pytest.raises(MediaError, match=message):
        read_sitters(tmp_path)


def test_missing_table_says_what_is_needed(tmp_path):
    with pytest.raises(MediaError, match=r"holds stills\.tsv and a folder stills/"):
        read_sitters(tmp_path)
