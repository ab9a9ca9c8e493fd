"""Head model: v = W(T_p(beta, theta, psi), J(beta), theta, weights), with FLAME's conventions.

Li et al., "Learning a model of facial shape and expression from 4D scans" (FLAME), 2017, Eq. 1
to 5. Rest frame: metres, x to the person's left, y up, z out of the face. Five joints: the root
of the neck (`global`), the neck, the jaw, the left and the right eye of the person.

As in FLAME's released code and in `smplx`, joints are regressed from the template with identity
and expression; the paper writes J(beta).

Shapes: B batch, V vertices, F triangles, J joints, S shape and E expression coefficients,
P = 9 (J - 1) entries of the pose feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from fnevr.errors import CheckpointError
from fnevr.face3d.flame_file import WHERE, read_flame
from fnevr.geometry.rotations import rotation_matrices
from fnevr.geometry.skinning import skin
from fnevr.models.weights import describe_problems

JOINT_NAMES = ("global", "neck", "jaw", "left_eye", "right_eye")
PARENTS = (-1, 0, 1, 1, 1)
TENSORS = (
    *("template", "shape_basis", "expression_basis", "pose_basis"),
    *("joint_regressor", "skinning_weights", "faces"),
)
OPEN_MODEL = ("assets", "head", "model.safetensors")


@dataclass(frozen=True)
class HeadParameters:
    """What a head looks like and does.

    Attributes:
        shape: beta, who it is.
        expression: psi.
        pose: theta, axis times angle in radians of each joint, in the order of `JOINT_NAMES`.
    """

    shape: Float[Tensor, "B S"]
    expression: Float[Tensor, "B E"]
    pose: Float[Tensor, "B J 3"]

    def detach(self) -> HeadParameters:
        """Return the same values outside the autograd graph."""
        return HeadParameters(self.shape.detach(), self.expression.detach(), self.pose.detach())


@dataclass(frozen=True)
class Head:
    """A posed head in the model's frame (metres, y up, z out of the face)."""

    vertices: Float[Tensor, "B V 3"]
    joints: Float[Tensor, "B J 3"]


class HeadModel(nn.Module):
    """A statistical head; it has no trainable parameters."""

    def __init__(
        self,
        template: Float[Tensor, "V 3"],
        shape_basis: Float[Tensor, "V 3 S"],
        expression_basis: Float[Tensor, "V 3 E"],
        pose_basis: Float[Tensor, "V 3 P"],
        joint_regressor: Float[Tensor, "J V"],
        skinning_weights: Float[Tensor, "V J"],
        faces: Int[Tensor, "F 3"],
        parents: Sequence[int] = PARENTS,
    ) -> None:
        """Keep the tensors.

        Args:
            template: mean face at rest.
            shape_basis: displacement per unit of each shape coefficient.
            expression_basis: the same for expression.
            pose_basis: pose correctives, displacement per entry of ``R(theta) - I`` of the joints
                after the root, row by row; with P = 0 there are none.
            joint_regressor: rows give joints as sums over the shaped vertices.
            skinning_weights: how much each vertex follows each joint; rows sum to 1.
            faces: triangles, counter-clockwise seen from outside.
            parents: index of each joint's parent, -1 for the root, which comes first.

        Raises:
            ValueError: if the shapes do not belong together, or a parent comes after its child.
        """
        super().__init__()
        num_vertices, num_joints = skinning_weights.shape
        wanted = {
            "template": (template, (num_vertices, 3)),
            "shape_basis": (shape_basis, (num_vertices, 3, shape_basis.shape[-1])),
            "expression_basis": (expression_basis, (num_vertices, 3, expression_basis.shape[-1])),
            "joint_regressor": (joint_regressor, (num_joints, num_vertices)),
        }
        for name, (tensor, shape) in wanted.items():
            if tensor.shape != shape:
                raise ValueError(f"{name} is {tuple(tensor.shape)}, wanted {shape}")
        if pose_basis.shape not in {(num_vertices, 3, p) for p in (0, 9 * (num_joints - 1))}:
            raise ValueError(f"pose_basis is {tuple(pose_basis.shape)}: wanted 0 or 9 (J - 1) last")
        tree = tuple(parents)
        if len(tree) != num_joints or any(p not in range(j) for j, p in enumerate(tree) if j):
            raise ValueError(f"parents {tree}: wanted {num_joints}, each before its child")
        self.parents = tree
        self.template = nn.Buffer(template)
        self.shape_basis = nn.Buffer(shape_basis)
        self.expression_basis = nn.Buffer(expression_basis)
        self.pose_basis = nn.Buffer(pose_basis)
        self.joint_regressor = nn.Buffer(joint_regressor)
        self.skinning_weights = nn.Buffer(skinning_weights)
        self.faces = nn.Buffer(faces)

    @classmethod
    def packaged(cls) -> HeadModel:
        """Load the open head model that ships with the package (`docs/head_model.md`)."""
        data = files("fnevr").joinpath(*OPEN_MODEL).read_bytes()
        return cls._from_bytes(data, "the packaged head model")

    @classmethod
    def from_file(cls, path: str | Path) -> HeadModel:
        """Load a model: FLAME's own `.pkl`, or a `.safetensors` of this class's tensors.

        Raises:
            CheckpointError: if the file is missing, unsafe, damaged, or not a head model.
        """
        path = Path(path)
        if path.suffix.lower() == ".safetensors":
            if not path.is_file():
                raise CheckpointError(f"no such head model: '{path}'\ncheck the spelling")
            return cls._from_bytes(path.read_bytes(), f"'{path}'")
        tensors = read_flame(path)
        try:
            return cls(**tensors)
        except ValueError as error:
            raise CheckpointError(f"'{path}' is not a FLAME model: {error}\n{WHERE}") from error

    @classmethod
    def _from_bytes(cls, data: bytes, origin: str) -> HeadModel:
        try:
            tensors = load(data)
        except (SafetensorError, ValueError) as error:
            raise CheckpointError(f"{origin}: damaged head model ({error})") from error
        problems = [f"missing: {name}" for name in TENSORS if name not in tensors]
        problems += [f"unexpected: {name}" for name in tensors if name not in TENSORS]
        if problems:
            raise CheckpointError(describe_problems(origin, problems))
        faces = tensors.pop("faces").long()
        floats = {name: tensor.float() for name, tensor in tensors.items()}
        for name in ("joint_regressor", "skinning_weights"):
            # Half precision leaves rows that sum to 1 only to three digits.
            floats[name] = floats[name] / floats[name].sum(dim=1, keepdim=True)
        try:
            return cls(**floats, faces=faces, parents=PARENTS)
        except ValueError as error:
            raise CheckpointError(f"{origin}: not a head model: {error}") from error

    @property
    def num_vertices(self) -> int:
        """Number of vertices."""
        return len(self.template)

    @property
    def num_shape(self) -> int:
        """Number of shape coefficients."""
        return self.shape_basis.shape[-1]

    @property
    def num_expression(self) -> int:
        """Number of expression coefficients."""
        return self.expression_basis.shape[-1]

    def neutral(self, batch_size: int = 1) -> HeadParameters:
        """Return the parameters of the template: all zeros."""
        like = self.template
        return HeadParameters(
            like.new_zeros(batch_size, self.num_shape),
            like.new_zeros(batch_size, self.num_expression),
            like.new_zeros(batch_size, len(self.parents), 3),
        )

    def shaped(
        self, shape: Float[Tensor, "B S2"], expression: Float[Tensor, "B E2"]
    ) -> Float[Tensor, "B V 3"]:
        """Return the template with identity and expression, at rest.

        Args:
            shape: the first S2 <= S coefficients; the others are 0.
            expression: the first E2 <= E.
        """
        identity = self.shape_basis[..., : shape.shape[1]] @ shape.T
        expressed = self.expression_basis[..., : expression.shape[1]] @ expression.T
        return self.template + (identity + expressed).permute(2, 0, 1)

    def forward(self, parameters: HeadParameters) -> Head:
        """Return vertices and joints of posed heads; differentiable in every parameter."""
        return self.posed(self.shaped(parameters.shape, parameters.expression), parameters.pose)

    def posed(self, shaped: Float[Tensor, "B V 3"], pose: Float[Tensor, "B J 3"]) -> Head:
        """Pose heads that are shaped already: T_p and W of the equation.

        Args:
            shaped: vertices at rest, with identity and expression.
            pose: theta.
        """
        joints = torch.einsum("jv,bvc->bjc", self.joint_regressor, shaped)
        rotations = rotation_matrices(pose)
        if self.pose_basis.shape[-1]:
            identity = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
            feature = (rotations[:, 1:] - identity).flatten(start_dim=1)
            shaped = shaped + (self.pose_basis @ feature.T).permute(2, 0, 1)
        return Head(*skin(shaped, joints, rotations, self.skinning_weights, self.parents))
