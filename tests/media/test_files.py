import os

import pytest
import torch
from safetensors.torch import save_file

from fnevr.errors import MediaError
from fnevr.media.files import atomic_path, check_target, readable_file


def test_appears_only_at_the_end(tmp_path):
    target = tmp_path / "a.bin"
    with atomic_path(target) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".bin"
        assert temporary.name.startswith(".")
        temporary.write_bytes(b"new")
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_any_exception_leaves_what_was_there(tmp_path, error):
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")

    def stop_halfway():
        with atomic_path(target) as temporary:
            temporary.write_bytes(b"half")
            raise error

    with pytest.raises(error):
        stop_halfway()
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_result_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    with atomic_path(tmp_path / "ours"):
        pass
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_permissions_stay_when_a_library_writes_a_file_of_its_own(tmp_path):
    (tmp_path / "plain").touch()
    with atomic_path(tmp_path / "ours.safetensors") as temporary:
        save_file({"a": torch.zeros(2)}, temporary)
    assert (tmp_path / "ours.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_link_is_followed(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with atomic_path(tmp_path / "link") as temporary:
        temporary.write_bytes(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_the_longest_allowed_name_works(tmp_path):
    target = tmp_path / ("n" * 251 + ".mp4")
    with atomic_path(target) as temporary:
        temporary.write_bytes(b"x")
    assert target.exists()


def test_target_in_a_missing_folder(tmp_path):
    with pytest.raises(MediaError, match="does not exist; create it"):
        check_target(tmp_path / "no" / "a.mp4")


def test_target_is_a_folder_or_a_device(tmp_path):
    with pytest.raises(MediaError, match="not a regular file"):
        check_target(tmp_path)
    with pytest.raises(MediaError, match="not a regular file"):
        check_target(os.devnull)


def test_target_without_permission(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(MediaError, match="no permission"):
        check_target(tmp_path / "a.mp4")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may do anything")
def test_real_permissions(tmp_path):
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(b"x")
    secret.chmod(0)
    with pytest.raises(MediaError, match="cannot read"):
        readable_file(secret, "a video")
    tmp_path.chmod(0o500)
    with pytest.raises(MediaError, match="no permission"):
        check_target(tmp_path / "a.mp4")
    tmp_path.chmod(0o700)


def test_unreadable_input(tmp_path, monkeypatch):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"x")

    def refuse(*_args, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", refuse)
    with pytest.raises(MediaError, match=r"cannot read '.*a\.mp4': Permission denied"):
        readable_file(path, "a video")


def test_empty_missing_and_odd_inputs(tmp_path):
    (tmp_path / "empty").touch()
    with pytest.raises(MediaError, match="empty"):
        readable_file(tmp_path / "empty", "an image")
    with pytest.raises(MediaError, match="no such file"):
        readable_file(tmp_path / "none", "an image")
    with pytest.raises(MediaError, match="not a regular file"):
        readable_file(tmp_path, "an image")
    with pytest.raises(MediaError, match=r"cannot read|no such file"):
        readable_file("a\0b", "an image")
