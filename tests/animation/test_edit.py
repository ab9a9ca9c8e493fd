"""Editing the pose of pictures: with a stand-in model of known results, and with `lite`."""

from typing import Any

import numpy as np
import pytest
import torch
from support.gray_model import SIZE, GrayModel, gray
from typer.testing import CliRunner

from fnevr.animation.animator import Animator
from fnevr.animation.edit import Sweep
from fnevr.animation.head_turn import HeadTurn
from fnevr.animation.source import Framing
from fnevr.cli import app
from fnevr.config.presets import asset
from fnevr.errors import CheckpointError, FnevrError, MediaError
from fnevr.geometry.keypoints import Keypoints
from fnevr.media.image import read_image, write_image
from fnevr.media.video import open_video
from fnevr.models.pose_editor import LightweightPoseEditor
from fnevr.runtime.torch_engine import TorchEngine

WHOLE: dict[str, Any] = {"crop": False, "paste_back": False}


class Brighten(LightweightPoseEditor):
    """Stands for an editor: a degree of yaw is a level of gray, other angles do nothing."""

    def turned(self, keypoints, angles_deg):
        shift = angles_deg[:, :1] / 255 * torch.tensor([1.0, 0.0])
        return Keypoints(keypoints.positions + shift[:, None], keypoints.jacobians)


@pytest.fixture
def animator():
    return Animator(TorchEngine(GrayModel(), editor=Brighten(4, 4)), name="gray", batch_size=2)


def test_a_picture_is_turned_from_what_it_shows(animator):
    edited = animator.edit_pose(gray(100), yaw_deg=20.0, **WHOLE)
    assert edited.shape == (SIZE, SIZE, 3)
    assert np.rint(edited.mean()) == 120
    assert np.rint(animator.edit_pose(gray(100), pitch_deg=20.0, **WHOLE).mean()) == 100


def test_the_source_is_prepared_once(animator):
    editor = animator.pose_editor(gray(100, 48, 40), Framing(crop=False))
    shades = [int(np.rint(editor(yaw).mean())) for yaw in (-10.0, 0.0, 25.0)]
    assert shades == [90, 100, 125]
    assert editor(5.0).shape == (48, 40, 3)
    assert (animator.engine.model.num_encoded, animator.engine.model.num_seen) == (1, 1)


def test_angles_come_on_top_of_the_drivers_motion(animator):
    drivers = [gray(level) for level in (50, 60, 90)]
    for transfer, expected in (("relative", [115, 125, 155]), ("absolute", [65, 75, 105])):
        frames = animator.frames(gray(100), drivers, transfer=transfer, yaw_deg=15.0, **WHOLE)
        assert [int(np.rint(frame.mean())) for frame in frames] == expected


def test_files_and_reports(animator, tmp_path):
    write_image(tmp_path / "me.png", gray(100, 48, 40))
    report = animator.edit(tmp_path / "me.png", tmp_path / "out.png", yaw_deg=40.0, crop=False)
    assert np.rint(read_image(tmp_path / "out.png").mean()) == 140
    assert (report.frames, report.width, report.height, report.model) == (1, 40, 48, "gray")
    assert len(report.warnings) == 1
    assert "yaw 40: turned by more than 30 degrees" in report.warnings[0]
    calls = []
    report = animator.edit(
        tmp_path / "me.png",
        tmp_path / "out.mp4",
        pitch_deg=3.0,
        sweep=Sweep("yaw", -20.0, 20.0),
        crop=False,
        progress=lambda *call: calls.append(call),
    )
    assert (report.frames, report.warnings) == (100, [])
    with open_video(tmp_path / "out.mp4") as video:
        shades = [frame.rgb.mean() for frame in video]
    assert shades[0] == pytest.approx(80, abs=3)
    assert shades[50] == pytest.approx(120, abs=3)
    assert shades[25] == pytest.approx(100, abs=3)
    assert calls[-1] == ("turning the head", 100, 100)


def test_a_sweep_goes_there_and_back_smoothly():
    turns = Sweep("roll", -10.0, 30.0).turns(HeadTurn(yaw=5.0))
    angles = np.array([turn.roll for turn in turns])
    assert (turns[0].roll, turns[50].roll) == (-10, 30)
    assert {(turn.yaw, turn.pitch) for turn in turns} == {(5.0, 0.0)}
    np.testing.assert_allclose(angles[1:], angles[:0:-1], atol=1e-9)
    assert np.abs(np.diff(angles, append=angles[0])).max() < 1.3
    with pytest.raises(FnevrError, match="a roll and a sweep of the roll exclude each other"):
        Sweep("roll", -10.0, 30.0).turns(HeadTurn(roll=5.0))


@pytest.mark.parametrize("text", ["yaw", "yaw=3", "yaw=a:b", "tilt=-3:3", "yaw=1:2:3", ""])
def test_sweeps_that_are_none(text):
    with pytest.raises(FnevrError, match="wanted yaw, pitch or roll as in yaw=-30:30"):
        Sweep.parse(text)
    assert Sweep.parse("pitch=-5:7.5") == Sweep("pitch", -5.0, 7.5)


@pytest.mark.parametrize("angle", [81.0, -90.0, float("nan"), float("inf")])
def test_angles_that_are_none(animator, angle):
    with pytest.raises(FnevrError, match=r"the pitch is .* degrees: wanted -80 to 80"):
        animator.edit_pose(gray(100), pitch_deg=angle, **WHOLE)


def test_a_picture_that_is_taken_whole_needs_no_face():
    lite = Animator.from_pretrained("lite", engine="onnx", precision="float32")
    picture = np.tile(np.arange(256, dtype=np.uint8)[:, None, None], (1, 256, 3))
    editor = lite.pose_editor(picture, Framing(crop=False))
    assert editor(10.0).shape == (256, 256, 3)


def test_a_model_without_an_editor(tmp_path):
    plain = Animator(TorchEngine(GrayModel()), name="plain")
    with pytest.raises(CheckpointError, match="'plain' has no pose editor"):
        plain.edit_pose(gray(100), yaw_deg=5.0, **WHOLE)
    assert len(list(plain.frames(gray(100), [gray(50)], **WHOLE))) == 1
    with pytest.raises(CheckpointError, match="'plain' has no pose editor"):
        plain.frames(gray(100), [gray(50)], yaw_deg=5.0, **WHOLE)


def test_outputs_that_cannot_be(animator, tmp_path):
    write_image(tmp_path / "me.png", gray(100))
    with pytest.raises(MediaError, match="an input and an output"):
        animator.edit(tmp_path / "me.png", tmp_path / "me.png")
    with pytest.raises(MediaError, match="must end in"):
        animator.edit(tmp_path / "me.png", tmp_path / "out.mp4")
    with pytest.raises(MediaError, match="must end in"):
        animator.edit(tmp_path / "me.png", tmp_path / "out.png", sweep=Sweep("yaw", -5.0, 5.0))
    assert [path.name for path in tmp_path.iterdir()] == ["me.png"]


def test_the_command_turns_the_bundled_portrait(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    portrait = str(asset("portrait.jpg"))
    result = CliRunner().invoke(
        app, ["edit", portrait, "--yaw", "15", "--no-paste-back", "-o", "right.png"]
    )
    assert result.exit_code == 0, result.output
    CliRunner().invoke(app, ["edit", portrait, "--no-paste-back", "-o", "same.png"])
    right, same = read_image("right.png"), read_image("same.png")
    assert right.shape == same.shape == (256, 256, 3)
    assert np.abs(right.astype(int) - same).mean() > 2
    result = CliRunner().invoke(app, ["edit", portrait, "--sweep", "yaw=3"])
    assert result.exit_code == 2
    assert "wanted yaw, pitch or roll" in result.output
    assert not (tmp_path / "sweep.mp4").exists()
