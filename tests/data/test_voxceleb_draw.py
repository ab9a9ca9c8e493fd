"""Which utterances are tested on, in the three forms that VoxCeleb comes in."""

from __future__ import annotations

import pytest
from support.media_clips import make_video
from support.raw_videos import talking_frames
from support.voxceleb import OPTIONS, write_cut_clip, write_face_video, write_list

from fnevr.data.manifest import ClipRow, read_manifest
from fnevr.data.prepare import carry_out
from fnevr.data.settings import PrepareSettings
from fnevr.data.voxceleb_draw import VOXCELEB1_TEST, draw_test_sets
from fnevr.errors import MediaError
from fnevr.media.image import write_image


def drawn(folder, number=100, seed=0):
    """By data set, the folder and file of what was drawn."""
    return {
        data_set: [one.path.relative_to(folder).as_posix() for one in test_set.utterances]
        for data_set, test_set in draw_test_sets(folder, number, seed).items()
    }


def test_test_people_of_both_data_sets_are_told_by_their_identities(tmp_path):
    for identity, reference in (("id10270", "here"), ("id10309", "gone"), ("id10001", "dev")):
        write_list(tmp_path / "txt", identity, reference)
    (tmp_path / "videos").mkdir()
    for reference in ("here", "dev"):
        (tmp_path / "videos" / f"{reference}.mp4").touch()
    (tmp_path / "mp4" / "id00017" / "two").mkdir(parents=True)
    (tmp_path / "mp4" / "id00017" / "two" / "00001.mp4").touch()
    found = draw_test_sets(tmp_path, 100, 0)
    assert drawn(tmp_path) == {
        "VoxCeleb": ["txt/id10270/here/00001.txt"],
        "VoxCeleb2": ["mp4/id00017/two/00001.mp4"],
    }
    assert found["VoxCeleb"].num_without_video == 1
    assert (found["VoxCeleb"].are_people_known, found["VoxCeleb2"].are_people_known) == (
        True,
        False,
    )
    assert len(VOXCELEB1_TEST) == 40


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("vox1_meta.csv", "VoxCeleb1 ID\tVGGFace1 ID\tGender\tSet\nid10001\tA\tm\ttest\n"),
        ("vox2_meta.csv", "VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set \nid00017 ,n17 ,m ,test \n"),
    ],
)
def test_voxcelebs_own_tables_say_who_is_tested_on(tmp_path, name, text):
    for identity in ("id10001", "id10270", "id00017", "id00018"):
        path = tmp_path / identity / "video" / "00001.mp4"
        path.parent.mkdir(parents=True)
        path.touch()
    (tmp_path / name).write_text(text)
    data_set = "VoxCeleb" if name == "vox1_meta.csv" else "VoxCeleb2"
    (path,) = drawn(tmp_path)[data_set]
    assert path.startswith(text.splitlines()[1].split()[0])
    (tmp_path / name).write_text("<html>moved</html>")
    with pytest.raises(MediaError, match=f"{name}' names no test people"):
        draw_test_sets(tmp_path, 1, 0)


def test_the_draw_depends_on_names_and_seed_alone(tmp_path):
    paths = []
    for number in range(12):
        path = tmp_path / f"id1027{number % 10}" / f"video{number}" / "00001.mp4"
        path.parent.mkdir(parents=True)
        path.touch()
        paths.append(path)
    first = drawn(tmp_path, 5)["VoxCeleb"]
    assert len(first) == 5
    assert first == sorted(first)
    assert first != drawn(tmp_path, 5, seed=1)["VoxCeleb"]
    gone = next(path for path in paths if path.relative_to(tmp_path).as_posix() not in first)
    gone.unlink()
    assert drawn(tmp_path, 5)["VoxCeleb"] == first
    (tmp_path / first[0]).unlink()
    assert set(first[1:]) < set(drawn(tmp_path, 5)["VoxCeleb"])


def test_one_form_of_each_utterance_is_taken(tmp_path):
    """Of a text file with its video and a video of the face, the first; cut clips before both."""
    write_list(tmp_path, "id10270", "one")
    (tmp_path / "id10270" / "one" / "00001.mp4").touch()
    (tmp_path / "one.mp4").touch()
    assert drawn(tmp_path)["VoxCeleb"] == ["id10270/one/00001.txt"]
    (tmp_path / "one.mp4").unlink()
    assert drawn(tmp_path)["VoxCeleb"] == ["id10270/one/00001.mp4"]
    for folder in ("train", "test"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"id10280#{folder}#000001#000100.mp4").touch()
    assert drawn(tmp_path)["VoxCeleb"] == ["test/id10280#test#000001#000100.mp4"]


def test_all_forms_are_prepared_as_clips(tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "out"
    write_list(raw, "id00017", "whole", num_frames=9)
    make_video(raw / "whole.mp4", talking_frames(10), options=OPTIONS)
    write_face_video(raw, "id00018", "face", num_frames=9)
    write_cut_clip(raw / "test", "id10280", num_frames=3)
    pictures = raw / "test" / "id10281#pictures#000000#000002.mp4"
    pictures.mkdir()
    for number, frame in enumerate(talking_frames(2)):
        write_image(pictures / f"{number:07d}.png", frame)
    settings = PrepareSettings(min_seconds=0.2, min_frames=5, val_share=1.0)
    rows: dict[str, ClipRow] = {}
    for data_set, test_set in draw_test_sets(raw, 10, 0).items():
        report = carry_out(test_set.plan, out / data_set, settings)
        assert report.unreadable == {}
        rows |= {row.identity: row for row in read_manifest(out / data_set)}
    assert {row.split for row in rows.values()} == {"val"}
    frames = {identity: row.frames for identity, row in rows.items()}
    assert frames == {"id00017": 9, "id00018": 9, "id10280": 3, "id10281": 2}
    assert rows["id10280"].start_s == 4.0


def test_nothing_to_test_on_says_what_was_found(tmp_path):
    write_list(tmp_path, "id10270", "gone")
    write_list(tmp_path, "id10001", "dev")
    with pytest.raises(
        MediaError, match="nothing to test on: 2 of VoxCeleb's text files, 0 of its"
    ):
        draw_test_sets(tmp_path, 1, 0)
