"""Training of the pose editor: what `fnevr train-editor` does.

It learns from frames whose heads are measured, and is told in the end how far drawn heads follow.
Two kinds of targets, half of each batch each: the keypoints of another frame of the clip, at the
relative rotation of the two fitted heads (the paper's); and, at angles that clips seldom show, the
face keypoints of the fitted head itself, turned about its neck. The second kind is for `lite`,
whose face keypoints are landmarks' patches; of other models' keypoints nobody knows how they turn.

Shapes: F frames, K keypoints, N landmarks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from fnevr.config.folder import CONFIG_NAME
from fnevr.config.stages import check_seed
from fnevr.data.clips import Clip, load_clips
from fnevr.errors import CheckpointError, FaceError, FnevrError
from fnevr.evaluate.pose_editing import model_turner
from fnevr.face3d.fitting import fit_landmarks
from fnevr.face3d.head_model import JOINT_NAMES, HeadModel
from fnevr.faces.find import find_face
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.patches import FacePatches
from fnevr.geometry.rotations import head_rotations
from fnevr.losses.pose_edit import pose_edit_distance
from fnevr.media.arrays import to_images_01
from fnevr.models.architectures import load_model
from fnevr.models.portrait import KeypointModel
from fnevr.models.pose_editor import LightweightPoseEditor
from fnevr.progress import Progress
from fnevr.runtime.load import check_device
from fnevr.runtime.torch_engine import TorchEngine
from fnevr.train.retarget_map import fit_retarget_map

LAMBDA1, LAMBDA2 = 4.0, 1.0
POSE_WEIGHT = 1.0
WIDEST_DEG = (40.0, 28.0, 28.0)  # of the turned head models: yaw, pitch, roll
SPIN_DEG = 15.0  # deviation of the turn of everything in the picture's plane
NECK = JOINT_NAMES.index("neck")
BATCH_SIZE, RATE = 256, 1e-3
RESPONSE_DEG, NUM_RESPONSES = 15.0, 40  # the turns that are drawn and measured; of how many clips


def train_editor(
    data: Path,
    folder: Path,
    *,
    stride: int = 8,
    steps: int = 3000,
    seed: int = 0,
    device: str | None = None,
    progress: Progress | None = None,
) -> LightweightPoseEditor:
    """Train the pose editor of a model on a prepared folder, and write it beside the weights.

    Beside it comes what retargeting needs to know of the model's keypoints (`train.retarget_map`).

    Args:
        data: a prepared folder; its split "train" is used.
        folder: of the model; its pose editor is replaced when the new one is complete.
        stride: every how many frames of a clip are measured.
        steps: of the training.
        seed: of the first weights and of what is drawn.
        device: "cpu", "cuda" or "mps"; None takes CUDA if there is some. The editor itself, which
            is small, trains on the CPU.
        progress: is told of every clip and step.

    Raises:
        CheckpointError: if there is no such model.
        FnevrError: if the seed is none, no such clip shows a face, or models of this kind have no
            pose editor.
        FaceError: if no picture that the model draws shows a face.
    """
    check_seed(seed)
    model = _editable(folder).to(check_device(device))
    clips = [clip for clip in load_clips(data, "train") if len(clip.tracked)]
    if not clips:
        raise FnevrError(f"no training clip in '{data}' shows a face")

    def on_step(step: int, _loss: float) -> None:
        if progress is not None:
            progress("training", step, steps)

    frames = measure_frames(model, clips, stride, progress)
    num_face = model.config.num_face_keypoints
    editor = train_pose_editor(frames, num_face, steps=steps, seed=seed, on_step=on_step)
    editor.response.copy_(measure_response(model, editor, clips, progress))
    if num_face == FacePatches.packaged().num_keypoints:
        fit_retarget_map(model, clips, progress).save(folder)
    editor.save(folder)
    return editor


def _editable(folder: Path) -> KeypointModel:
    """Load a model whose keypoints a pose editor can turn."""
    if not (folder / CONFIG_NAME).is_file():
        raise CheckpointError(
            f"'{folder}' is no folder of a model: its pose editor would lie beside the weights\n"
            "give a folder that `fnevr train` or `fnevr convert` made"
        )
    model = load_model(folder).eval()
    if not isinstance(model, KeypointModel):
        raise FnevrError(
            f"'{model.architecture}' is driven by {model.config.driven_by}: a pose editor turns "
            "keypoints"
        )
    if model.config.uses_source_keypoints:
        raise FnevrError(
            f"the motion of '{model.architecture}' needs the source: it has no pose editor"
        )
    return model


@dataclass(frozen=True)
class MeasuredFrames:
    """Frames with a face: what the detector says, and the head that was fitted.

    Attributes:
        keypoints: detected.
        rotations: of the head.
        points: landmarks in [-1, 1] with the fitted head's depth in the same unit.
        necks: what the head turns about, in the same coordinates.
        clips: number of each frame's clip, ascending.
    """

    keypoints: Keypoints
    rotations: Float[Tensor, "F 3 3"]
    points: Float[Tensor, "F N 3"]
    necks: Float[Tensor, "F 3"]
    clips: Int[Tensor, " F"]

    def __len__(self) -> int:
        return len(self.clips)


def measure_frames(
    model: KeypointModel,
    clips: Sequence[Clip],
    stride: int,
    progress: Progress | None = None,
) -> MeasuredFrames:
    """Detect keypoints and fit heads in every `stride`-th frame with a face.

    Args:
        model: whose keypoints are to be edited.
        clips: of a prepared folder, square.
        stride: how many frames apart.
        progress: is told after every clip.
    """
    head = HeadModel.packaged()
    device = next(model.parameters()).device
    parts = []
    for number, clip in enumerate(clips):
        indices = clip.tracked[::stride]
        keypoints = [
            _detected(model, to_images_01([clip.frames[int(index)]]), device) for index in indices
        ]
        landmarks = torch.from_numpy(clip.landmarks[indices]).float()
        half = clip.frames.shape[1] / 2
        fit = fit_landmarks(head, (landmarks + 1) * half)
        joints = head(fit.parameters).joints[:, NECK : NECK + 1]
        points_px = fit.camera.project(torch.cat((joints, fit.vertices), dim=1))
        depth = (points_px[..., 2] - fit.vertices_px[..., 2].mean(dim=1, keepdim=True)) / half
        neck = torch.cat((points_px[:, 0, :2] / half - 1, depth[:, :1]), dim=1)
        points = torch.cat((landmarks, depth[:, 1:, None]), dim=-1)
        number_of = torch.full((len(indices),), number)
        parts.append((Keypoints.concatenate(keypoints), fit.rotations, points, neck, number_of))
        if progress is not None:
            progress("measuring clips", number + 1, len(clips))
    keypoints_of, *tensors = zip(*parts, strict=True)
    return MeasuredFrames(
        Keypoints.concatenate(list(keypoints_of)), *(torch.cat(each) for each in tensors)
    )


def train_pose_editor(
    frames: MeasuredFrames,
    num_face: int,
    *,
    steps: int = 3000,
    seed: int = 0,
    on_step: Callable[[int, float], None] | None = None,
) -> LightweightPoseEditor:
    """Train an editor; the learning rate falls along a cosine.

    Args:
        frames: from `measure_frames`, of training clips.
        num_face: how many of the keypoints, the first ones, lie on the face.
        steps: of `BATCH_SIZE` heads.
        seed: of weights and batches.
        on_step: called with the steps done and the loss.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        editor = LightweightPoseEditor(frames.keypoints.num_keypoints, num_face)
    rng = torch.Generator().manual_seed(seed)
    patches = FacePatches.packaged()
    optimizer = torch.optim.Adam(editor.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        optimizer.zero_grad()
        loss = _pair_loss(editor, frames, rng)
        if num_face == patches.num_keypoints:
            loss = loss + _turn_loss(editor, frames, patches, rng)
        loss.backward()
        optimizer.step()
        schedule.step()
        if on_step is not None:
            on_step(step + 1, loss.item())
    return editor.eval()


@torch.inference_mode()
def _detected(
    model: KeypointModel, image_01: Float[np.ndarray, "1 3 H W"], device: torch.device
) -> Keypoints:
    return model.keypoints(torch.from_numpy(image_01).to(device)).to("cpu")


def measure_response(
    model: KeypointModel,
    editor: LightweightPoseEditor,
    clips: Sequence[Clip],
    progress: Progress | None = None,
) -> Float[Tensor, " 3"]:
    """Return which share of a commanded yaw, pitch and roll the drawn heads turn by.

    The first tracked frame of some clips is turned to either side and drawn, and the head model is
    fitted to both pictures. The share is the measured difference of the angle over the commanded
    one, the mean over the clips.

    Args:
        model: draws.
        editor: turns the keypoints; its own `response` should be 1.
        clips: some of them are taken, evenly. Do not give the clips that the result is judged by.
        progress: is told after every clip.

    Raises:
        FaceError: if no drawn picture shows a face.
    """
    head = HeadModel.packaged()
    slopes_by_axis: list[list[float]] = [[], [], []]
    engine = TorchEngine(model, str(next(model.parameters()).device), editor=editor)
    places = np.linspace(0, len(clips) - 1, min(NUM_RESPONSES, len(clips))).round().astype(int)
    for number, place in enumerate(places):
        clip = clips[int(place)]
        turn = model_turner(engine, clip.name, clip.frames[int(clip.tracked[0])].copy())
        for axis in range(3):
            there = RESPONSE_DEG * np.eye(3, dtype=np.float32)[axis : axis + 1]
            before, after = (_drawn_angles(head, turn(angles)[0]) for angles in (-there, there))
            if before is not None and after is not None:
                slopes_by_axis[axis].append(float(after[axis] - before[axis]) / (2 * RESPONSE_DEG))
        if progress is not None:
            progress("measuring turns", number + 1, len(places))
    if not all(slopes_by_axis):
        raise FaceError("no face was found in what the model drew: is it trained?")
    return torch.tensor([float(np.mean(slopes)) for slopes in slopes_by_axis])


def _drawn_angles(head: HeadModel, image_01: Float[Tensor, "3 H W"]) -> Float[Tensor, " 3"] | None:
    """Return yaw, pitch and roll of the head in a picture; None where there is no face."""
    rgb = (image_01.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    try:
        landmarks = find_face(rgb)
    except FaceError:
        return None
    return fit_landmarks(head, torch.tensor(landmarks, dtype=torch.float32)[None]).angles_deg[0]


def partners(clips: Int[Tensor, " F"], chosen: Int[Tensor, " B"], rng: torch.Generator) -> Tensor:
    """Draw another frame of the same clip for each (or the same one)."""
    first = torch.searchsorted(clips, clips[chosen])
    last = torch.searchsorted(clips, clips[chosen], right=True)
    share = torch.rand(len(chosen), generator=rng, dtype=torch.float64)
    return first + (share * (last - first)).long()


def _pair_loss(
    editor: LightweightPoseEditor, frames: MeasuredFrames, rng: torch.Generator
) -> Tensor:
    """Compare with another frame of the clip, and the estimated pose with the fitted one."""
    source = torch.randint(len(frames), (BATCH_SIZE // 2,), generator=rng)
    driving = partners(frames.clips, source, rng)
    spin = _spins(len(source), rng)
    rotations = [spin @ frames.rotations[index] for index in (source, driving)]
    before, after = (_spun(frames.keypoints[index], spin) for index in (source, driving))
    edited = editor(rotations[1] @ rotations[0].transpose(1, 2), before)
    pose = (editor.lifted(before).rotation - rotations[0]).abs().mean()
    distance = pose_edit_distance(edited, after, lambda1=LAMBDA1, lambda2=LAMBDA2)
    return distance + POSE_WEIGHT * pose


def _turn_loss(
    editor: LightweightPoseEditor,
    frames: MeasuredFrames,
    patches: FacePatches,
    rng: torch.Generator,
) -> Tensor:
    """Compare face keypoints with those of the fitted head, turned about its neck."""
    batch = torch.randint(len(frames), (BATCH_SIZE // 2,), generator=rng)
    spin = _spins(len(batch), rng)
    widest = torch.tensor(WIDEST_DEG)
    angles = (2 * torch.rand(len(batch), 3, generator=rng) - 1) * widest
    turn = head_rotations(angles)
    flip = torch.tensor([1.0, -1.0, -1.0])
    in_picture = flip[:, None] * turn * flip

    neck = frames.necks[batch].unsqueeze(1)
    points = _spun_points(frames.points[batch] - neck, spin)
    middle = _spun_points(neck, spin)[..., :2]
    before, after = (
        patches(moved[..., :2] + middle) for moved in (points, points @ in_picture.transpose(1, 2))
    )
    keypoints = _spun(frames.keypoints[batch], spin)
    num_face = editor.num_face
    edited = editor(turn, keypoints)
    face = Keypoints(edited.positions[:, :num_face], edited.jacobians[:, :num_face])
    target = Keypoints(
        keypoints.positions[:, :num_face] + after.positions - before.positions,
        keypoints.jacobians[:, :num_face] + after.jacobians - before.jacobians,
    )
    return pose_edit_distance(face, target, lambda1=LAMBDA1, lambda2=LAMBDA2)


def _spins(count: int, rng: torch.Generator) -> Float[Tensor, "B 3 3"]:
    """Draw turns of everything in the picture's plane."""
    roll = SPIN_DEG * torch.randn(count, generator=rng)
    return head_rotations(torch.stack((roll * 0, roll * 0, roll), dim=-1))


def _spun(keypoints: Keypoints, spin: Float[Tensor, "B 3 3"]) -> Keypoints:
    """Turn keypoints about the picture's middle; y points down there, hence the transpose."""
    turn = spin[:, None, :2, :2].transpose(-1, -2)
    positions = (turn @ keypoints.positions.unsqueeze(-1)).squeeze(-1)
    return Keypoints(positions, turn @ keypoints.jacobians)


def _spun_points(
    points: Float[Tensor, "B N 3"], spin: Float[Tensor, "B 3 3"]
) -> Float[Tensor, "B N 3"]:
    flat = points[..., :2] @ spin[:, :2, :2]
    return torch.cat((flat, points[..., 2:]), dim=-1)
