from __future__ import annotations

import numpy as np
import pytest
from media_clips import make_video

from fnevr.data.cache import build_cache, load_cache, read_table, to_signed
from fnevr.errors import MediaError
from fnevr.faces.tracker import FaceTracker
from fnevr.media.image import read_image
from fnevr.media.video import open_video
from fnevr.presets import asset

HEADER = "name\tsplit\tidentity\tmotion\n"


def portrait_frames():
    """The bundled portrait, then the same a few pixels further right."""
    picture = read_image(asset("portrait.jpg"))[:256, 128:384]
    return [picture, np.roll(picture, 4, axis=1), np.roll(picture, 8, axis=1)]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two clips of a face and one of nothing."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "clips").mkdir()
    options = {"crf": "10"}
    make_video(folder / "clips" / "face.mp4", portrait_frames(), options=options)
    make_video(folder / "clips" / "again.mp4", portrait_frames()[::-1], options=options)
    gray = [np.full((256, 256, 3), 128, np.uint8)] * 2
    make_video(folder / "clips" / "nobody.mp4", gray)
    rows = "face.mp4\ttrain\ta\t0.1\nagain.mp4\tval\ta\t0.2\nnobody.mp4\tval\tb\t0\n"
    (folder / "clips.tsv").write_text(HEADER + rows)
    return folder


@pytest.fixture(scope="module")
def cache(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache") / "new"
    done: list[str] = []
    build_cache(data, folder, workers=1, progress=done.append)
    assert sorted(done) == ["again.mp4", "face.mp4", "nobody.mp4"]
    return folder


def test_cache_holds_the_frames_and_landmarks_of_the_clips(data, cache):
    (clip,) = load_cache(data, cache, "train")
    assert (clip.name, clip.identity, clip.motion) == ("face.mp4", "a", 0.1)
    tracker = FaceTracker(num_threads=1)
    with open_video(data / "clips" / "face.mp4") as video:
        for index, frame in enumerate(video):
            assert np.array_equal(clip.frames[index], frame.rgb)
            track = tracker.update(frame.rgb)
            assert track is not None
            expected = to_signed(track.landmarks, 256, 256)
            np.testing.assert_allclose(clip.landmarks[index], expected, atol=1e-6)
    assert isinstance(clip.frames, np.memmap)
    assert clip.tracked.tolist() == [0, 1, 2]


def test_landmarks_follow_the_face(data, cache):
    """The second frame is the first 4 pixels of 256 further right."""
    (clip,) = load_cache(data, cache, "train")
    shift = (clip.landmarks[1] - clip.landmarks[0]).mean(axis=0)
    np.testing.assert_allclose(shift, [2 * 4 / 256, 0], atol=0.005)


def test_frames_without_a_face_are_marked(data, cache):
    nobody = load_cache(data, cache, "val")[1]
    assert nobody.name == "nobody.mp4"
    assert np.isnan(nobody.landmarks).all()
    assert nobody.tracked.size == 0


def test_building_again_does_only_what_is_missing(data, cache):
    before = {path.name: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert len(before) == 6
    (cache / "nobody.landmarks.npy").unlink()  # as if interrupted before its last file
    done: list[str] = []
    build_cache(data, cache, workers=1, progress=done.append)
    assert done == ["nobody.mp4"]
    after = {path.name: path.stat().st_mtime_ns for path in cache.iterdir()}
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"nobody.frames.npy", "nobody.landmarks.npy"}


def test_a_clip_that_cannot_be_read_says_which(tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips.tsv").write_text(HEADER + "gone.mp4\ttrain\ta\t0\n")
    with pytest.raises(MediaError, match=r"gone\.mp4"):
        build_cache(tmp_path, tmp_path / "cache", workers=1, progress=print)
    assert list((tmp_path / "cache").iterdir()) == []


def test_edges_of_the_picture_are_at_one():
    landmarks = np.array([[0, 0, 5], [640, 480, 5], [320, 120, 5]], np.float32)
    assert to_signed(landmarks, 640, 480).tolist() == [[-1, -1], [1, 1], [0, -0.5]]


def test_clip_outside_the_cache_says_so(data, tmp_path):
    with pytest.raises(MediaError, match=r"face\.mp4 is not in the cache"):
        load_cache(data, tmp_path, "train")


def test_unknown_split_says_so(data, cache):
    with pytest.raises(MediaError, match="no clips of the split 'test'"):
        load_cache(data, cache, "test")


def test_missing_table_says_what_a_data_folder_holds(tmp_path):
    with pytest.raises(MediaError, match=r"clips\.tsv not found: a data folder holds"):
        read_table(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rows"),
        (HEADER, "has no rows"),
        ("name\tsplit\nface.mp4\ttrain\n", r"lacks the columns \['identity', 'motion'\]"),
    ],
)
def test_table_without_its_columns_says_which(tmp_path, text, message):
    (tmp_path / "clips.tsv").write_text(text)
    with pytest.raises(MediaError, match=message):
        read_table(tmp_path)


def test_motion_that_is_no_number_says_so(data, cache, tmp_path):
    (tmp_path / "clips.tsv").write_text(HEADER + "face.mp4\ttrain\ta\tmuch\n")
    with pytest.raises(MediaError, match=r"face\.mp4: motion must be a number, got 'much'"):
        load_cache(tmp_path, cache, "train")
