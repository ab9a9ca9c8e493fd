from __future__ import annotations

import pytest
from support.data_rows import make_row

from fnevr.data.split import assign_splits, identity_place

PEOPLE = [f"person{i}" for i in range(200)]


def splits(rows):
    return {row.name: row.split for row in rows}


def test_places_are_spread_and_never_change():
    places = [identity_place(person) for person in PEOPLE]
    assert 0.4 < sum(places) / len(places) < 0.6
    assert identity_place("ann") == pytest.approx(0.2874, abs=1e-4)


def test_people_are_in_one_split_whoever_else_there_is():
    rows = [make_row(f"{person}-{n}", person) for person in PEOPLE for n in range(2)]
    whole = splits(assign_splits(rows, 0.1))
    for person in PEOPLE:
        assert whole[f"{person}-0"] == whole[f"{person}-1"]
    assert 8 <= list(whole.values()).count("val") / 2 <= 32
    part = splits(assign_splits(rows[100:200], 0.1))
    assert part == {name: whole[name] for name in part}


def test_two_people_are_divided_and_one_is_not():
    rows = [make_row("a", "ann"), make_row("b", "bob")]
    assert sorted(splits(assign_splits(rows, 0.01)).values()) == ["train", "val"]
    assert splits(assign_splits(rows[:1], 0.01)) == {"a": "train"}
    assert set(splits(assign_splits(rows, 0.0)).values()) == {"train"}


def test_known_splits_are_kept_and_hold_for_the_person():
    rows = [make_row("a", "ann", split="val"), make_row("b", "ann"), make_row("c", "bob")]
    assert splits(assign_splits(rows, 0.0)) == {"a": "val", "b": "val", "c": "train"}
