"""Fit the head model to face-mesh landmarks: robust, regularized Gauss-Newton.

For every face, x = (camera, theta, beta, psi) minimizes

    sum_i w_i |(P(x)_i - l_i) / (SPREAD h)|^2 / CORRELATED + |(x - m) / d|^2

with P(x) the model's landmarks seen by the camera, l the landmarks found, h the face's size, and a
Gaussian prior of means m and deviations d: identity and expression have variance 1 by
construction. The w_i (Geman and McClure) take away what fits badly, such as a hidden cheek.
Landmark i is vertex i of the open head model.

Shapes: B faces, T frames, N landmarks, X = 18 + S + E unknowns.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fnevr.face3d.camera import WeakPerspective
from fnevr.face3d.head_model import HeadModel, HeadParameters
from fnevr.geometry.rotations import (
    axis_angles,
    head_angles_deg,
    rotation_derivatives,
    rotation_matrices,
)
from fnevr.geometry.skinning import skin

NUM_LANDMARKS, NUM_MESH = 478, 468
SPREAD = 0.01  # of the landmarks about the model, in face sizes
OUTLIER = 0.06  # a landmark this far off, in face sizes, has lost three quarters of its weight
CORRELATED = 8.0  # neighbouring landmarks err alike: so many count as one
DEPTH_TRUST = 0.5  # weight of depth, which the landmark model guesses
NUM_CAMERA, NUM_POSE = 3, 15
JAW_DEVIATIONS = (0.2, 0.03, 0.03)  # radians: it opens, and hardly does anything else
EYE_DEVIATIONS = (0.2, 0.3, 0.01)
NECK_DEVIATION = 1e-3  # from landmarks of the face alone, neck and head cannot be told apart
FREE = 1e3
STEPS_FIRST, STEPS_NEXT = 10, 3
IDENTITY_FRAMES = 8
FRAME_CHANGE = 0.5  # deviation of expression from one frame to the next
JAW_CHANGE, EYE_CHANGE = 0.06, 0.15  # radians


@dataclass(frozen=True)
class Fit:
    """Heads found in pictures.

    Attributes:
        parameters: beta, psi and theta.
        camera: from the head's frame to pixels.
        vertices: posed, in the head's frame (metres, y up).
        vertices_px: the same in the picture: x, y and depth in pixels, 0 at their mean.
        errors_px: distance of each landmark to its vertex in the picture; of none (N = 0) where the
            vertices are not the landmarks.
    """

    parameters: HeadParameters
    camera: WeakPerspective
    vertices: Float[Tensor, "B V 3"]
    vertices_px: Float[Tensor, "B V 3"]
    errors_px: Float[Tensor, "B N"]

    @property
    def rotations(self) -> Float[Tensor, "B 3 3"]:
        """Of the whole heads."""
        return rotation_matrices(self.parameters.pose[:, 0])

    @property
    def angles_deg(self) -> Float[Tensor, "B 3"]:
        """Yaw, pitch and roll of the heads."""
        return head_angles_deg(self.rotations)


@dataclass(frozen=True)
class Prior:
    """Independent Gaussians: means and deviations of the unknowns."""

    means: Float[Tensor, "B X"]
    deviations: Float[Tensor, "B X"]


def fit_landmarks(
    model: HeadModel, landmarks_px: Float[Tensor, "B N C"], num_steps: int = STEPS_FIRST
) -> Fit:
    """Fit each face by itself.

    Args:
        model: the open head model.
        landmarks_px: the 478 landmarks in pixels, as `faces.FaceMesh` finds them; without their
            depth, as prepared clips store them, it is left to the model.
        num_steps: of Gauss and Newton.

    Raises:
        ValueError: if the model's vertices are not the landmarks.
    """
    _check(model, landmarks_px)
    start = _aligned(model, landmarks_px)
    prior = _prior(model, start)
    return _finish(model, _minimize(model, landmarks_px, start, [prior], num_steps), landmarks_px)


def fit_track(model: HeadModel, landmarks_px: Float[Tensor, "T N C"]) -> Fit:
    """Fit one face through a video: one identity, each frame started from the one before.

    Identity is the mean over up to `IDENTITY_FRAMES` frames, fitted by themselves; then expression,
    jaw and eyes may change from frame to frame by a limited amount.

    Args:
        model: the open head model.
        landmarks_px: of each frame, in pixels; with or without depth.

    Raises:
        ValueError: if there is no frame, or the model's vertices are not the landmarks.
    """
    _check(model, landmarks_px)
    count = len(landmarks_px)
    if count == 0:
        raise ValueError("got no frames: at least one is wanted")
    chosen = torch.linspace(0, count - 1, min(count, IDENTITY_FRAMES)).round().long()
    shape = fit_landmarks(model, landmarks_px[chosen]).parameters.shape.mean(dim=0)

    estimate = _aligned(model, landmarks_px[:1])
    is_free = torch.ones_like(estimate[0], dtype=torch.bool)
    is_free[_shape_of(model)] = False
    estimate[:, ~is_free] = shape
    prior, found = _prior(model, estimate), []
    priors, steps = [prior], STEPS_FIRST
    for landmarks in landmarks_px.split(1):
        estimate = _minimize(model, landmarks, estimate, priors, steps, is_free)
        found.append(estimate)
        priors, steps = [prior, _near(model, estimate)], STEPS_NEXT
    return _finish(model, torch.cat(found), landmarks_px)


def _check(model: HeadModel, landmarks_px: Tensor) -> None:
    is_open = model.num_vertices == NUM_LANDMARKS and not model.pose_basis.shape[-1]
    if landmarks_px.shape[1:] not in {(NUM_LANDMARKS, 2), (NUM_LANDMARKS, 3)} or not is_open:
        raise ValueError(
            f"got landmarks {tuple(landmarks_px.shape)} and a model of {model.num_vertices} "
            f"vertices: wanted (B, {NUM_LANDMARKS}, 2 or 3), and HeadModel.packaged()"
        )


def _shape_of(model: HeadModel) -> slice:
    """Return where beta is among the unknowns."""
    return slice(NUM_CAMERA + NUM_POSE, NUM_CAMERA + NUM_POSE + model.num_shape)


def _unpack(model: HeadModel, x: Float[Tensor, "B X"]) -> tuple[WeakPerspective, HeadParameters]:
    camera, pose, shape, expression = x.split(
        (NUM_CAMERA, NUM_POSE, model.num_shape, model.num_expression), dim=1
    )
    parameters = HeadParameters(shape, expression, pose.unflatten(1, (5, 3)))
    return WeakPerspective(camera[:, 0].exp(), camera[:, 1:]), parameters


def _aligned(model: HeadModel, landmarks_px: Float[Tensor, "B N C"]) -> Float[Tensor, "B X"]:
    """Return the template, turned and scaled as the best linear map to the picture says.

    The map's two rows are the rotation's first two times the scale (DeMenthon and Davis, 1995).
    """
    template = model.template[:NUM_MESH]
    target = landmarks_px[:, :NUM_MESH, :2] * landmarks_px.new_tensor([1.0, -1.0])
    middle = target.mean(dim=1)
    points = template - template.mean(dim=0)
    linear = (torch.linalg.pinv(points) @ (target - middle.unsqueeze(1))).transpose(1, 2)
    u, singular, vt = torch.linalg.svd(linear, full_matrices=False)
    scale, rows = singular.mean(dim=1), u @ vt
    third = torch.linalg.cross(rows[:, 0], rows[:, 1])
    rotation = torch.cat((rows, third.unsqueeze(1)), dim=1)

    root = (model.joint_regressor @ model.template)[0]
    turned = (rotation @ (template.mean(dim=0) - root)[:, None]).squeeze(-1) + root
    shift = middle - scale[:, None] * turned[:, :2]
    x = landmarks_px.new_zeros(
        len(target), NUM_CAMERA + NUM_POSE + model.num_shape + model.num_expression
    )
    x[:, 0] = scale.log()
    x[:, 1:3] = shift * shift.new_tensor([1.0, -1.0])
    x[:, 3:6] = axis_angles(rotation)
    return x


def _prior(model: HeadModel, x: Float[Tensor, "B X"]) -> Prior:
    pose = [FREE] * 3 + [NECK_DEVIATION] * 3 + [*JAW_DEVIATIONS, *EYE_DEVIATIONS, *EYE_DEVIATIONS]
    ones = [1.0] * (model.num_shape + model.num_expression)
    deviations = x.new_tensor([FREE, FREE, FREE, *pose, *ones]).expand_as(x).clone()
    deviations[:, 1:3] *= x[:, :1].exp()  # pixels
    means = torch.zeros_like(x)
    means[:, :3] = x[:, :3]
    return Prior(means, deviations)


def _near(model: HeadModel, x: Float[Tensor, "1 X"]) -> Prior:
    """Return how far a frame may be from the one before."""
    pose = [FREE] * 6 + [JAW_CHANGE] * 3 + [EYE_CHANGE] * 6
    changes = [FRAME_CHANGE] * model.num_expression
    values = [FREE] * 3 + pose + [FREE] * model.num_shape + changes
    deviations = x.new_tensor(values).expand_as(x).clone()
    deviations[:, 1:3] *= x[:, :1].exp()
    return Prior(x, deviations)


def _minimize(
    model: HeadModel,
    landmarks_px: Float[Tensor, "B N C"],
    start: Float[Tensor, "B X"],
    priors: list[Prior],
    num_steps: int,
    is_free: Bool[Tensor, " X"] | None = None,
) -> Float[Tensor, "B X"]:
    """Take Gauss-Newton steps, with the landmarks weighted anew before each.

    Args:
        model: the head.
        landmarks_px: what to fit.
        start: the first estimate.
        priors: of all unknowns; each adds its term.
        num_steps: how many.
        is_free: unknowns to fit, the others stay as in `start`; None for all.
    """
    mesh = landmarks_px[:, :NUM_MESH, :2]
    size = (mesh.amax(dim=1) - mesh.amin(dim=1)).amax(dim=1)
    has_depth = landmarks_px.shape[-1] == 3
    depth = landmarks_px[..., 2:] if has_depth else torch.zeros_like(landmarks_px[..., :1])
    target = torch.cat((landmarks_px[..., :2], depth - depth.mean(dim=1, keepdim=True)), dim=-1)
    trust = landmarks_px.new_tensor([1.0, 1.0, DEPTH_TRUST if has_depth else 0.0])
    is_free = torch.ones_like(start[0], dtype=torch.bool) if is_free is None else is_free
    free = is_free.nonzero().squeeze(1)

    x = start
    for _ in range(num_steps):
        seen, slopes = _linearize(model, x)
        unit = trust / size[:, None, None]
        rows, slopes = (seen - target) * unit, slopes[..., free] * unit.unsqueeze(-1)
        matrix, gradient = _normal_equations(slopes.double(), rows.double())
        for prior in priors:
            precision = prior.deviations[:, free].double() ** -2
            matrix = matrix + torch.diag_embed(precision)
            gradient = gradient + precision * (x - prior.means)[:, free]
        x = x.index_add(1, free, -torch.linalg.solve(matrix, gradient).to(x))
    return x


def _linearize(
    model: HeadModel, x: Float[Tensor, "B X"]
) -> tuple[Float[Tensor, "B V 3"], Float[Tensor, "B V 3 X"]]:
    """Return the vertices in the picture, and their derivatives.

    Skinning is linear in vertices and joints together, so the derivative by a coefficient is its
    basis vector, skinned. It is linear in each joint's rotation, so the derivative by an angle is
    what changes when the rotation's derivative is added to it.
    """
    camera, parameters = _unpack(model, x)
    faces = len(x)
    rotations = rotation_matrices(parameters.pose)
    basis = torch.cat((model.shape_basis, model.expression_basis), dim=-1).permute(2, 0, 1)
    by_coefficient = _skinned(
        model, basis.repeat(faces, 1, 1), rotations.repeat_interleave(len(basis), dim=0)
    ).unflatten(0, (faces, len(basis)))

    turns = rotation_derivatives(parameters.pose)
    each_joint = torch.eye(NUM_POSE // 3, dtype=x.dtype, device=x.device)
    changed = rotations[:, None, None] + torch.einsum("bjkrc,ji->bjkirc", turns, each_joint)
    changed = torch.cat((rotations.unsqueeze(1), changed.flatten(1, 2)), dim=1)
    shaped = model.shaped(parameters.shape, parameters.expression)
    posed = _skinned(
        model, shaped.repeat_interleave(1 + NUM_POSE, dim=0), changed.flatten(0, 1)
    ).unflatten(0, (faces, 1 + NUM_POSE))
    vertices, by_pose = posed[:, 0], posed[:, 1:] - posed[:, :1]

    moves = torch.cat((by_pose, by_coefficient), dim=1).permute(0, 2, 3, 1)
    slopes = moves * camera.scale[:, None, None, None] * x.new_tensor([[1.0], [-1.0], [-1.0]])
    slopes[:, :, 2] -= slopes[:, :, 2].mean(dim=1, keepdim=True)

    seen = camera.project(vertices)
    by_shift = torch.eye(3, 2, dtype=x.dtype, device=x.device).expand(*seen.shape, 2)
    by_scale = seen - torch.nn.functional.pad(camera.shift, (0, 1)).unsqueeze(1)
    return seen, torch.cat((by_scale.unsqueeze(-1), by_shift, slopes), dim=-1)


def _skinned(
    model: HeadModel, vertices: Float[Tensor, "M V 3"], rotations: Float[Tensor, "M J 3 3"]
) -> Float[Tensor, "M V 3"]:
    joints = model.joint_regressor @ vertices
    return skin(vertices, joints, rotations, model.skinning_weights, model.parents)[0]


def _normal_equations(
    slopes: Float[Tensor, "B N 3 Y"], rows: Float[Tensor, "B N 3"]
) -> tuple[Float[Tensor, "B Y Y"], Float[Tensor, "B Y"]]:
    """Return the Gauss-Newton matrix and the gradient of the data term at the robust weights."""
    squared = rows.square().sum(dim=-1)
    weights = (1 + squared / OUTLIER**2) ** -2 / (CORRELATED * SPREAD**2)
    weighted = (slopes * weights[..., None, None]).flatten(1, 2)
    matrix = slopes.flatten(1, 2).transpose(1, 2) @ weighted
    return matrix, (weighted * rows.flatten(1).unsqueeze(-1)).sum(dim=1)


def _finish(model: HeadModel, x: Float[Tensor, "B X"], landmarks_px: Float[Tensor, "B N C"]) -> Fit:
    camera, parameters = _unpack(model, x)
    vertices = model(parameters).vertices
    seen = camera.project(vertices)
    errors = (seen[..., :2] - landmarks_px[..., :2]).norm(dim=-1)
    return Fit(parameters, camera, vertices, seen, errors)
