"""Fit the head model to face-mesh landmarks: robust, regularized Gauss-Newton.

For every face, x = (camera, theta, beta, psi) minimizes

    sum_i w_i |(P(x)_i - l_i) / (SPREAD h)|^2 / CORRELATED + |(x - m) / d|^2

with P(x) the model's landmarks seen by the camera, l the landmarks found, h the face's size, and a
Gaussian prior of means m and deviations d: identity and expression have variance 1 by
construction. The w_i (Geman and McClure) take away what fits badly, such as a hidden cheek.
Landmark i is vertex i of the open head model.

Arrays are of the library of the landmarks, NumPy or PyTorch.

Shapes: B faces, T frames, N landmarks, X = 18 + S + E unknowns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from fnevr.face3d.camera import WeakPerspective
from fnevr.face3d.head_model import HeadModel, HeadParameters
from fnevr.geometry.arrays import Array, as_like, identity, namespace
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
        errors_px: distance of each landmark to its vertex in the picture; empty (N = 0) where the
            vertices are not the landmarks, as with DECA.
    """

    parameters: HeadParameters
    camera: WeakPerspective
    vertices: Float[Array, "B V 3"]
    vertices_px: Float[Array, "B V 3"]
    errors_px: Float[Array, "B N"]

    @property
    def rotations(self) -> Float[Array, "B 3 3"]:
        """Of the whole heads."""
        return rotation_matrices(self.parameters.pose[:, 0])

    @property
    def angles_deg(self) -> Float[Array, "B 3"]:
        """Yaw, pitch and roll of the heads."""
        return head_angles_deg(self.rotations)


@dataclass(frozen=True)
class Prior:
    """Independent Gaussians: means and deviations of the unknowns."""

    means: Float[Array, "B X"]
    deviations: Float[Array, "B X"]


def fit_landmarks(
    model: HeadModel, landmarks_px: Float[Array, "B N C"], num_steps: int = STEPS_FIRST
) -> Fit:
    """Fit each face by itself.

    Args:
        model: the open head model.
        landmarks_px: the 478 landmarks in pixels, as `faces.FaceMesh` finds them; without their
            depth, as prepared clips store them, it is left to the model.
        num_steps: steps of the Gauss-Newton iteration.

    Raises:
        ValueError: if the model's vertices are not the landmarks.
    """
    _check(model, landmarks_px)
    model = model.like(landmarks_px)
    start = _aligned(model, landmarks_px)
    prior = _prior(model, start)
    return _finish(model, _minimize(model, landmarks_px, start, [prior], num_steps), landmarks_px)


def fit_track(model: HeadModel, landmarks_px: Float[Array, "T N C"]) -> Fit:
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
    model, xp = model.like(landmarks_px), namespace(landmarks_px)
    indices = np.linspace(0, count - 1, min(count, IDENTITY_FRAMES)).round().astype(int)
    shape = xp.mean(fit_landmarks(model, landmarks_px[indices]).parameters.shape, axis=0)

    estimate, of_shape = _aligned(model, landmarks_px[:1]), _shape_of(model)
    estimate[:, of_shape] = shape
    free = np.delete(np.arange(estimate.shape[1]), of_shape)
    prior, estimates = _prior(model, estimate), []
    priors, steps = [prior], STEPS_FIRST
    for frame in range(count):
        landmarks = landmarks_px[frame : frame + 1]
        estimate = _minimize(model, landmarks, estimate, priors, steps, free)
        estimates.append(estimate)
        priors, steps = [prior, _near(model, estimate)], STEPS_NEXT
    return _finish(model, xp.concat(estimates, axis=0), landmarks_px)


def _check(model: HeadModel, landmarks_px: Array) -> None:
    is_open = model.num_vertices == NUM_LANDMARKS and not model.pose_basis.shape[-1]
    if tuple(landmarks_px.shape[1:]) not in {(NUM_LANDMARKS, 2), (NUM_LANDMARKS, 3)} or not is_open:
        raise ValueError(
            f"got landmarks {tuple(landmarks_px.shape)} and a model of {model.num_vertices} "
            f"vertices: wanted (B, {NUM_LANDMARKS}, 2 or 3), and HeadModel.packaged()"
        )


def _shape_of(model: HeadModel) -> slice:
    """Return where beta is among the unknowns."""
    return slice(NUM_CAMERA + NUM_POSE, NUM_CAMERA + NUM_POSE + model.num_shape)


def _unpack(model: HeadModel, x: Float[Array, "B X"]) -> tuple[WeakPerspective, HeadParameters]:
    xp = namespace(x)
    camera, coefficients = x[:, :NUM_CAMERA], x[:, NUM_CAMERA + NUM_POSE :]
    pose = xp.reshape(x[:, NUM_CAMERA : NUM_CAMERA + NUM_POSE], (len(x), -1, 3))
    parameters = HeadParameters(
        coefficients[:, : model.num_shape], coefficients[:, model.num_shape :], pose
    )
    return WeakPerspective(xp.exp(camera[:, 0]), camera[:, 1:]), parameters


def _aligned(model: HeadModel, landmarks_px: Float[Array, "B N C"]) -> Float[Array, "B X"]:
    """Return the template, turned and scaled as the best linear map to the picture says.

    The map's two rows are the rotation's first two times the scale (DeMenthon and Davis, 1995).
    """
    xp = namespace(landmarks_px)
    up = as_like([1.0, -1.0], landmarks_px)
    template, target = model.template[:NUM_MESH], landmarks_px[:, :NUM_MESH, :2] * up
    centre, middle = xp.mean(template, axis=0), xp.mean(target, axis=1)
    linear = (xp.linalg.pinv(template - centre) @ (target - middle[:, None])).mT
    u, singular, vt = xp.linalg.svd(linear, full_matrices=False)
    scale, rows = xp.mean(singular, axis=1), u @ vt
    third = xp.linalg.cross(rows[:, 0], rows[:, 1], axis=-1)
    rotation = xp.concat((rows, third[:, None]), axis=1)

    root = (model.joint_regressor @ model.template)[0]
    turned = rotation @ (centre - root) + root
    shift = middle - scale[:, None] * turned[:, :2]
    rest = NUM_POSE - 3 + model.num_shape + model.num_expression
    zeros = as_like(np.zeros((len(target), rest)), landmarks_px)
    return xp.concat((xp.log(scale)[:, None], shift * up, axis_angles(rotation), zeros), axis=1)


def _prior(model: HeadModel, x: Float[Array, "B X"]) -> Prior:
    pose = [FREE] * 3 + [NECK_DEVIATION] * 3 + [*JAW_DEVIATIONS, *EYE_DEVIATIONS, *EYE_DEVIATIONS]
    ones = [1.0] * (model.num_shape + model.num_expression)
    means = x * as_like([1.0] * NUM_CAMERA + [0.0] * (x.shape[1] - NUM_CAMERA), x)
    return Prior(means, _deviations(x, [*pose, *ones]))


def _near(model: HeadModel, x: Float[Array, "1 X"]) -> Prior:
    """Return how far a frame may be from the one before."""
    pose = [FREE] * 6 + [JAW_CHANGE] * 3 + [EYE_CHANGE] * 6
    changes = [FRAME_CHANGE] * model.num_expression
    return Prior(x, _deviations(x, [*pose, *[FREE] * model.num_shape, *changes]))


def _deviations(x: Float[Array, "B X"], of_head: Sequence[float]) -> Float[Array, "B X"]:
    """Return the deviations of all unknowns; the camera is free, and its shift is in pixels."""
    xp = namespace(x)
    scale = xp.exp(x[:, :1])
    camera = (xp.ones_like(scale), scale, scale)
    values = xp.broadcast_to(as_like(of_head, x), (len(x), len(of_head)))
    return xp.concat((FREE * xp.concat(camera, axis=1), values), axis=1)


def _minimize(
    model: HeadModel,
    landmarks_px: Float[Array, "B N C"],
    start: Float[Array, "B X"],
    priors: list[Prior],
    num_steps: int,
    free: slice | np.ndarray = slice(None),
) -> Float[Array, "B X"]:
    """Take Gauss-Newton steps, with the landmarks weighted anew before each.

    Args:
        model: the head.
        landmarks_px: what to fit.
        start: the first estimate.
        priors: of all unknowns; each adds its term.
        num_steps: how many.
        free: which unknowns to fit; the others stay as in `start`.
    """
    xp = namespace(start)
    mesh = landmarks_px[:, :NUM_MESH, :2]
    size = xp.max(xp.max(mesh, axis=1) - xp.min(mesh, axis=1), axis=1)
    has_depth = landmarks_px.shape[-1] == 3
    depth = landmarks_px[..., 2:] if has_depth else xp.zeros_like(landmarks_px[..., :1])
    depth = depth - xp.mean(depth, axis=1, keepdims=True)
    target = xp.concat((landmarks_px[..., :2], depth), axis=-1)
    trust = as_like([1.0, 1.0, DEPTH_TRUST if has_depth else 0.0], start)
    unit = trust / size[:, None, None]

    x = start
    for _ in range(num_steps):
        points_px, slopes = _linearize(model, x)
        rows, slopes = (points_px - target) * unit, slopes[:, free] * unit.mT[:, None]
        matrix, gradient = _normal_equations(
            xp.astype(slopes, xp.float64), xp.astype(rows, xp.float64)
        )
        for prior in priors:
            precision = xp.astype(prior.deviations[:, free], xp.float64) ** -2
            matrix = matrix + precision[:, None] * identity(precision.shape[1], matrix)
            gradient = gradient + precision * (x - prior.means)[:, free]
        change = xp.zeros_like(x)
        change[:, free] = xp.astype(xp.linalg.solve(matrix, gradient[..., None])[..., 0], x.dtype)
        x = x - change
    return x


def _linearize(
    model: HeadModel, x: Float[Array, "B X"]
) -> tuple[Float[Array, "B V 3"], Float[Array, "B X 3 V"]]:
    """Return the vertices in the picture, and their derivatives.

    Skinning is linear in vertices and joints together, so the derivative by a coefficient is its
    basis vector, skinned. It is linear in each joint's rotation, so the derivative by an angle is
    what changes when the rotation's derivative is added to it.
    """
    xp = namespace(x)
    camera, parameters = _unpack(model, x)
    rotations = rotation_matrices(parameters.pose)
    basis = xp.concat((model.shape_basis, model.expression_basis), axis=-1)
    by_coefficient = _skinned(model, xp.permute_dims(basis, (2, 0, 1)), rotations[:, None])

    turns = rotation_derivatives(parameters.pose)
    each_joint = identity(NUM_POSE // 3, x)[:, None, :, None, None]
    changed = rotations[:, None, None] + turns[:, :, :, None] * each_joint
    changed = xp.reshape(changed, (len(x), NUM_POSE, *rotations.shape[1:]))
    shaped = model.shaped(parameters.shape, parameters.expression)
    posed = _skinned(model, shaped[:, None], xp.concat((rotations[:, None], changed), axis=1))
    vertices, by_pose = posed[:, 0], posed[:, 1:] - posed[:, :1]

    moves = xp.concat((by_pose.mT, by_coefficient.mT), axis=1)
    moves = moves * (camera.scale[:, None] * as_like([1.0, -1.0, -1.0], x))[:, None, :, None]
    depth = moves[:, :, 2:] - xp.mean(moves[:, :, 2:], axis=-1, keepdims=True)
    by_head = xp.concat((moves[:, :, :2], depth), axis=2)

    points_px = camera.project(vertices)
    by_scale = xp.concat((points_px[..., :2] - camera.shift[:, None], points_px[..., 2:]), axis=-1)
    by_shift = as_like(np.eye(2, 3), x)[..., None]
    by_shift = xp.broadcast_to(by_shift, (len(x), *by_shift.shape[:2], by_head.shape[-1]))
    return points_px, xp.concat((by_scale.mT[:, None], by_shift, by_head), axis=1)


def _skinned(
    model: HeadModel,
    vertices: Float[Array, "*#batch V 3"],
    rotations: Float[Array, "*#batch J 3 3"],
) -> Float[Array, "*#batch V 3"]:
    joints = model.joint_regressor @ vertices
    return skin(vertices, joints, rotations, model.skinning_weights, model.parents)[0]


def _normal_equations(
    slopes: Float[Array, "B Y 3 N"], rows: Float[Array, "B N 3"]
) -> tuple[Float[Array, "B Y Y"], Float[Array, "B Y"]]:
    """Return the Gauss-Newton matrix and the gradient of the data term at the robust weights."""
    xp = namespace(rows)
    weights = (1 + xp.sum(rows**2, axis=-1) / OUTLIER**2) ** -2 / (CORRELATED * SPREAD**2)
    sizes = (*slopes.shape[:2], -1)
    weighted = xp.reshape(slopes * weights[:, None, None], sizes)
    gradient = weighted @ xp.reshape(rows.mT, (len(rows), -1, 1))
    return weighted @ xp.reshape(slopes, sizes).mT, gradient[..., 0]


def _finish(model: HeadModel, x: Float[Array, "B X"], landmarks_px: Float[Array, "B N C"]) -> Fit:
    camera, parameters = _unpack(model, x)
    vertices = model(parameters).vertices
    points_px = camera.project(vertices)
    offsets = points_px[..., :2] - landmarks_px[..., :2]
    errors = namespace(offsets).linalg.vector_norm(offsets, axis=-1)
    return Fit(parameters, camera, vertices, points_px, errors)
