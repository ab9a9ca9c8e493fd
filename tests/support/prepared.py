"""A prepared folder of noise, for tests that only need some clips."""

from __future__ import annotations

import numpy as np
from support.data_rows import make_row

from fnevr.data.manifest import clip_path, write_manifest
from fnevr.data.store import encode_frame, write_clip


def prepared_clips(folder, side, num_frames=6):
    """One training clip and one for validation."""
    rng = np.random.default_rng(0)
    (folder / "clips").mkdir(parents=True)
    rows = []
    for split in ("train", "val"):
        frames = rng.integers(0, 255, (num_frames, side, side, 3), np.uint8)
        landmarks = rng.normal(0, 0.2, (num_frames, 478, 2)).astype("f4")
        jpegs = [encode_frame(frame) for frame in frames]
        write_clip(clip_path(folder, split), jpegs, landmarks)
        rows.append(make_row(split, split, split=split, frames=num_frames))
    write_manifest(folder, rows)
    return folder
