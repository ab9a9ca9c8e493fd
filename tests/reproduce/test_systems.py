from __future__ import annotations

import shutil

import pytest
import torch

from fnevr.compat import export_checkpoint
from fnevr.compat.checkpoint import DEPTH_FILES
from fnevr.compat.names import Layout
from fnevr.errors import FnevrError
from fnevr.reproduce.systems import NAMES, convert_checkpoints, find_checkpoints


def converted(folder, out, told=None):
    tell = (lambda _: None) if told is None else told.append
    return convert_checkpoints(find_checkpoints(folder, out), out / "models", tell)


def test_the_papers_systems_are_all_presets():
    assert list(NAMES) == [
        *("FNeVR", "FOMM", "Face vid2vid", "Face vid2vid-S", "DaGAN", "PIRender", "Bilayer")
    ]


def test_checkpoints_are_told_by_what_is_in_them_and_converted_once(checkpoints, tmp_path):
    out = tmp_path / "out"
    told: list[str] = []
    systems = converted(checkpoints, out, told)
    assert [(one.name, one.origin.name) for one in systems.found] == [
        ("FNeVR", "one.pth.tar"),
        ("FOMM", "two.pt"),
    ]
    (name,) = systems.unusable
    assert name.endswith("notes.pth")
    assert "not a torch checkpoint" in systems.unusable[name]
    assert sum("converting" in line for line in told) == 3
    told.clear()
    assert converted(checkpoints, out, told) == systems
    assert [line for line in told if "notes" not in line] == []
    # Another file of the same name is converted anew.
    shutil.copy(checkpoints / "sub" / "two.pt", checkpoints / "one.pth.tar")
    (checkpoints / "sub" / "two.pt").unlink()
    assert [one.name for one in converted(checkpoints, out).found] == ["FOMM"]


def test_bilayers_folder_and_folders_of_ours(small_systems, tiny_model_folder, tmp_path):
    folder = tmp_path / "checkpoints"
    export_checkpoint(small_systems["bilayer"], folder / "avatars")
    shutil.copytree(tiny_model_folder, folder / "mine")
    small_systems["fomm"].save_pretrained(folder / "old")
    systems = converted(folder, tmp_path / "out")
    assert systems.unusable == {}
    assert [(one.name, one.weights == one.origin) for one in systems.found] == [
        ("FOMM", True),
        ("Bilayer", False),
        ("mine", True),
    ]


def test_dagans_depth_network_is_asked_for(checkpoints, tiny_models, monkeypatch, tmp_path):
    dagan, released = tiny_models["dagan"].config, Layout.config
    monkeypatch.setattr(
        Layout, "config", lambda layout: dagan if layout.preset == "dagan" else released(layout)
    )
    export_checkpoint(tiny_models["dagan"], checkpoints / "dagan.pth")
    parts = torch.load(checkpoints / "dagan.pth", weights_only=True)
    kept = {name: part for name, part in parts.items() if not name.startswith("depth_")}
    torch.save(kept, checkpoints / "dagan.pth")
    systems = converted(checkpoints, tmp_path / "out")
    reason = systems.unusable[str(checkpoints / "dagan.pth")]
    assert reason.startswith(
        "DaGAN's depth network is missing: put the folder with its encoder.pth"
    )
    (checkpoints / "depth").mkdir()
    for part, file in DEPTH_FILES:
        torch.save(parts[part], checkpoints / "depth" / file)
    for expected in ([f"converting '{checkpoints / 'dagan.pth'}'"], []):  # the others are there
        told: list[str] = []
        complete = converted(checkpoints, tmp_path / "out", told)
        assert [line for line in told if "notes" not in line] == expected
        assert len(complete.found) == len(systems.found) + 1


def test_what_cannot_be_told_apart_or_is_not_there_says_so(checkpoints, tmp_path):
    out = tmp_path / "out"
    shutil.copy(checkpoints / "one.pth.tar", checkpoints / "again.pth")
    with pytest.raises(FnevrError, match=r"again\.pth' and .*one.* both checkpoints of FNeVR"):
        converted(checkpoints, out)
    (tmp_path / "none").mkdir()
    with pytest.raises(FnevrError, match="put there what you have of FNeVR"):
        find_checkpoints(tmp_path / "none", out)
    (tmp_path / "none" / "notes.pth").write_text("this is none")
    with pytest.raises(FnevrError, match="no checkpoint can be used"):
        converted(tmp_path / "none", out)
    for name in ("a", "b"):
        (checkpoints / name).mkdir()
        for file in ("encoder.pth", "depth.pth"):
            (checkpoints / name / file).touch()
    with pytest.raises(FnevrError, match="both hold a depth network"):
        find_checkpoints(checkpoints, out)


def test_a_report_within_the_folder_is_not_looked_into(checkpoints):
    out = checkpoints / "out"
    first = converted(checkpoints, out)
    assert first.found == converted(checkpoints, out).found
