"""What visitors bring: looked at, limited, kept apart, deleted."""

import numpy as np
import pytest
from PIL import Image
from support.media_clips import make_video
from support.small_disk import no_file_above
from support.web import KEPT_S, files_of, jpeg, make_app, short_motion, two_faces, until, visitor

from fnevr.config.presets import asset


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    return make_app(
        tmp_path_factory.mktemp("web"),
        max_upload_mb=1.0,
        max_megapixels=0.5,
        max_seconds=2.0,
        max_frames=40,
    )


@pytest.fixture
def somebody(app):
    return visitor(app)


def bring(client, kind, content, name="me.jpg"):
    return client.post(f"/api/{kind}", params={"name": name}, content=content)


def video(tmp_path, frames, suffix=".mp4", rate=25):
    pictures = [np.full((64, 64, 3), 4 * index, np.uint8) for index in range(frames)]
    make_video(tmp_path / f"v{suffix}", pictures, rate=rate)
    return (tmp_path / f"v{suffix}").read_bytes()


def test_a_picture_comes_with_its_faces_the_largest_first(somebody):
    answer = bring(somebody, "pictures", jpeg(two_faces()))
    assert answer.status_code == 201
    picture = answer.json()
    assert (picture["name"], picture["width"], picture["height"]) == ("me.jpg", 896, 512)
    (first, second) = picture["faces"]
    assert first[0] < 512 < second[0]
    assert first[3] - first[1] > second[3] - second[1] > 50
    shown = somebody.get(f"/api/pictures/{picture['id']}/image?longest=128")
    assert shown.headers["Content-Type"] == "image/jpeg"
    assert shown.content.startswith(b"\xff\xd8")
    assert somebody.get("/api/pictures").json() == [picture]


def test_the_bundled_ones_are_there(somebody):
    assert len(somebody.get("/api/pictures/portrait").json()["faces"]) == 1
    assert somebody.get("/api/drivers/motion").json()["frames"] == 168


def test_a_video_comes_with_its_length(somebody, tmp_path):
    driver = bring(somebody, "drivers", video(tmp_path, 30), "talk.mp4").json()
    assert (driver["kind"], driver["frames"], driver["has_audio"]) == ("video", 30, False)
    assert driver["media_type"] == "video/mp4"
    assert driver["seconds"] == pytest.approx(1.2, abs=0.05)
    assert somebody.get(f"/api/drivers/{driver['id']}/video").status_code == 200


def test_a_track_is_known_by_its_name(somebody, tmp_path):
    motion = short_motion(tmp_path / "m.safetensors", 5)
    driver = bring(somebody, "drivers", motion, "wave.safetensors").json()
    assert (driver["kind"], driver["frames"]) == ("track", 5)


@pytest.mark.parametrize(
    ("kind", "content", "name", "status", "words"),
    [
        ("pictures", b"hello", "me.jpg", 422, "'me.jpg' is not an image"),
        ("pictures", b"", "me.jpg", 422, "is empty"),
        ("pictures", bytes(1_100_000), "me.jpg", 413, "at most 1 MB"),
        ("pictures", "large", "me.jpg", 413, "at most 0.5 are taken"),
        ("drivers", b"hello", "talk.mp4", 422, "'talk.mp4' is not a video"),
        ("drivers", b"hello", "m.safetensors", 422, "'m.safetensors' is damaged"),
        ("drivers", 60, "talk.mp4", 413, "at most 2 s are taken"),
        ("drivers", 45, "talk.mp4", 413, "at most 40 are taken"),
        ("drivers", "gif", "talk.gif", 413, "at most 0.5 are taken"),
        ("drivers", "wide", "talk.mp4", 413, "at most 0.5 are taken"),
        ("drivers", "ts", "talk.ts", 422, "of the format mpegts"),
    ],
)
def test_what_cannot_be_taken_is_said_and_deleted(
    app, somebody, tmp_path, kind, content, name, status, words
):
    before = files_of(app)
    if content == "large":
        content = jpeg(np.zeros((1000, 600, 3), np.uint8))
    elif content == "gif":
        Image.new("P", (1000, 600)).save(tmp_path / "v.gif")
        content = (tmp_path / "v.gif").read_bytes()
    elif content == "wide":
        make_video(tmp_path / "v.mp4", [np.zeros((600, 1000, 3), np.uint8)] * 2)
        content = (tmp_path / "v.mp4").read_bytes()
    elif content == "ts":
        content = video(tmp_path, 5, ".ts")
    elif isinstance(content, int):
        content = video(tmp_path, content, rate=25 if content > 50 else 30)
    answer = bring(somebody, kind, content, name)
    error = answer.json()["error"]
    assert (answer.status_code, words in error["message"]) == (status, True), error
    assert str(app.state.rooms.sessions.root) not in error["message"]
    assert files_of(app) == before


def test_a_body_that_does_not_say_its_length_is_limited_too(app, somebody):
    before = files_of(app)

    def chunks():
        for _ in range(12):
            yield bytes(100_000)

    answer = somebody.post("/api/pictures?name=me.jpg", content=chunks())
    assert answer.status_code == 413
    assert files_of(app) == before


def test_names_on_disk_are_the_servers(app, somebody):
    before = set(files_of(app))
    picture = asset("portrait.jpg").read_bytes()
    brought = bring(somebody, "pictures", picture, "../../../../tmp/evil\nname.sh").json()
    (path,) = set(files_of(app)) - before
    assert path.name == f"{brought['id']}.picture"
    assert "\n" not in brought["name"]


def test_visitors_do_not_see_each_others_files(app):
    one, other = visitor(app), visitor(app)
    mine = bring(one, "pictures", asset("portrait.jpg").read_bytes()).json()
    address = f"/api/pictures/{mine['id']}"
    assert one.get(address).status_code == 200
    assert other.get(address).status_code == 404
    assert other.get(f"{address}/image").status_code == 404
    assert other.delete(address).status_code == 404
    assert other.post("/api/edits", json={"picture": mine["id"]}).status_code == 404
    assert other.get("/api/pictures").json() == []
    assert one.delete(address).status_code == 204
    assert one.get(address).status_code == 404


def test_a_full_disk_is_said_and_nothing_is_left(app, somebody):
    before = files_of(app)
    with no_file_above(1000):
        answer = bring(somebody, "pictures", asset("portrait.jpg").read_bytes())
    assert answer.status_code == 507
    assert "make room" in answer.json()["error"]["message"]
    assert files_of(app) == before


def test_there_is_room_for_so_many_files(tmp_path):
    app = make_app(tmp_path, max_files=1)
    somebody = visitor(app)
    picture = asset("portrait.jpg").read_bytes()
    assert bring(somebody, "pictures", picture).status_code == 201
    assert bring(somebody, "pictures", picture).status_code == 429
    assert len(files_of(app)) == 1


def test_files_are_deleted_after_a_while_and_at_the_end(tmp_path):
    app = make_app(tmp_path, cleaning_s=0.05)
    with visitor(app) as somebody:
        bring(somebody, "pictures", asset("portrait.jpg").read_bytes())
        (session,) = app.state.rooms.sessions.all()
        (upload,) = session.uploads.values()
        assert files_of(app) == [upload.path]
        upload.used -= KEPT_S
        session.used -= KEPT_S
        until(lambda: files_of(app) == [] and app.state.rooms.sessions.all() == [])
        bring(somebody, "pictures", asset("portrait.jpg").read_bytes())
        assert len(files_of(app)) == 1
    assert list(tmp_path.iterdir()) == []
