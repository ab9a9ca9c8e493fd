"""Raw videos made of the bundled portrait, and folders prepared from them."""

from __future__ import annotations

import numpy as np
import pytest
from support.data_rows import make_row
from support.raw_videos import QUICK, write_raw_videos

from fnevr.data.manifest import clip_path, write_manifest
from fnevr.data.prepare import prepare
from fnevr.data.store import encode_frame, write_clip


@pytest.fixture(scope="session")
def raw(tmp_path_factory):
    return write_raw_videos(tmp_path_factory.mktemp("raw") / "videos")


@pytest.fixture(scope="session")
def prepared(raw, tmp_path_factory):
    """The raw videos, prepared; do not change it."""
    folder = tmp_path_factory.mktemp("prepared") / "new"
    prepare(raw, folder, QUICK)
    return folder


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A prepared folder of noise, made without looking for faces: four clips of three people."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "clips").mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for index, identity in enumerate(("ann", "ann", "bob", "cyd")):
        frames = rng.integers(0, 256, (6, 8, 8, 3), np.uint8).repeat(4, axis=1).repeat(4, axis=2)
        landmarks = rng.uniform(-1, 1, (6, 478, 2)).astype(np.float32)
        row = make_row(f"clip{index}", identity, split="val" if identity == "cyd" else "train")
        write_clip(clip_path(folder, row.name), [encode_frame(f) for f in frames], landmarks)
        rows.append(row)
    write_manifest(folder, rows)
    return folder
