from __future__ import annotations

import numpy as np
import pytest
from support.data_rows import make_row

from fnevr.data.clips import Clip, Frames, load_clips, load_stills, to_signed
from fnevr.data.manifest import clip_path, write_manifest
from fnevr.errors import MediaError


def test_clips_of_a_split_are_opened(small):
    clips = load_clips(small, "train")
    assert [(clip.name, clip.identity) for clip in clips] == [
        ("clip0", "ann"),
        ("clip1", "ann"),
        ("clip2", "bob"),
    ]
    for clip in clips:
        assert isinstance(clip.frames, Frames)
        assert clip.frames[0].shape == (32, 32, 3)
        assert clip.landmarks.shape == (6, 478, 2)
        assert clip.tracked.tolist() == [0, 1, 2, 3, 4, 5]
        assert clip.motion == 0.1


def test_tracked_frames_are_those_with_landmarks():
    landmarks = np.zeros((4, 478, 2), np.float32)
    landmarks[1] = np.nan
    clip = Clip("clip", "a", 0.0, np.zeros((4, 8, 8, 3), np.uint8), landmarks)
    assert clip.tracked.tolist() == [0, 2, 3]


def test_split_without_clips_says_so(tmp_path):
    write_manifest(tmp_path, [make_row(split="train")])
    with pytest.raises(MediaError, match="no clips of the split 'val'"):
        load_clips(tmp_path, "val")


def test_clips_and_stills_of_one_folder_are_told_apart(small, tmp_path):
    (tmp_path / "clips").mkdir()
    for name in ("clip", "still"):
        clip_path(tmp_path, name).write_bytes(clip_path(small, "clip0").read_bytes())
    still = make_row("still", split="train", real_frames=2, weight=0.5)
    write_manifest(tmp_path, [make_row("clip", split="train"), still])
    (clip,), (still,) = load_clips(tmp_path, "train"), load_stills(tmp_path, "train")
    assert (clip.name, clip.real_frames, clip.weight) == ("clip", None, 1.0)
    assert (still.name, still.real_frames, still.weight) == ("still", 2, 0.5)
    assert load_stills(tmp_path, "val") == []


def test_clip_unlike_its_row_says_so(small, tmp_path):
    (tmp_path / "clips").mkdir()
    clip_path(tmp_path, "clip").write_bytes(clip_path(small, "clip0").read_bytes())
    write_manifest(tmp_path, [make_row(split="train", frames=7)])
    with pytest.raises(MediaError, match="clip has 6 frames, its manifest says 7"):
        load_clips(tmp_path, "train")


def test_edges_of_the_picture_are_at_one():
    landmarks = np.array([[0, 0, 5], [640, 480, 5], [320, 120, 5]], np.float32)
    assert to_signed(landmarks, 640, 480).tolist() == [[-1, -1], [1, 1], [0, -0.5]]
