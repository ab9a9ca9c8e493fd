from __future__ import annotations

import numpy as np
import pytest
from support.killed import left_by_a_kill
from support.prepared import prepared_clips
from support.still_folders import write_motion, write_stills
from typer.testing import CliRunner

from fnevr.animation import still_views
from fnevr.animation.prepare_stills import NO_VIEWS, StillSettings, prepare_stills
from fnevr.cli import app
from fnevr.data.clips import load_clips, load_stills
from fnevr.data.manifest import read_manifest
from fnevr.errors import FnevrError, MediaError
from fnevr.evaluate.clips import find_clips
from fnevr.media.image import read_image


@pytest.fixture(scope="module", autouse=True)
def every_view_is_good():
    """Engines round in more than one way: no view shall be just at the limit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(still_views, "MOST_ASTRAY", 1.0)
        yield


@pytest.fixture(scope="module")
def stills(tmp_path_factory):
    return write_stills(tmp_path_factory.mktemp("stills") / "raw")


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return StillSettings(motion=str(write_motion(tmp_path_factory.mktemp("motion") / "m")), views=2)


@pytest.fixture(scope="module")
def report_and_folder(stills, settings, tmp_path_factory):
    """The stills, prepared; do not change them."""
    folder = tmp_path_factory.mktemp("prepared") / "new"
    return prepare_stills(stills, folder, settings), folder


def check_same(folder, other):
    """The same files; pictures may differ by how an engine rounds."""
    names, others = (
        {str(path.relative_to(each)) for path in each.rglob("*")} for each in (folder, other)
    )
    assert names == others
    assert read_manifest(folder) == read_manifest(other)
    for split in ("train", "val"):
        for clip, same in zip(load_stills(folder, split), load_stills(other, split), strict=True):
            np.testing.assert_allclose(clip.landmarks, same.landmarks, atol=0.02)
            assert np.abs(clip.frames[:].astype(float) - same.frames[:]).mean() < 1


def test_photographs_come_first_and_views_after_them(report_and_folder, stills):
    report, folder = report_and_folder
    (ann,), (bob,) = load_stills(folder, "train"), load_stills(folder, "val")
    assert (ann.identity, ann.real_frames, ann.weight) == ("ann", 2, 2.0)
    assert (bob.identity, bob.real_frames, bob.weight) == ("bob", 1, 1.0)
    assert ann.frames.shape == (6, 256, 256, 3)
    assert bob.frames.shape == (3, 256, 256, 3)
    assert not np.isnan(ann.landmarks).any()
    for clip, name in ((ann, "ann1"), (bob, "bob")):
        difference = clip.frames[0].astype(float) - read_image(stills / "stills" / f"{name}.png")
        assert np.square(difference).mean() < 12  # 37 dB: JPEG
    assert (report.people, report.stills) == (4, {"train": 1, "val": 1})
    assert (report.photographs, report.views, report.dropped) == (3, 6, {})


def test_stills_are_no_clips(report_and_folder):
    with pytest.raises(MediaError, match="has no clips of the split 'train'"):
        load_clips(report_and_folder[1], "train")
    with pytest.raises(MediaError, match="has no clips of the split None"):
        find_clips(report_and_folder[1], None)


def test_people_that_cannot_be_used_are_told_and_stop_nobody(report_and_folder):
    report, _ = report_and_folder
    assert list(report.skipped) == ["nobody.png", "wide.png"]
    assert "no face found" in report.skipped["nobody.png"]
    assert "is 256x200: stills are square" in report.skipped["wide.png"]
    assert "2 stills (1 train, 1 val), 3 photographs and 6 views" in report.lines()[-1]


def test_interrupted_run_goes_on_to_the_same_folder(stills, settings, report_and_folder, tmp_path):
    out = tmp_path / "out"

    def interrupt(_stage, num_done, _total):
        if num_done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_stills(stills, out, settings, progress=interrupt)
    assert [row.identity for row in read_manifest(out)] == ["ann"]
    left_by_a_kill(out / "clips", ".tar").write_text("what a kill leaves behind")
    report = prepare_stills(stills, out, settings)
    assert report.done_before == 1
    check_same(out, report_and_folder[1])


def test_what_the_table_says_of_finished_people_may_change(stills, settings, tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "out"
    raw.mkdir()
    (raw / "stills").symlink_to(stills / "stills")
    header, _, _, bob, *_ = (stills / "stills.tsv").read_text().splitlines(keepends=True)
    (raw / "stills.tsv").write_text(header + bob)
    assert prepare_stills(raw, out, settings).done_before == 0
    (raw / "stills.tsv").write_text(header + bob.replace("val\tbob\t", "train\tbob\t3"))
    assert prepare_stills(raw, out, settings).done_before == 1
    (row,) = read_manifest(out)
    assert (row.split, row.weight, row.frames) == ("train", 3.0, 3)


def test_photograph_of_which_no_view_remains_is_no_still(stills, settings, tmp_path, monkeypatch):
    monkeypatch.setattr(still_views, "MOST_ASTRAY", 0.0)
    report = prepare_stills(stills, tmp_path / "out", settings)
    assert report.skipped["bob.png"] == NO_VIEWS
    (ann,) = load_stills(tmp_path / "out", "train")  # two photographs are a pair
    assert len(ann.frames) == ann.real_frames == 2
    assert "left out: 4 views whose face" in report.lines()[-2]


def test_other_settings_need_another_folder(stills, settings, report_and_folder):
    changed = settings.model_copy(update={"views": 3})
    with pytest.raises(FnevrError, match="other settings: views was 2 and is 3"):
        prepare_stills(stills, report_and_folder[1], changed)


def test_motion_of_another_size_says_so(stills, tmp_path):
    settings = StillSettings(motion=str(prepared_clips(tmp_path / "small", 32)))
    with pytest.raises(MediaError, match="not 256 pixels wide"):
        prepare_stills(stills, tmp_path / "out", settings)


def test_command_makes_the_same_folder(stills, settings, report_and_folder, tmp_path):
    arguments = [stills, tmp_path / "out", "--motion", settings.motion, "--views", 2]
    result = CliRunner().invoke(app, ["prepare-stills", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    assert "2 stills (1 train, 1 val)" in result.output
    check_same(tmp_path / "out", report_and_folder[1])
    arguments = [tmp_path, tmp_path / "out", "--motion", settings.motion]
    result = CliRunner().invoke(app, ["prepare-stills", *map(str, arguments)])
    assert result.exit_code == 2
    assert "stills.tsv not found" in result.output
