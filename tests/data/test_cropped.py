from __future__ import annotations

import numpy as np
import pytest
from support.media_clips import make_video
from support.raw_videos import talking_frames

from fnevr.data.clips import load_clips
from fnevr.data.cropped import plan_cropped, read_table
from fnevr.data.manifest import read_manifest
from fnevr.data.prepare import prepare
from fnevr.errors import MediaError
from fnevr.faces.tracker import FaceTracker
from fnevr.media.video import open_video

HEADER = "name\tsplit\tidentity\tmotion\trepo_licence\ttier\n"


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Two clips of a face, one of nothing, and one that is not square."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "clips").mkdir()
    options = {"crf": "10"}
    make_video(folder / "clips" / "face.mp4", talking_frames(3), options=options)
    make_video(folder / "clips" / "again.mp4", talking_frames(3)[::-1], options=options)
    make_video(folder / "clips" / "nobody.mp4", [np.full((64, 64, 3), 128, np.uint8)] * 2)
    make_video(folder / "clips" / "wide.mp4", [np.full((64, 96, 3), 128, np.uint8)] * 2)
    rows = "face.mp4\ttrain\ta\t0.1\tMIT\tA\nagain.mp4\tval\tb\t0.2\t\t\n"
    rows += "nobody.mp4\tval\tb\t0\t\t\nwide.mp4\ttrain\tc\t0\t\t\n"
    (folder / "clips.tsv").write_text(HEADER + rows)
    return folder


@pytest.fixture(scope="module")
def report_and_folder(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared") / "new"
    return prepare(table, folder, cropped=True), folder


def test_ready_clips_keep_every_frame_and_what_the_table_says(report_and_folder, table):
    report, folder = report_and_folder
    rows = {row.name: row for row in read_manifest(folder)}
    assert set(rows) == {"face", "again", "nobody"}
    assert (rows["face"].split, rows["face"].identity, rows["face"].motion) == ("train", "a", 0.1)
    assert (rows["face"].licence, rows["face"].tags) == ("MIT", {"tier": "A"})
    assert (rows["face"].frames, rows["face"].fps, rows["face"].seconds) == (3, 25.0, 0.12)
    assert rows["face"].face_px == pytest.approx(109, abs=3)
    assert report.clips == {"train": 1, "val": 2}
    (clip,) = load_clips(folder, "train")
    tracker = FaceTracker(num_threads=1)
    with open_video(table / "clips" / "face.mp4") as video:
        for index, frame in enumerate(video):
            difference = clip.frames[index].astype(int) - frame.rgb
            assert np.square(difference).mean() < 12  # 37 dB: JPEG
            track = tracker.update(frame.rgb)
            assert track is not None
            expected = 2 * track.landmarks[:, :2] / 256 - 1
            np.testing.assert_allclose(clip.landmarks[index], expected, atol=1e-6)


def test_landmarks_follow_the_face(report_and_folder):
    """The second frame is the first 2 pixels of 256 further right."""
    (clip,) = load_clips(report_and_folder[1], "train")
    shift = (clip.landmarks[1] - clip.landmarks[0]).mean(axis=0)
    np.testing.assert_allclose(shift, [2 * 2 / 256, 0], atol=0.005)


def test_frames_without_a_face_are_marked(report_and_folder):
    nobody = load_clips(report_and_folder[1], "val")[1]
    assert nobody.name == "nobody"
    assert nobody.frames.shape == (2, 256, 256, 3)
    assert np.isnan(nobody.landmarks).all()
    assert nobody.tracked.size == 0


def test_clip_that_is_not_square_is_skipped_and_told(report_and_folder):
    report, _ = report_and_folder
    assert list(report.unreadable) == ["wide.mp4"]
    assert "is 96x64" in report.unreadable["wide.mp4"]


def test_missing_table_says_what_a_data_folder_holds(tmp_path):
    with pytest.raises(MediaError, match=r"clips\.tsv not found: a data folder holds"):
        read_table(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rows"),
        (HEADER, "has no rows"),
        ("\t".join(["name", *map(str, range(1000))]) + "\na\n" * 9, "1001 columns, at most 1000"),
        ("name\tsplit\nface.mp4\ttrain\n", r"lacks the columns \['identity', 'motion'\]"),
        (HEADER + "face.mp4\ttrain\ta\tmuch\t\t\n", "face: motion must be a number, got 'much'"),
        (HEADER + "face.mp4\ttrain\ta\t-1\t\t\n", "face: motion must be 0 or more"),
        (HEADER + "face.mp4\ttrain\ta\tnan\t\t\n", "face: motion must be 0 or more"),
        (HEADER + "face.mp4\ttrain\ta\tinf\t\t\n", "face: motion must be 0 or more"),
        (HEADER + "face.mp4\ttrain\n", "row 1 ends before its identity"),
        (HEADER + "face.mp4\ttrain\ta\t0\t\t\nface2.mp4\n", "row 2 ends before its split"),
        (HEADER + "face.mp4\ttest\ta\t0\t\t\n", "face: split must be train or val, got 'test'"),
        (HEADER + "a b.mp4\ttrain\ta\t0\t\t\n", "'a b.mp4' cannot be a clip's name"),
    ],
)
def test_table_that_cannot_be_used_says_why(tmp_path, text, message):
    (tmp_path / "clips.tsv").write_text(text)
    with pytest.raises(MediaError, match=message):
        plan_cropped(tmp_path, "")
