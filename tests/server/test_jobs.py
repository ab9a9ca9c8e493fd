"""Jobs: done one after the other, followed, cancelled, ended in time, deleted."""

import queue

import pytest
from support.web import KEPT_S, ended, files_of, make_app, short_motion, until, visitor

from fnevr.media.video import open_video
from fnevr.server.work import _listen


@pytest.fixture(scope="module")
def motion(somebody, tmp_path_factory):
    track = short_motion(tmp_path_factory.mktemp("motion") / "m.safetensors", 4)
    return somebody.post("/api/drivers?name=m.safetensors", content=track).json()["id"]


def test_a_job_makes_a_video_and_a_sheet(somebody, motion, tmp_path):
    answer = somebody.post("/api/jobs", json={"kind": "animate", "driver": motion})
    assert answer.status_code == 202
    job = ended(somebody, answer.json())
    assert (job["state"], job["frames_done"], job["frames"]) == ("done", 4, 4)
    assert job["title"] == "the bundled portrait moves like m.safetensors"
    assert job["report"]["source"] == "the bundled portrait"
    assert job["report"]["transfer"] == "retarget"
    (tmp_path / "result.mp4").write_bytes(somebody.get(job["video"]).content)
    with open_video(tmp_path / "result.mp4") as video:
        assert len(list(video)) == 4
        assert (video.info.width, video.info.height) == (512, 512)
    assert somebody.get(job["sheet"]).content.startswith(b"\xff\xd8")
    part = somebody.get(job["video"], headers={"Range": "bytes=0-99"})
    assert (part.status_code, len(part.content)) == (206, 100)
    saved = somebody.get(f"{job['video']}?download=true")
    assert "attachment" in saved.headers["Content-Disposition"]


def test_options_reach_the_library(somebody, motion):
    options = {"paste_back": False, "transfer": "relative", "best_frame": "first", "yaw_deg": 5}
    wish = {"kind": "animate", "driver": motion, "options": options}
    job = ended(somebody, somebody.post("/api/jobs", json=wish).json())
    assert job["report"]["transfer"] == "relative"
    assert job["report"]["width"] == 256


@pytest.mark.parametrize(
    ("wish", "status", "argument"),
    [
        ({"kind": "animate", "options": {"yaw_deg": 99}}, 422, "yaw_deg"),
        ({"kind": "animate", "options": {"sliders": {"smile": 2}}}, 422, "smile"),
        ({"kind": "animate", "options": {"sliders": {"grin": 1}}}, 422, None),
        ({"kind": "animate", "options": {"regions": {"head": -1}}}, 422, "head"),
        ({"kind": "animate", "options": {"regions": {"nose": 1}}}, 422, "regions"),
        ({"kind": "animate", "options": {"face": 0, "crop": False}}, 422, "face"),
        ({"kind": "animate", "options": {"quality": 1}}, 422, "animate.options.quality"),
        ({"kind": "animate", "driver": "nobody"}, 404, "driver"),
        ({"kind": "sweep"}, 422, "sweep"),
        ({"kind": "sweep", "options": {"sweep": "nose=1:2"}}, 422, "sweep"),
        ({"kind": "sweep", "options": {"sweep": "yaw=1:2", "yaw_deg": 3}}, 422, "yaw_deg"),
        ({"kind": "train"}, 422, None),
    ],
)
def test_what_is_wrong_is_said_before_a_job_begins(somebody, wish, status, argument):
    before = somebody.get("/api/jobs").json()
    answer = somebody.post("/api/jobs", json=wish)
    assert answer.status_code == status
    if argument is not None:
        assert answer.json()["error"]["argument"] == argument
    assert somebody.get("/api/jobs").json() == before


def test_what_goes_wrong_later_is_said_in_the_librarys_words(app, somebody, motion):
    before = files_of(app)
    wish = {"kind": "animate", "driver": motion, "options": {"face": 3}}
    job = ended(somebody, somebody.post("/api/jobs", json=wish).json())
    assert (job["state"], job["error"]["argument"]) == ("failed", "face")
    assert "there is no face 3" in job["error"]["message"]
    answer = somebody.get(f"/api/jobs/{job['id']}/result.mp4")
    assert (answer.status_code, files_of(app)) == (409, before)


def test_a_cancelled_job_leaves_nothing_and_the_next_one_is_done(app, somebody, motion):
    before = files_of(app)
    long = somebody.post("/api/jobs", json={"kind": "animate"}).json()
    waiting = somebody.post("/api/jobs", json={"kind": "animate"}).json()
    after = somebody.post("/api/jobs", json={"kind": "animate", "driver": motion}).json()
    until(lambda: somebody.get(f"/api/jobs/{long['id']}").json()["frames_done"] > 1)
    assert somebody.post(f"/api/jobs/{long['id']}/cancel").json()["state"] == "cancelled"
    assert somebody.post(f"/api/jobs/{waiting['id']}/cancel").json()["state"] == "cancelled"
    assert ended(somebody, after)["state"] == "done"
    assert {"cancelled"} == {
        somebody.get(f"/api/jobs/{j['id']}").json()["state"] for j in (long, waiting)
    }
    assert somebody.delete(f"/api/jobs/{after['id']}").status_code == 204
    assert somebody.get(f"/api/jobs/{after['id']}").status_code == 404
    assert files_of(app) == before


def test_a_job_that_is_cancelled_at_once_holds_nobody_up(tmp_path):
    with visitor(make_app(tmp_path, max_jobs=1)) as client:
        job = client.post("/api/jobs", json={"kind": "animate"}).json()
        assert client.post("/api/jobs", json={"kind": "animate"}).status_code == 429
        assert client.post(f"/api/jobs/{job['id']}/cancel").json()["state"] == "cancelled"
        until(lambda: client.app.state.rooms.jobs._current is None)
        assert files_of(client.app) == []


def test_a_file_that_a_job_needs_is_not_deleted(somebody, tmp_path):
    track = short_motion(tmp_path / "m.safetensors", 60)
    name = somebody.post("/api/drivers?name=m.safetensors", content=track).json()["id"]
    job = somebody.post("/api/jobs", json={"kind": "animate", "driver": name}).json()
    assert somebody.delete(f"/api/drivers/{name}").status_code == 409
    somebody.post(f"/api/jobs/{job['id']}/cancel")
    assert somebody.delete(f"/api/drivers/{name}").status_code == 204


def test_jobs_of_others_are_not_there(app, somebody):
    job = somebody.get("/api/jobs").json()[0]
    other = visitor(app)
    assert other.get("/api/jobs").json() == []
    for address in ("", "/result.mp4", "/sheet.jpg"):
        assert other.get(f"/api/jobs/{job['id']}{address}").status_code == 404
    assert other.delete(f"/api/jobs/{job['id']}").status_code == 404


def test_a_job_has_so_much_time_and_is_deleted_after_a_while(tmp_path):
    app = make_app(tmp_path, cleaning_s=0.05, job_minutes=0.2 / 60)
    with visitor(app) as client:
        job = client.post("/api/jobs", json={"kind": "animate"}).json()
        view = ended(client, job)
        assert view["state"] == "failed"
        assert "took more than" in view["error"]["message"]
        (job,) = app.state.rooms.jobs.of(*app.state.rooms.sessions.all())
        job.ended -= KEPT_S
        until(lambda: client.get("/api/jobs").json() == [])
        assert files_of(app) == []


@pytest.mark.parametrize("said", ["", '{"kind": "animate"}\n', "half a li"])
def test_a_process_that_does_jobs_ends_with_its_server(tmp_path, said):
    (tmp_path / "pipe").write_text(said)
    requests: queue.Queue[str] = queue.Queue()
    left: list[int] = []
    with (tmp_path / "pipe").open() as lines:
        _listen(lines, requests, left.append)
    assert len(left) == 1
    assert requests.qsize() == bool(said)


def test_a_process_that_cannot_start_fails_its_job_alone(tmp_path, monkeypatch):
    with visitor(make_app(tmp_path)) as client:
        with monkeypatch.context() as patch:
            patch.setattr("sys.executable", "/no/such/python")
            job = ended(client, client.post("/api/jobs", json={"kind": "animate"}).json())
        assert job["state"] == "failed"
        assert "FileNotFoundError" in job["error"]["message"]
        again = client.post("/api/jobs", json={"kind": "animate"}).json()
        until(lambda: client.get(f"/api/jobs/{again['id']}").json()["state"] == "working")
