from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fnevr.data.sources import (
    Job,
    Span,
    check_names,
    compile_identity,
    find_videos,
    identity_of,
    job_name,
    plan_videos,
)
from fnevr.errors import FnevrError, MediaError


def test_videos_are_found_at_any_depth_and_nothing_else(tmp_path):
    for name in ("b.mp4", "sub/deep/a.MKV", "notes.txt", ".hidden/c.mp4", "sub/.d.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in find_videos(tmp_path)]
    assert found == ["b.mp4", "sub/deep/a.MKV"]


def test_folder_without_videos_says_so(tmp_path):
    with pytest.raises(MediaError, match="no such folder"):
        find_videos(tmp_path / "gone")
    with pytest.raises(MediaError, match=r"no videos in .*\n.*\.mp4"):
        find_videos(tmp_path)


@pytest.mark.parametrize(
    ("path", "pattern", "identity"),
    [
        ("ann/one.mp4", None, "ann"),
        ("ann/day 1/one.mp4", None, "ann"),
        ("bob.mp4", None, "bob"),
        ("s07_take2.mp4", r"^(s\d+)_", "s07"),
        ("x/s07_take2.mp4", r"/(s\d+)_", "s07"),
    ],
)
def test_identity_is_the_folder_the_name_or_what_the_pattern_finds(path, pattern, identity):
    compiled = None if pattern is None else compile_identity(pattern)
    assert identity_of(Path(path), compiled) == identity


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "is no regular expression"),
        ("s07", "has no group"),
        ("^(x)", "finds nothing in 'a.mp4'"),
    ],
)
def test_pattern_that_does_not_work_says_so(tmp_path, pattern, message):
    (tmp_path / "a.mp4").touch()
    with pytest.raises(FnevrError, match=message):
        plan_videos(tmp_path, pattern)


def test_names_are_readable_and_unlike_for_unlike_paths():
    paths = ["ann/one.mp4", "bob/one.mp4", "ann/one.mov", "ann/o ne.mp4", "ann/o_ne.mp4", "ö/ö.mp4"]
    names = [job_name(Path(path)) for path in paths]
    assert len(set(names)) == len(paths)
    assert names[0].startswith("one-")
    assert all(name.isascii() and " " not in name for name in names)


def test_same_names_say_so():
    with pytest.raises(FnevrError, match=r"'a/x\.mp4' and 'b/x\.mp4' have the same name"):
        check_names([Job("x", Path("x"), "a/x.mp4"), Job("x", Path("x"), "b/x.mp4")])


def test_boxes_are_in_pixels_and_between_those_that_are_known():
    boxes = np.array([[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]])
    span = Span("a", "b", 0.0, 1.0, np.array([0.0, 1.0]), boxes)
    assert span.box_at(0.5, 200, 100) == (50, 25, 150, 75)
    pixels = Span("a", "b", 0.0, 1.0, np.array([0.0, 1.0]), boxes, is_share=False)
    assert pixels.box_at(0.5, 200, 100) == (0.25, 0.25, 0.75, 0.75)
    assert Span("a", "b").box_at(0.5, 200, 100) is None
