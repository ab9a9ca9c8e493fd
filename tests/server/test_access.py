"""Who is let in: by name, origin, token and cookie; for WebSockets too."""

import pytest
from starlette.websockets import WebSocketDisconnect
from support.web import SOCKET, make_app, visitor


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil", "["])
def test_a_foreign_name_is_refused(app, host):
    answer = visitor(app).get("/api/about", headers={"Host": host})
    assert answer.status_code == 403
    assert host in answer.json()["error"]["message"]


@pytest.mark.parametrize("host", ["127.0.0.1:9", "localhost:9", "[::1]:9", "192.168.1.7"])
def test_addresses_and_names_of_this_machine_are_served(app, host):
    assert visitor(app).get("/api/about", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:9999", "null"])
def test_another_site_is_refused(app, origin):
    assert visitor(app).get("/api/about", headers={"Origin": origin}).status_code == 403
    with (
        pytest.raises(WebSocketDisconnect),
        visitor(app).websocket_connect(SOCKET, headers={"Origin": origin}),
    ):
        pass


def test_a_foreign_name_is_refused_a_websocket(app):
    with pytest.raises(WebSocketDisconnect), visitor(app).websocket_connect("ws://evil.example/"):
        pass


def test_the_page_loads_nothing_from_elsewhere(app):
    answer = visitor(app).get("/")
    assert answer.status_code == 200
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "http://" not in answer.text.replace("http://127.0.0.1", "")


def test_the_cookie_is_kept_from_scripts_and_other_sites(app):
    cookie = visitor(app).get("/").headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie


def test_a_visitor_keeps_the_cookie(app):
    somebody = visitor(app)
    first = somebody.get("/api/about").json()["stream"]
    assert somebody.get("/api/about").json()["stream"] == first
    assert visitor(app).get("/api/about").json()["stream"] != first


def test_a_token_is_wanted_once(tmp_path):
    app = make_app(tmp_path, token="s3cret")
    stranger = visitor(app)
    assert stranger.get("/").status_code == 401
    assert "token" in stranger.get("/api/about").json()["error"]["message"]
    assert stranger.get("/?token=wrong").status_code == 401
    with pytest.raises(WebSocketDisconnect), stranger.websocket_connect(SOCKET):
        pass
    entered = stranger.get("/?token=s3cret", follow_redirects=False)
    assert (entered.status_code, entered.headers["Location"]) == (303, "/")
    assert stranger.get("/api/about").status_code == 200


def test_programs_bring_the_token_with_each_request(tmp_path):
    program = visitor(make_app(tmp_path, token="s3cret"))
    bearer = {"Authorization": "Bearer s3cret"}
    assert program.get("/api/about", headers=bearer).status_code == 200


def test_a_request_is_small(app):
    answer = visitor(app).post("/api/jobs", content=b"[" + bytes(2 << 20))
    assert answer.status_code in (400, 413)
    assert "error" in answer.json()
