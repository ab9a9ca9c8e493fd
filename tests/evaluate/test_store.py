"""Stored scores: read as they were written; what is damaged counts as not there."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from fnevr.errors import MediaError, WriteError
from fnevr.evaluate.scorer import ClipScores
from fnevr.evaluate.store import ScoreStore

SCORES = ClipScores({"psnr": [20.0, float("nan")]}, {"fid": np.ones((2, 3), np.float32)})


def saved(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def test_scores_come_back(tmp_path):
    store = ScoreStore(tmp_path)
    assert not store.has("key", "clip")
    with pytest.raises(MediaError, match="cannot read the scores"):
        store.read("key", "clip")
    store.write("key", "clip", SCORES)
    back = store.read("key", "clip")
    assert store.has("key", "clip")
    np.testing.assert_array_equal(back.values["psnr"], SCORES.values["psnr"])
    np.testing.assert_array_equal(back.features["fid"], SCORES.features["fid"])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no scores",
        saved(a=np.zeros(3))[:-30],
        saved(**{"value psnr": np.array([{"a": 1}], dtype=object)}),
        saved(**{"value psnr": np.array(["a"])}),
        saved(**{"value psnr": np.zeros((2, 2))}),
        saved(**{"features fid": np.zeros(2)}),
        saved(**{"surprise": np.zeros(2)}),
        saved(**{"value psnr": np.zeros(3)}).replace(b"(3,)", b"(3, "),
        saved(**{"value psnr": np.zeros(3)}).replace(b"'<f8'", b"'<f8\n"),
    ],
)
def test_damaged_scores_are_made_again(tmp_path, content):
    store = ScoreStore(tmp_path)
    store.write("key", "clip", SCORES)
    (tmp_path / "key" / "clip.npz").write_bytes(content)
    assert not store.has("key", "clip")
    with pytest.raises(MediaError, match=r"clip\.npz"):
        store.read("key", "clip")
    store.write("key", "clip", SCORES)
    assert store.has("key", "clip")


def test_compressed_scores_are_not_unpacked(tmp_path):
    """What takes 80 MB is said to be damaged before it is made, from a file of 80 kB."""
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {"value psnr": np.zeros(10**7)}
    np.savez_compressed(buffer, **arrays)
    assert len(buffer.getvalue()) < 10**5
    (tmp_path / "key").mkdir()
    (tmp_path / "key" / "clip.npz").write_bytes(buffer.getvalue())
    with pytest.raises(MediaError, match="it is compressed"):
        ScoreStore(tmp_path).read("key", "clip")


def test_a_folder_where_scores_should_be(tmp_path):
    (tmp_path / "key" / "clip.npz").mkdir(parents=True)
    store = ScoreStore(tmp_path)
    assert not store.has("key", "clip")
    with pytest.raises(WriteError, match="not a regular file"):
        store.write("key", "clip", SCORES)
