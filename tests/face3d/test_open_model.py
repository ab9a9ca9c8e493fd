"""The head model that ships: a face, symmetric, whose jaw opens and whose eyes turn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from fnevr.config.presets import ASSETS
from fnevr.errors import CheckpointError
from fnevr.face3d import HeadModel
from fnevr.face3d.head_model import JOINT_NAMES, OPEN_MODEL
from fnevr.geometry.patches import FacePatches

NOSE, FOREHEAD, CHIN, UPPER_LIP, LOWER_LIP = 4, 10, 152, 13, 14
RIGHT_IRIS, LEFT_IRIS = 468, 473  # the person's
MOST_BYTES = 3_000_000


@pytest.fixture(scope="module")
def model():
    return HeadModel.packaged()


def with_pose(model, joint, axis_angle):
    pose = np.zeros((1, 5, 3), np.float32)
    pose[0, JOINT_NAMES.index(joint)] = axis_angle
    return model(replace(model.neutral(), pose=pose)).vertices[0]


def test_is_small():
    assert ASSETS.parent.joinpath(*OPEN_MODEL).stat().st_size < MOST_BYTES


def test_is_of_human_size_and_faces_the_viewer(model):
    face = model.template
    assert face[FOREHEAD, 1] > face[NOSE, 1] > face[CHIN, 1]
    assert face[NOSE, 2] == face[:, 2].max()
    assert face[LEFT_IRIS, 0] > 0 > face[RIGHT_IRIS, 0]
    assert np.linalg.norm(face[LEFT_IRIS] - face[RIGHT_IRIS]) == pytest.approx(0.063, abs=0.004)
    assert face[FOREHEAD, 1] - face[CHIN, 1] == pytest.approx(0.17, abs=0.02)


def test_is_symmetric(model):
    mirror = FacePatches.packaged().mirror
    reflected = model.template[mirror] * [-1, 1, 1]
    np.testing.assert_allclose(reflected, model.template, rtol=0, atol=1e-4)
    jaw = model.skinning_weights[:, JOINT_NAMES.index("jaw")]
    np.testing.assert_allclose(jaw[mirror], jaw, rtol=0, atol=2e-3)


def test_triangles_face_outwards_and_use_every_vertex(model):
    a, b, c = (model.template[model.faces[:, i]] for i in range(3))
    outwards = np.cross(b - a, c - a)[:, 2] > 0
    assert outwards.mean() > 0.98  # under the nose and chin some look down and back
    assert set(model.faces.ravel().tolist()) == set(range(478))


def test_weights_and_joints_are_affine(model):
    np.testing.assert_allclose(model.skinning_weights.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(model.joint_regressor.sum(axis=1), 1, rtol=1e-5)
    assert model.skinning_weights.min() >= 0


def test_joints_are_where_a_head_has_them(model):
    root, neck, jaw, left_eye, right_eye = model.joint_regressor @ model.template
    assert root[1] < neck[1] < jaw[1] < left_eye[1]
    assert neck[2] < jaw[2] < left_eye[2]
    for eye, iris in ((left_eye, LEFT_IRIS), (right_eye, RIGHT_IRIS)):
        assert np.linalg.norm(model.template[iris] - eye) == pytest.approx(0.0105, abs=0.002)


def test_the_jaw_opens_the_mouth_and_nothing_above(model):
    opened = with_pose(model, "jaw", [0.3, 0.0, 0.0]) - model.template
    assert opened[CHIN, 1] < -0.012
    assert (opened[LOWER_LIP, 1] - opened[UPPER_LIP, 1]) < -0.012
    assert np.abs(opened[[FOREHEAD, NOSE, LEFT_IRIS]]).max() < 1e-4


def test_an_eye_turns_alone(model):
    turned = with_pose(model, "left_eye", [0.0, 0.4, 0.0]) - model.template
    assert turned[LEFT_IRIS, 0] > 0.003  # to the viewer's right
    turned[473:] = 0
    assert np.abs(turned).max() < 1e-6


def test_the_neck_turns_everything(model):
    turned = with_pose(model, "neck", [0.0, 0.5, 0.0])
    assert turned[NOSE, 0] > 0.03
    before, after = (
        np.linalg.norm(points[:, None] - points, axis=-1) for points in (model.template, turned)
    )
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-4)


def test_a_damaged_file_says_so(tmp_path, model):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(CheckpointError, match="damaged head model"):
        HeadModel.from_file(path)
    with pytest.raises(CheckpointError, match="no such head model"):
        HeadModel.from_file(tmp_path / "other.safetensors")


def test_other_tensors_say_so(tmp_path, model):
    tensors = {"template": model.template, "extra": model.template[:2].copy()}
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"missing: shape_basis\n(.|\n)*unexpected: extra"):
        HeadModel.from_file(tmp_path / "model.safetensors")
