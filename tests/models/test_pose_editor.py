"""The pose editor: nothing at angle 0, an exact turn where it lifts, files."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from fnevr.config.folder import EDITOR_NAME
from fnevr.errors import CheckpointError
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.rotations import head_angles_deg, head_rotations
from fnevr.models.pose_editor import LightweightPoseEditor

NUM_FACE, NUM_FREE = 5, 2


def some_keypoints(batch=3, count=NUM_FACE + NUM_FREE):
    return Keypoints(torch.randn(batch, count, 2) / 3, torch.randn(batch, count, 2, 2))


def random_editor():
    editor = LightweightPoseEditor(NUM_FACE + NUM_FREE, NUM_FACE, width=16)
    for value in editor.parameters():
        torch.nn.init.normal_(value, std=0.2)
    return editor


def without_rest(editor):
    for value in editor.rest.parameters():
        torch.nn.init.zeros_(value)
    return editor


@torch.no_grad()
def test_no_turn_changes_nothing():
    editor, keypoints = random_editor(), some_keypoints()
    for edited in (
        editor(torch.eye(3).expand(3, 3, 3), keypoints),
        editor.turned(keypoints, torch.zeros(3, 3)),
    ):
        torch.testing.assert_close(edited.positions, keypoints.positions, atol=1e-5, rtol=0)
        torch.testing.assert_close(edited.jacobians, keypoints.jacobians, atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_turn_is_that_of_the_lifted_points():
    editor, keypoints = without_rest(random_editor()), some_keypoints(batch=1)
    angles = torch.tensor([[20.0, -10.0, 5.0]])
    edited, lifted = editor(head_rotations(angles), keypoints), editor.lifted(keypoints)
    face = keypoints.positions[0, :NUM_FACE]
    middle = face.mean(dim=0)
    size = (face - middle).square().sum(dim=1).mean().sqrt()
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    turn = flip @ head_rotations(angles)[0] @ flip
    for k in range(NUM_FACE + NUM_FREE):
        share = lifted.follow[0, k]
        flat = (keypoints.positions[0, k] - middle) / size
        point = torch.cat([flat, lifted.depth[0, k : k + 1]]) - lifted.pivot[0]
        moved = keypoints.positions[0, k] + size * share * (turn @ point - point)[:2]
        torch.testing.assert_close(edited.positions[0, k], moved)
        frame = torch.cat([keypoints.jacobians[0, k] / size, lifted.slopes[0, k][None]])
        bent = keypoints.jacobians[0, k] + size * share * (turn @ frame - frame)[:2]
        torch.testing.assert_close(edited.jacobians[0, k], bent)
    assert (lifted.follow[0, :NUM_FACE] == 1).all()
    assert (lifted.follow[0, NUM_FACE:] < 1).all()


@torch.no_grad()
def test_the_turn_in_the_picture_is_clockwise_and_to_the_right():
    editor, keypoints = without_rest(random_editor()), some_keypoints(batch=1)
    for value in editor.lift.parameters():
        torch.nn.init.zeros_(value)
    editor.lift[-1].bias[3 * (NUM_FACE + NUM_FREE) + NUM_FREE + 2] = 1.0  # pivot behind the face
    middle = keypoints.positions[:, :NUM_FACE].mean(dim=1)
    still = editor(torch.eye(3)[None], keypoints).positions[:, :NUM_FACE]
    rolled = editor(head_rotations(torch.tensor([[0.0, 0.0, 90.0]])), keypoints).positions
    x, y = (still - middle[:, None]).unbind(dim=-1)
    # Clockwise as seen, y downwards: what is to the right goes down.
    torch.testing.assert_close(
        rolled[:, :NUM_FACE] - middle[:, None], torch.stack((-y, x), dim=-1), atol=1e-5, rtol=0
    )
    for angles, way in (((20.0, 0.0, 0.0), (1, 0)), ((0.0, 20.0, 0.0), (0, -1))):
        moved = editor(head_rotations(torch.tensor([angles])), keypoints).positions
        shift = (moved[:, :NUM_FACE] - still).mean(dim=(0, 1))
        assert shift @ torch.tensor(way, dtype=torch.float32) > 0.1


@torch.no_grad()
def test_places_and_sizes_do_not_matter():
    editor, keypoints = random_editor(), some_keypoints()
    turn = head_rotations(torch.tensor([[15.0, 5.0, -8.0]])).expand(3, 3, 3)
    shift = torch.tensor([0.3, -0.1])
    far = Keypoints(2 * keypoints.positions + shift, 2 * keypoints.jacobians)
    near, other = editor(turn, keypoints), editor(turn, far)
    torch.testing.assert_close(other.positions, 2 * near.positions + shift, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(other.jacobians, 2 * near.jacobians, atol=1e-5, rtol=1e-5)


def test_angles_come_back():
    angles = torch.tensor([[30.0, -20.0, 10.0], [-80.0, 60.0, 170.0]])
    torch.testing.assert_close(head_angles_deg(head_rotations(angles)), angles)


@torch.no_grad()
def test_saved_and_loaded(tmp_path):
    editor, keypoints = random_editor(), some_keypoints()
    editor.half().float().save(tmp_path)
    loaded = LightweightPoseEditor.from_pretrained(tmp_path)
    turn = head_rotations(torch.tensor([[15.0, 5.0, -8.0]])).expand(3, 3, 3)
    torch.testing.assert_close(loaded(turn, keypoints).positions, editor(turn, keypoints).positions)
    assert not loaded.training
    assert [path.name for path in tmp_path.iterdir()] == [EDITOR_NAME]


def test_a_presets_name_is_enough():
    assert LightweightPoseEditor.from_pretrained("lite").num_keypoints == 45
    with pytest.raises(CheckpointError, match="no weights ship for it"):
        LightweightPoseEditor.from_pretrained("dagan")


def test_other_keypoints_are_refused():
    with pytest.raises(ValueError, match="got 4 keypoints, this editor turns 7"):
        random_editor().lifted(some_keypoints(count=4))


def test_files_that_are_no_editor(tmp_path):
    with pytest.raises(CheckpointError, match="has no pose editor"):
        LightweightPoseEditor.from_pretrained(tmp_path)
    path = tmp_path / EDITOR_NAME
    path.write_bytes(b"no tensors")
    with pytest.raises(CheckpointError, match="is damaged"):
        LightweightPoseEditor.from_pretrained(tmp_path)
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="is not a pose editor"):
        LightweightPoseEditor.from_pretrained(tmp_path)
    random_editor().save(tmp_path)
    tensors = load_file(path)
    metadata = {"format": "fnevr-pose-editor-1", "sizes": "8 5 16"}
    save_file(tensors, path, metadata=metadata)
    with pytest.raises(CheckpointError, match="mis-shaped"):
        LightweightPoseEditor.from_pretrained(tmp_path)
    for sizes, message in (
        ("9999 9999 9999", "mis-shaped"),
        ("1000000000 5 16", "is not a pose editor"),
        ("9" * 5000 + " 5 16", "is not a pose editor"),
        ("\u00b2 5 16", "is not a pose editor"),
        ("5 8 16", "8 of 5 keypoints"),
        ("8 0 16", "0 of 8 keypoints"),
    ):
        save_file(tensors, path, metadata={**metadata, "sizes": sizes})
        with pytest.raises(CheckpointError, match=message):
            LightweightPoseEditor.from_pretrained(tmp_path)


@torch.no_grad()
def test_keypoints_turn_by_more_where_drawn_heads_turn_by_less():
    editor, keypoints = random_editor(), some_keypoints()
    angles = torch.tensor([[8.0, 0, 0], [0, -4, 0], [3, 2, 1]])
    response = torch.tensor([0.8, 0.5, 1.0])
    wanted = editor.turned(keypoints, angles / response)
    editor.response.copy_(response)
    found = editor.turned(keypoints, angles)
    torch.testing.assert_close(found.positions, wanted.positions)
    torch.testing.assert_close(found.jacobians, wanted.jacobians)
