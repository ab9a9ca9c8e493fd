"""Pose editor (LPE): keypoints of a turned head, p = p_S + delta_p and J = J_S + delta_J.

Zeng et al., "FNeVR: Neural Volume Rendering for Face Animation", NeurIPS 2022 (lightweight pose
editor): delta_p, delta_J = f_editor(theta_rotate, p_S, J_S), by one perceptron. Here theta_rotate
is a rotation matrix R, and there are two perceptrons. The first lifts the keypoints to three
dimensions, where they are turned exactly; the second, r, adds what a rigid turn does not tell:

    p = p_S + a (R X - X)_xy + r_p(R) - r_p(I),    X = (p_S, z) - pivot
    J = J_S + a (R Y - Y)_xy + r_J(R) - r_J(I),    Y = (J_S; g)

For each keypoint, z is its depth, g are the slopes of the depth, and a is the share in which it
follows the head (1 on the face). These and the pivot, which the head turns about, are the first
perceptron's output for (p_S, J_S). I is no turn; with R = I nothing changes.

Shapes: B pictures, K keypoints, the first of them on the face.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from fnevr.config.folder import EDITOR_NAME
from fnevr.config.presets import find_preset, resolve_model
from fnevr.errors import CheckpointError
from fnevr.geometry.arrays import identity
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.rotations import head_angles_deg, head_rotations
from fnevr.media.files import atomic_path
from fnevr.models.weights import check_stored, load_strict

FORMAT = "fnevr-pose-editor-1"
SIZE = re.compile(r"[0-9]{1,4}")  # of the networks, in the file
PER_KEYPOINT = 6  # two coordinates, four of the Jacobian
MAX_PITCH_DEG = 85.0  # beyond, yaw and roll are one


@dataclass(frozen=True)
class LiftedKeypoints:
    """What the first perceptron makes of a picture's keypoints, in units of the face's size.

    Attributes:
        depth: z of each keypoint, growing away from the camera.
        slopes: g, the third row of its Jacobian.
        follow: a, in which share it follows the head; 1 on the face.
        pivot: what the head turns about, from the face's middle.
        rotation: how the head is turned (head's frame: x right, y up, z out of the face).
    """

    depth: Float[Tensor, "B K"]
    slopes: Float[Tensor, "B K 2"]
    follow: Float[Tensor, "B K"]
    pivot: Float[Tensor, "B 3"]
    rotation: Float[Tensor, "B 3 3"]


class LightweightPoseEditor(nn.Module):
    """f_editor: two perceptrons of three layers around an exact rotation.

    Attributes:
        response: which share of a commanded yaw, pitch and roll the drawn heads turn by, three
            numbers; 1 until it is measured (`train.pose_editor.measure_response`).
    """

    response: Tensor

    def __init__(self, num_keypoints: int, num_face_keypoints: int, width: int = 128) -> None:
        """Make an editor with random weights.

        Args:
            num_keypoints: K.
            num_face_keypoints: how many of them, the first ones, lie on the face.
            width: of the hidden layers.
        """
        super().__init__()
        self.num_keypoints = num_keypoints
        self.num_face = num_face_keypoints
        self.width = width
        num_free = num_keypoints - num_face_keypoints
        in_width = PER_KEYPOINT * num_keypoints
        self.lift = _perceptron(in_width, width, 3 * num_keypoints + num_free + 3 + 6)
        self.rest = _perceptron(in_width + 9, width, in_width)
        self.register_buffer("response", torch.ones(3))

    def forward(self, rotation: Float[Tensor, "B 3 3"], keypoints: Keypoints) -> Keypoints:
        """Turn heads.

        Args:
            rotation: by what, about axes of the picture (x right, y up, z towards the viewer).
            keypoints: of the heads as they are.
        """
        self._check(keypoints)
        middle, size = self._face(keypoints)
        features = self._features(keypoints, middle, size)
        lifted = self._lift(features)
        flip = rotation.new_tensor([1.0, -1.0, -1.0])  # y down, z away, as in pictures
        turn = (flip[:, None] * rotation * flip).unsqueeze(1)

        flat = (keypoints.positions - middle) / size
        points = torch.cat((flat, lifted.depth.unsqueeze(-1)), dim=-1) - lifted.pivot.unsqueeze(1)
        frames = torch.cat(
            (keypoints.jacobians / size.unsqueeze(-1), lifted.slopes.unsqueeze(-2)), dim=-2
        )
        by_turn = (turn @ points.unsqueeze(-1)).squeeze(-1) - points
        frames_by_turn = turn @ frames - frames
        rest_positions, rest_jacobians = self._rest(features, rotation)
        follow = lifted.follow.unsqueeze(-1)
        moved = follow * by_turn[..., :2] + rest_positions
        bent = follow.unsqueeze(-1) * frames_by_turn[..., :2, :] + rest_jacobians
        return Keypoints(
            keypoints.positions + size * moved, keypoints.jacobians + size.unsqueeze(-1) * bent
        )

    def turned(self, keypoints: Keypoints, angles_deg: Float[Tensor, "B 3"]) -> Keypoints:
        """Add angles to a head's own yaw, pitch and roll, which the editor estimates.

        Drawn heads turn by a little less than their keypoints; the keypoints turn by more, so that
        the picture shows what was asked for (`response`).

        Args:
            keypoints: of the heads as they are.
            angles_deg: yaw (positive: to the viewer's right), pitch (up), roll (clockwise).
        """
        before = self.lifted(keypoints).rotation
        target = head_angles_deg(before) + angles_deg / self.response
        pitch = target[:, 1:2].clamp(-MAX_PITCH_DEG, MAX_PITCH_DEG)
        target = torch.cat((target[:, :1], pitch, target[:, 2:]), dim=1)
        return self(head_rotations(target) @ before.transpose(1, 2), keypoints)

    def lifted(self, keypoints: Keypoints) -> LiftedKeypoints:
        """Return the keypoints' third dimension and the head's pose."""
        self._check(keypoints)
        return self._lift(self._features(keypoints, *self._face(keypoints)))

    def _check(self, keypoints: Keypoints) -> None:
        if keypoints.num_keypoints != self.num_keypoints:
            raise ValueError(
                f"got {keypoints.num_keypoints} keypoints, this editor turns {self.num_keypoints}"
            )

    def _face(self, keypoints: Keypoints) -> tuple[Float[Tensor, "B 1 2"], Float[Tensor, "B 1 1"]]:
        face = keypoints.positions[:, : self.num_face]
        middle = face.mean(dim=1, keepdim=True)
        size = (face - middle).square().sum(dim=-1, keepdim=True).mean(dim=1, keepdim=True).sqrt()
        return middle, size

    @staticmethod
    def _features(keypoints: Keypoints, middle: Tensor, size: Tensor) -> Float[Tensor, "B F"]:
        positions = (keypoints.positions - middle) / size
        jacobians = keypoints.jacobians / size.unsqueeze(-1) / 4  # about 1 as well
        return torch.cat((positions.flatten(1), jacobians.flatten(1)), dim=1)

    def _lift(self, seen: Float[Tensor, "B F"]) -> LiftedKeypoints:
        count = self.num_keypoints
        depth, slopes, follow, pivot, axes = self.lift(seen).split(
            (count, 2 * count, count - self.num_face, 3, 6), dim=1
        )
        on_face = follow.new_ones(follow.shape[0], self.num_face)
        return LiftedKeypoints(
            depth,
            slopes.unflatten(1, (count, 2)),
            torch.cat((on_face, follow.sigmoid()), dim=1),
            pivot,
            _orthogonal(axes.unflatten(1, (2, 3))),
        )

    def _rest(
        self, seen: Float[Tensor, "B F"], rotation: Float[Tensor, "B 3 3"]
    ) -> tuple[Float[Tensor, "B K 2"], Float[Tensor, "B K 2 2"]]:
        no_turn = identity(3, seen)
        by = [(r - no_turn).expand(seen.shape[0], 3, 3).flatten(1) for r in (rotation, no_turn)]
        turned, still = (self.rest(torch.cat((seen, each), dim=1)) for each in by)
        positions, jacobians = (turned - still).split(
            (2 * self.num_keypoints, 4 * self.num_keypoints), dim=1
        )
        return positions.unflatten(1, (-1, 2)), jacobians.unflatten(1, (-1, 2, 2))

    def save(self, folder: str | Path) -> None:
        """Write the editor beside a model's weights, as float16; the file appears complete.

        Raises:
            CheckpointError: if numbers are not finite as float16.
        """
        tensors = {name: value.detach().half().cpu() for name, value in self.state_dict().items()}
        check_stored(tensors, str(Path(folder) / EDITOR_NAME))
        sizes = (self.num_keypoints, self.num_face, self.width)
        metadata = {"format": FORMAT, "sizes": " ".join(map(str, sizes))}
        with atomic_path(Path(folder) / EDITOR_NAME) as temporary:
            save_file(tensors, temporary, metadata=metadata)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> LightweightPoseEditor:
        """Load the editor that lies beside a model's weights.

        Args:
            folder: the model's, or a preset's name.

        Raises:
            CheckpointError: if there is none, or it is damaged.
        """
        path = (resolve_model(folder) if find_preset(str(folder)) else Path(folder)) / EDITOR_NAME
        if not path.is_file():
            raise CheckpointError(
                f"the model in '{folder}' has no pose editor ({EDITOR_NAME})\n"
                "train one with `fnevr train-editor`, or use the model 'lite'"
            )
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        except (SafetensorError, OSError, ValueError) as error:
            raise CheckpointError(
                f"'{path}' is damaged ({error})\ninstall or train it again"
            ) from error
        sizes = metadata.get("sizes", "").split()
        are_sizes = len(sizes) == 3 and all(SIZE.fullmatch(size) for size in sizes)
        if metadata.get("format") != FORMAT or not are_sizes:
            raise CheckpointError(
                f"'{path}' is not a pose editor (its mark {FORMAT!r} is missing)\n"
                "install or train it again"
            )
        count, num_face, width = map(int, sizes)
        if not 1 <= num_face <= count:
            raise CheckpointError(f"'{path}' has {num_face} of {count} keypoints on the face")
        with torch.device("meta"):
            editor = cls(count, num_face, width)
        load_strict(editor, tensors, str(path))
        return editor.eval()


def _perceptron(in_width: int, width: int, out_width: int) -> nn.Sequential:
    last = nn.Linear(width, out_width)
    nn.init.normal_(last.weight, std=1e-3)
    nn.init.zeros_(last.bias)
    return nn.Sequential(
        nn.Linear(in_width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), last
    )


def _orthogonal(axes: Float[Tensor, "B 2 3"]) -> Float[Tensor, "B 3 3"]:
    """Return rotations from two columns (Gram and Schmidt); (0, 0) stands for no rotation."""
    x, y = (axes + identity(3, axes)[:2]).unbind(dim=1)
    x = nn.functional.normalize(x, dim=-1)
    y = nn.functional.normalize(y - (x * y).sum(dim=-1, keepdim=True) * x, dim=-1)
    return torch.stack((x, y, torch.linalg.cross(x, y)), dim=-1)
