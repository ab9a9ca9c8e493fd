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

import numpy as np
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.numpy import load

from fnevr.errors import CheckpointError, describe_problems
from fnevr.face3d.flame_file import WHERE, read_flame
from fnevr.geometry.arrays import Array, as_like, identity, namespace
from fnevr.geometry.rotations import rotation_matrices
from fnevr.geometry.skinning import skin

JOINT_NAMES = ("global", "neck", "jaw", "left_eye", "right_eye")
PARENTS = (-1, 0, 1, 1, 1)
ARRAYS = (
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

    shape: Float[Array, "B S"]
    expression: Float[Array, "B E"]
    pose: Float[Array, "B J 3"]


@dataclass(frozen=True)
class Head:
    """A posed head in the model's frame (metres, y up, z out of the face)."""

    vertices: Float[Array, "B V 3"]
    joints: Float[Array, "B J 3"]


@dataclass(frozen=True, eq=False)
class HeadModel:
    """A statistical head, in arrays of NumPy where it is loaded.

    Parameters and landmarks may be of either library: the model follows them, in type and device.

    Attributes:
        template: mean face at rest.
        shape_basis: displacement per unit of each shape coefficient.
        expression_basis: the same for expression.
        pose_basis: pose correctives, displacement per entry of ``R(theta) - I`` of the joints after
            the root, row by row; with P = 0 there are none.
        joint_regressor: rows give joints as sums over the shaped vertices.
        skinning_weights: how much each vertex follows each joint; rows sum to 1.
        faces: triangles, counter-clockwise seen from outside.
        parents: index of each joint's parent, -1 for the root, which comes first.
    """

    template: Float[Array, "V 3"]
    shape_basis: Float[Array, "V 3 S"]
    expression_basis: Float[Array, "V 3 E"]
    pose_basis: Float[Array, "V 3 P"]
    joint_regressor: Float[Array, "J V"]
    skinning_weights: Float[Array, "V J"]
    faces: Int[Array, "F 3"]
    parents: Sequence[int] = PARENTS

    def __post_init__(self) -> None:
        """Check the shapes.

        Raises:
            ValueError: if they do not belong together, or a parent comes after its child.
        """
        num_vertices, num_joints = self.skinning_weights.shape
        shapes = {
            "template": (num_vertices, 3),
            "shape_basis": (num_vertices, 3, self.num_shape),
            "expression_basis": (num_vertices, 3, self.num_expression),
            "joint_regressor": (num_joints, num_vertices),
        }
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} is {tuple(getattr(self, name).shape)}, wanted {shape}")
        pose_shape, sizes = tuple(self.pose_basis.shape), (0, 9 * (num_joints - 1))
        if pose_shape not in {(num_vertices, 3, size) for size in sizes}:
            raise ValueError(f"pose_basis is {pose_shape}: wanted 0 or 9 (J - 1) last")
        tree = tuple(self.parents)
        if len(tree) != num_joints or any(p not in range(j) for j, p in enumerate(tree) if j):
            raise ValueError(f"parents {tree}: wanted {num_joints}, each before its child")

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
            return cls(**tensors)._checked()
        except ValueError as error:
            raise CheckpointError(f"'{path}' is not a FLAME model: {error}\n{WHERE}") from error

    @classmethod
    def _from_bytes(cls, data: bytes, origin: str) -> HeadModel:
        try:
            arrays = load(data)
        except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{origin}: damaged head model ({error})") from error
        problems = [f"missing: {name}" for name in ARRAYS if name not in arrays]
        problems += [f"unexpected: {name}" for name in arrays if name not in ARRAYS]
        if problems:
            raise CheckpointError(describe_problems(origin, problems))
        faces = arrays.pop("faces")
        try:
            if faces.dtype.kind not in "iu":
                raise ValueError(f"faces are {faces.dtype}, wanted whole numbers")
            with np.errstate(all="ignore"):
                floats = {name: array.astype(np.float32) for name, array in arrays.items()}
                for name in ("joint_regressor", "skinning_weights"):
                    # Half precision leaves rows that sum to 1 only to three digits.
                    floats[name] /= floats[name].sum(axis=1, keepdims=True)
            return cls(**floats, faces=faces.astype(np.int64), parents=PARENTS)._checked()
        except ValueError as error:
            raise CheckpointError(f"{origin}: not a head model: {error}") from error

    def _checked(self) -> HeadModel:
        """Return the model, of NumPy arrays, if a mesh can be made of its numbers.

        Raises:
            ValueError: if some are not finite, or faces name vertices that do not exist.
        """
        for name in ARRAYS:
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"{name} holds infinities or NaN as float32")
        if self.faces.ndim != 2 or self.faces.shape[1] != 3:
            raise ValueError(f"faces are {self.faces.shape}, wanted (F, 3)")
        if self.faces.size and not 0 <= self.faces.min() <= self.faces.max() < self.num_vertices:
            raise ValueError(
                f"faces name vertices {self.faces.min()} to {self.faces.max()}; there are 0 to "
                f"{self.num_vertices - 1}"
            )
        return self

    def like(self, array: Array) -> HeadModel:
        """Return the model in an array's library, on its device and of its floating-point type.

        Every method converts the model to what it is given, each time. To use tensors of another
        device often, convert the model once by this method.
        """
        if namespace(array) is namespace(self.template) and (array.dtype, array.device) == (
            self.template.dtype,
            self.template.device,
        ):
            return self
        arrays = {name: as_like(getattr(self, name), array) for name in ARRAYS}
        return HeadModel(**arrays, parents=self.parents)

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
        sizes = ((self.num_shape,), (self.num_expression,), (len(self.parents), 3))
        zeros = (as_like(np.zeros((batch_size, *size)), self.template) for size in sizes)
        return HeadParameters(*zeros)

    def shaped(
        self, shape: Float[Array, "B S2"], expression: Float[Array, "B E2"]
    ) -> Float[Array, "B V 3"]:
        """Return the template with identity and expression, at rest.

        Args:
            shape: the first S2 <= S coefficients; the others are 0.
            expression: the first E2 <= E.
        """
        model = self.like(shape)
        identity = _combined(shape, model.shape_basis[..., : shape.shape[1]])
        expressed = _combined(expression, model.expression_basis[..., : expression.shape[1]])
        return model.template + identity + expressed

    def __call__(self, parameters: HeadParameters) -> Head:
        """Return vertices and joints of posed heads; differentiable in every parameter."""
        return self.posed(self.shaped(parameters.shape, parameters.expression), parameters.pose)

    def posed(self, shaped: Float[Array, "B V 3"], pose: Float[Array, "B J 3"]) -> Head:
        """Pose heads that are shaped already: T_p and W of the equation.

        Args:
            shaped: vertices at rest, with identity and expression.
            pose: theta.
        """
        model = self.like(shaped)
        joints, rotations = model.joint_regressor @ shaped, rotation_matrices(pose)
        if model.pose_basis.shape[-1]:
            change = rotations[:, 1:] - identity(3, rotations)
            feature = namespace(change).reshape(change, (len(change), -1))
            shaped = shaped + _combined(feature, model.pose_basis)
        return Head(*skin(shaped, joints, rotations, model.skinning_weights, model.parents))


def _combined(
    coefficients: Float[Array, "B S"], basis: Float[Array, "V 3 S"]
) -> Float[Array, "B V 3"]:
    return namespace(basis).tensordot(coefficients, basis, axes=((1,), (2,)))
