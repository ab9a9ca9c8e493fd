from __future__ import annotations

import numpy as np
import pytest

from fnevr.data.voxceleb import plan_voxceleb, read_utterance
from fnevr.errors import MediaError

HEADER = """Identity  : \tid00017
Reference : \t01dfn2spqyE
Offset    : \t-1
FV Conf   : \t16.140\t(1)
ASD Conf  : \t5.142

FRAME \tX \tY \tW \tH
"""
SHARES = "000100 \t0.250 \t0.125 \t0.422 \t0.749 \n000101 \t0.260 \t0.125 \t0.422 \t0.749 \n"
PIXELS = "000245 254 41 187 187\n000246 255 41 187 187\n000247 256 42 187 187\n"


def write_list(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_voxceleb2_gives_shares(tmp_path):
    utterance = read_utterance(write_list(tmp_path / "00001.txt", HEADER + SHARES))
    assert (utterance.identity, utterance.reference) == ("id00017", "01dfn2spqyE")
    assert utterance.frames.tolist() == [100, 101]
    np.testing.assert_allclose(utterance.boxes[1], [0.26, 0.125, 0.422, 0.749])
    assert utterance.is_share


def test_voxceleb1_gives_pixels(tmp_path):
    utterance = read_utterance(write_list(tmp_path / "00001.txt", HEADER + PIXELS))
    assert utterance.frames.tolist() == [245, 246, 247]
    assert utterance.boxes[2].tolist() == [256, 42, 187, 187]
    assert not utterance.is_share


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no 'Identity"),
        ("just a text\n", "line 1: 'just a text' is neither"),
        (HEADER, "there are no rows"),
        (HEADER + "1 2 3\n", "line 8: '1 2 3' is no frame and box"),
        (HEADER + "1 2 3 4 x\n", "line 8: '1 2 3 4 x' is no row of numbers"),
        (HEADER + "1 2 3 0 5\n", "line 8: '1 2 3 0 5' is no frame and box"),
        (HEADER + "1 2 3 nan 5\n", "is no frame and box"),
        (HEADER.replace("Reference", "Video") + SHARES, "there is no 'Reference"),
        (HEADER.replace("01dfn2spqyE", "") + SHARES, "there is no 'Reference"),
    ],
)
def test_malformed_lists_say_where(tmp_path, text, message):
    with pytest.raises(MediaError, match=message):
        read_utterance(write_list(tmp_path / "00001.txt", text))


def test_list_that_is_no_text_says_so(tmp_path):
    (tmp_path / "00001.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MediaError, match=r"cannot read '.*00001\.txt'"):
        read_utterance(tmp_path / "00001.txt")


def test_lists_become_one_job_per_video(tmp_path):
    videos, lists = tmp_path / "videos", tmp_path / "txt"
    (videos / "sub").mkdir(parents=True)
    (videos / "sub" / "01dfn2spqyE.mp4").touch()
    write_list(lists / "id00017" / "01dfn2spqyE" / "00001.txt", HEADER + SHARES)
    write_list(lists / "id00017" / "01dfn2spqyE" / "00002.txt", HEADER + PIXELS)
    write_list(lists / "id2" / "gone" / "1.txt", HEADER.replace("01dfn2spqyE", "gone") + SHARES)
    write_list(lists / "broken.txt", "nothing")
    (job,), missing, malformed = plan_voxceleb(videos, lists)
    assert job.source == "sub/01dfn2spqyE.mp4"
    assert missing == ["gone"]
    assert list(malformed) == ["broken.txt"]
    first, second = job.spans
    assert first.identity == second.identity == "id00017"
    assert first.name != second.name
    # Frames 100 and 101 at 25 frames per second; a box 0.422 wide from 0.25 on.
    assert (first.start_s, first.stop_s) == (4.0, 4.08)
    assert first.box_at(4.0, 1000, 1000) == pytest.approx((250, 125, 672, 874))
    assert second.box_at(9.8, 1000, 1000) == pytest.approx((254, 41, 441, 228))


def test_no_lists_at_all_say_so(tmp_path):
    (tmp_path / "a.mp4").touch()
    with pytest.raises(MediaError, match="no text files"):
        plan_voxceleb(tmp_path, tmp_path)
    write_list(tmp_path / "readme.txt", "hello")
    with pytest.raises(MediaError, match="has no VoxCeleb lists"):
        plan_voxceleb(tmp_path, tmp_path)
