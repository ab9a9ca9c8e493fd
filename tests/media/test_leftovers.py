"""What a killed process left is removed; what may be another process's stays."""

import os
import subprocess
import sys

import pytest
from support.killed import left_by_a_kill

from fnevr.media import leftovers
from fnevr.media.files import atomic_path, partial_folder
from fnevr.media.leftovers import NAME, machine, temporary_name

pytestmark = pytest.mark.skipif(os.name == "nt", reason="processes of POSIX")

WRITE = """
import sys, time
from fnevr.media.files import atomic_path, partial_folder
out = sys.argv[1]
with atomic_path(out + "/a.mp4") as temporary, partial_folder(out + "/b") as partial:
    temporary.write_bytes(b"half a video")
    (partial / "model.safetensors").write_bytes(b"half a model")
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def writer(tmp_path):
    """A process that writes a file and a folder, and does not come to an end."""
    command = [sys.executable, "-c", WRITE, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        yield process
        process.kill()


def hidden(folder):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def write_anew(folder):
    leftovers._sweep_once.cache_clear()  # as in a new process
    with atomic_path(folder / "c.txt") as temporary:
        temporary.write_text("all of it")


def test_what_a_kill_leaves_is_removed_by_the_next_that_writes(writer, tmp_path):
    assert len(hidden(tmp_path)) == 2
    write_anew(tmp_path)
    assert len(hidden(tmp_path)) == 2, "its process still runs"
    writer.kill()
    writer.wait()
    write_anew(tmp_path)
    assert hidden(tmp_path) == []
    assert [path.name for path in tmp_path.iterdir()] == ["c.txt"]


def test_a_folder_is_swept_too_where_folders_are_made(tmp_path):
    left_by_a_kill(tmp_path).mkdir()
    with partial_folder(tmp_path / "model"):
        assert len(hidden(tmp_path)) == 1
    assert hidden(tmp_path) == []


@pytest.mark.parametrize(
    "name",
    [
        ".fnevr-0123456789abcdef.mp4",  # of versions that did not say whose it is
        ".fnevr-notes",
        ".fnevr-1-0123456789ab-0123456789abcdef.mp4",  # of another machine
        "fnevr-99999-{machine}-0123456789abcdef.mp4",
        ".fnevr-{running}-{machine}-0123456789abcdef.mp4",
        ".fnevr-{huge}-{machine}-0123456789abcdef.mp4",
    ],
)
def test_what_may_be_somebody_elses_stays(tmp_path, name):
    path = tmp_path / name.format(machine=machine(), running=os.getppid(), huge=10**30)
    path.write_bytes(b"not ours")
    write_anew(tmp_path)
    assert path.read_bytes() == b"not ours"


def test_links_to_folders_are_not_followed(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (tmp_path / "out").mkdir()
    left_by_a_kill(tmp_path / "out").symlink_to(tmp_path / "kept", target_is_directory=True)
    write_anew(tmp_path / "out")
    assert hidden(tmp_path / "out") == []
    assert (tmp_path / "kept" / "file").exists()


def test_names_say_whose_they_are():
    match = NAME.fullmatch(temporary_name(".tar.gz"))
    assert match is not None
    assert (int(match[1]), match[2], match[3]) == (os.getpid(), machine(), ".tar.gz")
    assert temporary_name() != temporary_name()


def test_each_folder_is_looked_into_once(tmp_path, monkeypatch):
    leftovers._sweep_once.cache_clear()
    looked = []
    scan = os.scandir

    def noted(folder):
        looked.append(folder)
        return scan(folder)

    monkeypatch.setattr(os, "scandir", noted)
    for index in range(20):
        with atomic_path(tmp_path / str(index)):
            pass
    assert looked == [tmp_path]
