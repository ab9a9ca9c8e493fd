"""Raw videos to a prepared folder: what comes out, and going on after a kill."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from hashlib import sha256

import numpy as np
import pytest
from support.killed import left_by_a_kill
from support.media_clips import make_video
from support.raw_videos import QUICK, talking_frames, write_raw_videos
from typer.testing import CliRunner

from fnevr.cli import app
from fnevr.commands.options import BAD_INPUT
from fnevr.config.shard import Shard
from fnevr.data import prepare as prepare_module
from fnevr.data.clips import load_clips
from fnevr.data.manifest import read_manifest
from fnevr.data.pairs import PairSampler
from fnevr.data.prepare import Plan, carry_out, prepare
from fnevr.data.settings import PrepareReport, PrepareSettings, make_settings
from fnevr.data.sources import plan_videos
from fnevr.errors import FnevrError, MediaError, WriteError
from fnevr.faces.crop import SIDE_PER_FACE
from fnevr.geometry.patches import FacePatches


def contents(folder):
    """All files, and the SHA-256 of each: pytest takes hours to show how large files differ."""
    return {
        path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_clips_are_framed_tracked_and_described(prepared):
    rows = {row.source: row for row in read_manifest(prepared)}
    assert set(rows) == {"ann/one.mp4", "ann/two.mp4", "bob.mp4"}
    assert {row.identity for row in rows.values()} == {"ann", "bob"}
    assert rows["ann/one.mp4"].split == rows["ann/two.mp4"].split != rows["bob.mp4"].split
    row = rows["ann/one.mp4"]
    assert (row.frames, row.fps, row.start_s, row.licence) == (12, 25.0, 0.0, "test")
    assert row.seconds == pytest.approx(12 / 25)
    assert row.face_px == pytest.approx(109, abs=3)
    assert row.crop[2] == pytest.approx(SIDE_PER_FACE * row.face_px, rel=0.01)
    # 12 frames, 2 pixels each: a deviation of 2 * 12 / sqrt(12) pixels of a face 109 high.
    assert row.motion == pytest.approx(2 * 12 / 12**0.5 / 109, rel=0.1)


def test_training_can_start_from_the_folder(prepared):
    for split in ("train", "val"):
        for clip in load_clips(prepared, split):
            assert clip.frames.shape[1:] == (256, 256, 3)
            assert clip.tracked.tolist() == list(range(len(clip.frames)))
            low, high = clip.landmarks.min(axis=1), clip.landmarks.max(axis=1)
            np.testing.assert_allclose((high - low).max(axis=1) / 2, 1 / SIDE_PER_FACE, rtol=0.1)
    sampler = PairSampler(load_clips(prepared, "train"), FacePatches.packaged(), seed=0)
    assert sampler.sample(2, step=0).source_01.shape == (2, 3, 256, 256)


def test_running_again_does_nothing_and_says_so(raw, prepared):
    before = {path: path.stat().st_mtime_ns for path in prepared.rglob("*.tar")}
    done = []
    report = prepare(raw, prepared, QUICK, progress=lambda *now: done.append(now))
    assert (report.videos, report.done_before) == (3, 3)
    assert done == [("videos", 3, 3)]
    assert {path: path.stat().st_mtime_ns for path in prepared.rglob("*.tar")} == before


def test_interrupted_run_goes_on_to_the_same_folder(raw, prepared, tmp_path):
    out = tmp_path / "out"

    def interrupt(_stage, num_done, _total):
        if num_done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(raw, out, QUICK, progress=interrupt)
    assert len(list((out / "clips").iterdir())) == 1
    left_by_a_kill(out / "clips", ".tar").write_text("what a kill leaves behind")
    (out / "clips" / f"{read_manifest(prepared)[-1].name}.tar").write_text("not in the records")
    report = prepare(raw, out, QUICK)
    assert report.done_before == 1
    assert contents(out) == contents(prepared)


def test_shards_fill_one_folder_and_do_nothing_twice(raw, prepared, tmp_path, monkeypatch):
    out, done = tmp_path / "out", []
    cut = prepare_module.prepare_video

    def counting(job, *rest):
        done.append(job.source)
        if len(done) == 2:  # another process is quicker with what is not of this one's share
            carry_out(Plan([one for one in plan.jobs if one.source == "bob.mp4"]), out, QUICK)
        return cut(job, *rest)

    plan = Plan(plan_videos(raw, None))
    monkeypatch.setattr(prepare_module, "prepare_video", counting)
    report = carry_out(plan, out, QUICK, shard=Shard(2, 3))
    assert done == ["ann/two.mp4", "ann/one.mp4", "bob.mp4"]  # its own first
    assert sum(report.clips.values()) == 3
    assert contents(out) == contents(prepared)


def test_changed_or_deleted_files_are_done_again(raw, prepared, tmp_path):
    videos, out = tmp_path / "videos", tmp_path / "out"
    shutil.copytree(raw, videos)
    shutil.copytree(prepared, out)
    next((out / "clips").glob("bob*")).unlink()
    make_video(videos / "ann" / "two.mp4", talking_frames(9), options={"crf": "10"})
    report = prepare(videos, out, QUICK)
    assert report.done_before == 1
    assert {row.source: row.frames for row in read_manifest(out)} == {
        "ann/one.mp4": 12,
        "ann/two.mp4": 9,
        "bob.mp4": 11,
    }


def test_unreadable_videos_are_skipped_and_told(tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    (videos / "text.mp4").write_text("this is no video")
    (videos / "empty.mp4").touch()
    make_video(videos / "gray.mp4", num_frames=12)
    make_video(videos / "short.mp4", talking_frames(4), options={"crf": "10"})
    report = prepare(videos, tmp_path / "out", QUICK)
    assert set(report.unreadable) == {"text.mp4", "empty.mp4"}
    assert report.rejected == {"no face found": 1, "too short": 1}
    assert report.clips == {}
    told = report.lines()
    assert "Warning: skipped empty.mp4" in told[0]
    assert "1 x no face found" in told[2]
    assert "0 clips (0 train, 0 val)" in told[3]
    again = prepare(videos, tmp_path / "out", QUICK)
    assert (again.done_before, len(again.unreadable)) == (2, 2)


def test_the_command_fails_where_no_clip_comes_out(tmp_path):
    videos, out = tmp_path / "videos", tmp_path / "out"
    videos.mkdir()
    make_video(videos / "gray.mp4", num_frames=30)
    shards = ["--shards", str(tmp_path / "shards")]
    result = CliRunner().invoke(app, ["prepare", str(videos), str(out), *shards])
    assert result.exit_code == BAD_INPUT
    assert "left out: 1 x no face found" in result.output
    assert "no clip came out of" in result.output
    assert not (tmp_path / "shards").exists()


def test_truncated_video_is_used_as_far_as_it_goes(raw, tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    make_video(
        videos / "whole.mkv",
        talking_frames(40, step=1),
        codec="mpeg4",
        options={"g": "1"},
        container_options={"cluster_size_limit": "20000"},
    )
    data = (videos / "whole.mkv").read_bytes()
    (videos / "whole.mkv").unlink()
    (videos / "cut.mkv").write_bytes(data[: len(data) // 2])
    report = prepare(videos, tmp_path / "out", QUICK)
    (row,) = read_manifest(tmp_path / "out")
    assert 8 <= row.frames < 20
    assert list(report.damaged) == ["cut.mkv"]
    assert "used as far as it goes" in report.lines()[0]


def test_full_disk_leaves_no_clip_and_says_so(raw, tmp_path, monkeypatch):
    def no_space(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("fnevr.data.store._add", no_space)
    with pytest.raises(WriteError, match="No space left on device\nmake room"):
        prepare(raw, tmp_path, QUICK)
    assert list((tmp_path / "clips").iterdir()) == list((tmp_path / "videos").iterdir()) == []


def test_other_settings_need_another_folder(raw, prepared):
    with pytest.raises(FnevrError, match="min_frames was 8 and is 9"):
        prepare(raw, prepared, QUICK.model_copy(update={"min_frames": 9}))
    assert len(read_manifest(prepared)) == 3


def test_wrong_arguments_say_so(raw, tmp_path):
    with pytest.raises(FnevrError, match="workers must be 1 or more, got 0"):
        prepare(raw, tmp_path / "out", workers=0)
    with pytest.raises(FnevrError, match="`cropped=True` and `voxceleb=LISTS` exclude each other"):
        prepare(raw, tmp_path / "out", cropped=True, voxceleb=raw)
    with pytest.raises(FnevrError, match="min_seconds, 20, is more than max_seconds, 10"):
        make_settings(min_seconds=20.0)
    with pytest.raises(FnevrError, match="val_share: Input should be less than or equal to 1"):
        make_settings(val_share=2.0)
    (tmp_path / "file").touch()
    with pytest.raises(MediaError, match="cannot make the folder"):
        prepare(raw, tmp_path / "file" / "out")
    assert not (tmp_path / "out").exists()


STRANGE = "caf\udce9"  # ISO 8859-1 on a disk where all else is UTF-8


def test_names_that_are_not_utf_8(tmp_path):
    videos, out = tmp_path / STRANGE, tmp_path / f"out{STRANGE}"
    (videos / STRANGE).mkdir(parents=True)
    make_video(tmp_path / "one.mp4", talking_frames(12), options={"crf": "10"})
    (tmp_path / "one.mp4").rename(videos / STRANGE / f"{STRANGE}.mp4")
    (videos / f"{STRANGE}.mp4").write_text("no video")
    report = prepare(videos, out, QUICK)
    (row,) = read_manifest(out)
    assert (row.identity, row.source) == (r"caf\udce9", r"caf\udce9/caf\udce9.mp4")
    (why,) = report.unreadable.items()
    assert why[0] == r"caf\udce9.mp4"
    assert "cannot be read" in why[1] or "not a video" in why[1]
    assert PrepareReport.model_validate_json(report.model_dump_json()).clips == report.clips
    assert prepare(videos, out, QUICK).done_before == 1


def test_people_whose_folders_end_lines(tmp_path):
    videos, out = tmp_path / "videos", tmp_path / "out"
    for name in ("ann\u2028", "bob\x85b"):
        (videos / name).mkdir(parents=True)
        make_video(videos / name / "one.mp4", talking_frames(12), options={"crf": "10"})
    prepare(videos, out, QUICK)
    assert {row.identity for row in read_manifest(out)} == {"ann\u2028", "bob\x85b"}


def test_impossible_numbers_are_those_of_one_video(raw, tmp_path, monkeypatch):
    monkeypatch.setattr("fnevr.data.cutting.clip_seconds", lambda times_s: float("inf"))
    report = prepare(raw, tmp_path, QUICK)
    assert len(report.unreadable) == 3
    assert all("impossible numbers: seconds" in why for why in report.unreadable.values())


def test_settings_that_json_cannot_hold_are_refused():
    for value in (float("inf"), float("nan")):
        with pytest.raises(FnevrError, match="max_seconds"):
            make_settings(max_seconds=value)


def test_damaged_settings_say_so(raw, tmp_path):
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(MediaError, match=r"settings\.json' is damaged"):
        prepare(raw, tmp_path, QUICK)


def test_voxceleb_lists_say_who_is_when(raw, tmp_path):
    rows = "".join(f"{frame:06d} 0.2 0.0 0.6 0.8\n" for frame in range(2, 12))
    for reference in ("one", "elsewhere"):
        header = f"Identity  : id1\nReference : {reference}\nOffset : 0\n\nFRAME X Y W H\n"
        path = tmp_path / "lists" / "id1" / reference / "00001.txt"
        path.parent.mkdir(parents=True)
        path.write_text(header + rows)
    report = prepare(raw, tmp_path / "out", QUICK, voxceleb=tmp_path / "lists")
    (row,) = read_manifest(tmp_path / "out")
    assert (row.identity, row.source, row.start_s, row.frames) == ("id1", "ann/one.mp4", 0.08, 10)
    assert report.missing == ["elsewhere"]
    assert "1 video of the lists cannot be found: elsewhere" in report.lines()[0]


def test_command_prepares_and_packs(raw, prepared, tmp_path):
    pytest.importorskip("webdataset", reason="an optional dependency")
    out = tmp_path / "out"
    shutil.copytree(prepared, out)
    options = ["--min-seconds", "0.3", "--licence", "test"]
    wrong = CliRunner().invoke(app, ["prepare", str(raw), str(out), *options])
    assert wrong.exit_code == BAD_INPUT
    assert "prepared with other settings: min_frames was 8 and is 12" in wrong.output
    (out / "settings.json").write_text(
        PrepareSettings(min_seconds=0.3, licence="test").model_dump_json()
    )
    shards = ["--shards", str(tmp_path / "shards"), "--json", str(tmp_path / "report.json")]
    result = CliRunner().invoke(app, ["prepare", str(raw), str(out), *options, *shards])
    assert result.exit_code == 0, result.output
    assert "3 clips" in result.output
    report = PrepareReport.model_validate(json.loads((tmp_path / "report.json").read_text()))
    assert sum(report.clips.values()) == 3
    assert len(list((tmp_path / "shards").iterdir())) == 2


@pytest.mark.slow
def test_workers_make_the_same_folder_and_survive_kills(prepared, tmp_path):
    """Killed outright three times, with two workers; then the folder is the one of one process."""
    videos, out = write_raw_videos(tmp_path / "videos"), tmp_path / "out"
    code = (
        "import sys; from pathlib import Path; from fnevr.data.prepare import prepare;"
        "from fnevr.data.settings import PrepareSettings as S;"
        "s = S(min_seconds=0.3, min_frames=8, licence='test');"
        "prepare(Path(sys.argv[1]), Path(sys.argv[2]), s, workers=2)"
    )
    script = tmp_path / "run.py"
    script.write_text(f"if __name__ == '__main__':\n    {code}\n")
    command = [sys.executable, str(script), str(videos), str(out)]
    for seconds in (1.0, 3.0, 4.0):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        time.sleep(1.0)  # the workers notice, and end
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert contents(out) == contents(prepared)
