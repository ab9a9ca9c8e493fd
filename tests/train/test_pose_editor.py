"""Training of the pose editor on the head model's own heads."""

import dataclasses

import numpy as np
import pytest
import torch

from fnevr.config.models import LiteConfig
from fnevr.data.clips import Clip
from fnevr.errors import FaceError
from fnevr.face3d.camera import WeakPerspective
from fnevr.face3d.head_model import HeadModel, HeadParameters
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.rotations import axis_angles, head_angles_deg, head_rotations
from fnevr.models.encoded_source import EncodedSource
from fnevr.models.portrait import KeypointModel
from fnevr.models.pose_editor import LightweightPoseEditor
from fnevr.train.pose_editor import (
    measure_frames,
    measure_response,
    partners,
    train_pose_editor,
)

SIZE = 64
ANGLES = torch.tensor([[0.0, 0, 0], [20, 5, -5], [-25, 10, 0], [5, -15, 10], [0, 10, 20]])


@pytest.fixture(scope="module")
def landmarks():
    """The mean head in some poses, in [-1, 1]."""
    head = HeadModel.packaged()
    pose = torch.zeros(len(ANGLES), 5, 3)
    pose[:, 0] = axis_angles(head_rotations(ANGLES))
    parameters = HeadParameters(
        torch.zeros(len(ANGLES), head.num_shape),
        torch.zeros(len(ANGLES), head.num_expression),
        pose,
    )
    camera = WeakPerspective(
        torch.full((len(ANGLES),), SIZE * 4.0), torch.full((len(ANGLES), 2), SIZE / 2)
    )
    seen = camera.project(head(parameters).vertices)
    return (seen[..., :2] / (SIZE / 2) - 1).numpy()


@pytest.fixture(scope="module")
def clips(landmarks):
    pictures = np.zeros((len(ANGLES), SIZE, SIZE, 3), np.uint8)
    return [Clip(name, name, 0.1, pictures, landmarks) for name in ("a", "b")]


class Detector(KeypointModel):
    """Stands for a model that sees the landmarks' keypoints, in the frames' order."""

    def __init__(self, patches, landmarks):
        super().__init__(LiteConfig(image_size=SIZE))
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.found = patches(torch.from_numpy(landmarks))
        self.calls = 0

    def keypoints(self, image_01):
        index = self.calls % len(self.found)
        self.calls += 1
        return self.found[index]


@pytest.fixture(scope="module")
def frames(clips, landmarks, patches):
    return measure_frames(Detector(patches, landmarks), clips, stride=1)


def test_measured_poses_are_those_of_the_heads(frames, landmarks):
    assert len(frames) == 2 * len(ANGLES)
    assert frames.clips.tolist() == [0] * len(ANGLES) + [1] * len(ANGLES)
    found = head_angles_deg(frames.rotations)
    torch.testing.assert_close(found, ANGLES.repeat(2, 1), atol=3.0, rtol=0)
    np.testing.assert_allclose(frames.points[: len(ANGLES), :, :2], landmarks)
    # The neck lies behind the face, whatever the pose.
    assert (frames.necks[:, 2] > frames.points[..., 2].mean(dim=1) + 0.3).all()


def test_training_learns_turns_and_poses(frames, monkeypatch):
    monkeypatch.setattr("fnevr.train.pose_editor.BATCH_SIZE", 32)
    num_face = frames.keypoints.num_keypoints
    losses = []
    editor = train_pose_editor(
        frames, num_face, steps=200, on_step=lambda step, loss: losses.append(loss)
    )
    assert np.mean(losses[-20:]) < 0.4 * np.mean(losses[:5])
    with torch.no_grad():
        found = head_angles_deg(editor.lifted(frames.keypoints).rotation)
        wanted = head_angles_deg(frames.rotations)
        assert (found - wanted).abs().mean() < 0.6 * wanted.abs().mean()
        frontal = frames.keypoints[0]
        edited = editor(frames.rotations[1:2] @ frames.rotations[:1].transpose(1, 2), frontal)
    shapes = [
        points.positions - points.positions.mean(dim=1, keepdim=True)
        for points in (frontal, edited, frames.keypoints[1])
    ]
    before, after = ((shape - shapes[2]).abs().mean() for shape in shapes[:2])
    assert after < 0.35 * before


def test_keypoints_that_are_no_landmarks_patches_learn_from_pairs_alone(frames):
    """Those of `base`, all of which count as the face's: the paper's own training."""
    some = Keypoints(frames.keypoints.positions[:, :10], frames.keypoints.jacobians[:, :10])
    few = dataclasses.replace(frames, keypoints=some)
    losses: list[float] = []
    train_pose_editor(few, 10, steps=30, on_step=lambda step, loss: losses.append(loss))
    assert losses[-1] < losses[0]


def test_two_runs_of_one_seed_are_equal(frames):
    one, two = (train_pose_editor(frames, 25, steps=3, seed=4).state_dict() for _ in range(2))
    other = train_pose_editor(frames, 25, steps=3, seed=5).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["lift.0.weight"], other["lift.0.weight"])


def test_partners_are_of_the_same_clip():
    clips = torch.tensor([0, 0, 0, 1, 2, 2])
    chosen = torch.arange(6).repeat(50)
    drawn = partners(clips, chosen, torch.Generator().manual_seed(0))
    assert (clips[drawn] == clips[chosen]).all()
    assert {*drawn[chosen == 1].tolist()} == {0, 1, 2}


class Drawer(Detector):
    """Writes into its picture by what the keypoints were turned, as `Shifted` does."""

    def read_source(self, source_01, face=None):
        return EncodedSource(source_01, self.found[:1], torch.zeros(1, 1))

    def draw(self, source, driving):
        angles = driving.positions[0, 0, 0] - source.keypoints.positions[0, 0, 0]
        return torch.full((1, 3, SIZE, SIZE), float(angles))


class Shifted(LightweightPoseEditor):
    """Moves all keypoints to the right by the sum of the angles, in hundreds of degrees."""

    def turned(self, keypoints, angles_deg):
        return dataclasses.replace(
            keypoints, positions=keypoints.positions + 0.5 + angles_deg.sum() / 100
        )


def test_response_is_by_how_much_drawn_heads_follow(clips, landmarks, patches, monkeypatch):
    model, told = Drawer(patches, landmarks), []
    editor = Shifted(model.found.num_keypoints, model.found.num_keypoints)
    followed = torch.tensor([0.9, 0.7, 1.1])
    monkeypatch.setattr(
        "fnevr.train.pose_editor._drawn_angles",
        lambda head, image_01: 100 * (image_01[0, 0, 0] - 0.5) * followed,
    )
    found = measure_response(model, editor, clips, lambda *done: told.append(done))
    torch.testing.assert_close(found, followed, atol=1e-3, rtol=0)
    assert told == [("measuring turns", 1, 2), ("measuring turns", 2, 2)]


def test_pictures_without_a_face_say_so(clips, landmarks, patches):
    model = Drawer(patches, landmarks)
    editor = Shifted(model.found.num_keypoints, model.found.num_keypoints)
    with pytest.raises(FaceError, match="is it trained"):
        measure_response(model, editor, clips)
