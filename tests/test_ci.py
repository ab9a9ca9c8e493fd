"""`.ci/run` installs a browser where it can, and goes on where it cannot."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

RUN = Path(__file__).parents[1] / ".ci" / "run"
NEEDED = ("bash", "sh", "env", "dirname", "timeout")
pytestmark = pytest.mark.skipif(
    any(shutil.which(name) is None for name in NEEDED), reason="programs of Debian"
)


@pytest.fixture
def programs(tmp_path):
    """A folder of all the programs that there are; `make` only says what it was told."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in NEEDED:
        (folder / name).symlink_to(str(shutil.which(name)))
    add(folder, "make", 'echo "make $*"')
    add(folder, "id", "echo 0")
    return folder


def add(folder, name, script):
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def run(programs, **environment):
    bash = str(shutil.which("bash"))
    done = subprocess.run(
        [bash, str(RUN)],
        env={**os.environ, "PATH": str(programs), **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout.splitlines()[-2:]) == (0, ["make check", "make test"])
    return done


def test_a_browser_that_is_there_is_taken(programs):
    add(programs, "chromium", "exit 1")
    add(programs, "apt-get", 'echo "apt-get $*"')
    assert run(programs).stdout == "make check\nmake test\n"


def test_a_browser_that_is_missing_is_installed(programs):
    add(programs, "apt-get", 'echo "apt-get $* $DEBIAN_FRONTEND"')
    update, install, *_ = run(programs).stdout.splitlines()
    assert update.startswith("apt-get update")
    assert install.endswith("chromium noninteractive")


def test_whoever_is_not_root_asks_sudo_once_and_for_no_password(programs):
    add(programs, "id", "echo 1000")
    add(programs, "apt-get", 'echo "apt-get $*"')
    assert "only root can install it" in run(programs).stderr
    add(programs, "sudo", '[ "$1" = -n ] || exit 1\nshift\n[ "$1" = true ] || "$@"')
    assert "apt-get install" in run(programs).stdout


@pytest.mark.parametrize("fault", ["exit 100", "sleep 60"])
def test_a_network_that_fails_or_hangs_ends_nothing(programs, fault):
    (programs / "sleep").symlink_to(str(shutil.which("sleep")))
    add(programs, "apt-get", fault)
    said = run(programs, APT_SECONDS="1").stderr
    assert "apt-get did not install chromium (it has 1 s)" in said
    assert "will be skipped" in said


def test_without_apt_get_it_goes_on(programs):
    assert "will be skipped" in run(programs).stderr
