"""Limits, addresses, and the command that starts a server."""

import os
import re
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest
from support.web import PATIENCE_S
from typer.testing import CliRunner

from fnevr.cli import app
from fnevr.errors import FnevrError
from fnevr.server.run import address_of, remove_abandoned
from fnevr.server.settings import Limits, ServerSettings


def test_limits_are_changed_by_name():
    limits = Limits.changed(["max_seconds=7.5", "max_files=3", "containers=mp4,webm"])
    assert (limits.max_seconds, limits.max_files) == (7.5, 3)
    assert limits.containers == ("mp4", "webm")
    assert Limits.changed([]) == Limits()


@pytest.mark.parametrize("setting", ["max_seconds", "speed=3", "max_files=many", "max_files=-1"])
def test_a_limit_that_cannot_be_is_said(setting):
    with pytest.raises(FnevrError, match=setting.partition("=")[0]):
        Limits.changed([setting])


def test_folders_of_servers_that_were_killed_are_deleted(tmp_path):
    for name, age_s in (("fnevr-web-old", 700), ("fnevr-web-new", 10), ("other", 700)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "face.picture").write_bytes(b"face")
        os.utime(tmp_path / name, times=2 * (time.time() - age_s,))
    remove_abandoned(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"fnevr-web-new", "other"}


def test_addresses_can_be_opened():
    assert address_of(ServerSettings(), 80) == "http://127.0.0.1:80/"
    assert address_of(ServerSettings(host="::1"), 80) == "http://[::1]:80/"
    everywhere = ServerSettings(host="0.0.0.0", token="abc")
    assert address_of(everywhere, 80) == f"http://{socket.gethostname()}:80/?token=abc"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "speed=3"], "--set"),
        (["--model", "nobody"], "there is no model 'nobody'"),
        (["--host", "no.such.name.invalid"], "cannot listen on no.such.name.invalid"),
    ],
)
def test_what_cannot_be_is_said_by_the_command(arguments, words):
    result = CliRunner().invoke(app, ["web", "--no-browser", *arguments])
    assert (result.exit_code, words in result.stderr) == (2, True), result.stderr


def test_a_port_that_is_taken_is_said():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(app, ["web", "--no-browser", "--port", port])
    assert (result.exit_code, "(--port)" in result.stderr) == (2, True), result.stderr


def test_missing_packages_are_said(monkeypatch):
    monkeypatch.setattr("fnevr.commands.web.find_spec", lambda name: None)
    result = CliRunner().invoke(app, ["web"])
    assert result.exit_code == 2
    assert "[web]'" in result.stderr
    assert "pip install" in result.stderr


def test_the_command_serves_until_interrupted(tmp_path):
    command = [sys.executable, "-m", "fnevr", "web", "--no-browser", "--host", "0.0.0.0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            found = re.search(r":(\d+)/\?token=(\S+)", line)
            assert found is not None, line
            address = f"http://127.0.0.1:{found[1]}"
            assert httpx.get(address, timeout=PATIENCE_S).status_code == 401
            bearer = {"Authorization": f"Bearer {found[2]}"}
            about = httpx.get(f"{address}/api/about", headers=bearer, timeout=PATIENCE_S)
            assert about.status_code == 200
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE_S) in (0, 130)
        finally:
            process.kill()
