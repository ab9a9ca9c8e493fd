"""A face in closed form: its pose, who it is, and its expression, in about a millisecond.

Landmarks of a face are ``l = s R (N + B c) + t`` with the neutral face ``N = T + S beta`` of a
person. Where `fitting` takes Gauss-Newton steps, this takes turns: the similarity (s, R, t) that
best takes the shape to the landmarks (Umeyama, 1991), then beta and c, which are linear. Both have
Gaussian priors of variance 1 and the landmarks errors of covariance E:

    r = R^T (l - t) / s - T                                  what is left at rest
    beta = (I + S^T L S)^-1 S^T L m,  L = (E + B B^T)^-1     m: mean of r over the frames so far
    c = (I + B^T E^-1 B)^-1 B^T E^-1 (r - S beta)

Landmarks without their depth, as prepared clips store them, are given that of the shape in the
frame before, turned as the best linear map from it to the picture says.

L is the information of one face with an unknown expression. More frames make m surer, but not the
split of it: whoever always smiles keeps a part of the smile as expression.

Axes are a picture's: x to the right, y down, z away from the camera. The unit of shapes is the
height of the mean face, forehead to chin.

Shapes: N = 478 landmarks, of C = 3 coordinates or 2, S shape coefficients, E = 1 + those of
expression, the jaw's first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float

from fnevr.face3d.head_model import JOINT_NAMES, HeadModel
from fnevr.faces.expression import CHIN, FOREHEAD
from fnevr.faces.landmarks import NUM_MESH, Landmarks

TO_PICTURE = np.array([1.0, -1.0, -1.0])  # from the head's frame, y up and z out of the face
SPREAD = 0.01  # of the landmarks about the model, in face heights
DEPTH_TRUST = 0.25  # information of depth, which the landmark model guesses, beside x and y
LIDS_TRUST = 4.0  # that of the lids, which are few points
JAW_RAD = 0.2  # the jaw's deviation
STEPS_FIRST, STEPS_NEXT = 8, 2
STEP = 1e-4  # of derivatives, in deviations

# Contours in MediaPipe's mesh: each lid and the skin above or below it.
LIDS = (
    *(33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    *(247, 30, 29, 27, 28, 56, 190, 25, 110, 24, 23, 22, 26, 112),
    *(263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
    *(467, 260, 259, 257, 258, 286, 414, 255, 339, 254, 253, 252, 256, 341),
)


@dataclass(frozen=True)
class Similarity:
    """Takes a shape to a picture: l = s R v + t.

    Attributes:
        scale: s, pixels per face height of the mean face.
        rotation: R.
        shift: t, in pixels.
    """

    scale: float
    rotation: Float[np.ndarray, "3 3"]
    shift: Float[np.ndarray, " 3"]

    def __call__(self, shape: Float[np.ndarray, "*N 3"]) -> Float[np.ndarray, "*N 3"]:
        """Return the shape's points in the picture."""
        return self.scale * shape @ self.rotation.T + self.shift

    def undo(self, points: Float[np.ndarray, "*N 3"]) -> Float[np.ndarray, "*N 3"]:
        """Return the points at rest."""
        return (points - self.shift) @ self.rotation / self.scale


@dataclass(frozen=True, eq=False)
class FaceBasis:
    """The open head model as the equations above have it.

    Attributes:
        template: T, its mean at 0.
        shape_basis: S.
        expression_basis: B.
        to_shape: takes m to beta.
        to_expression: takes r - S beta to c.
        weights: of the mesh's points in the alignment, which sum to 1; those that expressions
            move weigh less.
    """

    template: Float[np.ndarray, "N 3"]
    shape_basis: Float[np.ndarray, "N 3 S"]
    expression_basis: Float[np.ndarray, "N 3 E"]
    to_shape: Float[np.ndarray, "S M"]
    to_expression: Float[np.ndarray, "E M"]
    weights: Float[np.ndarray, " P"]

    @classmethod
    @cache
    def packaged(cls) -> FaceBasis:
        """Make it from the head model that ships with the package."""
        model = HeadModel.packaged()
        height = float(np.linalg.norm(model.template[FOREHEAD] - model.template[CHIN]))
        axes = TO_PICTURE / height
        template = model.template * axes
        template -= template[:NUM_MESH].mean(axis=0)
        shape = model.shape_basis * axes[:, None]
        parameters = model.neutral(2)
        parameters.pose[1, JOINT_NAMES.index("jaw"), 0] = JAW_RAD
        closed, opened = model(parameters).vertices
        jaw = ((opened - closed) * axes)[..., None]
        expression = np.concatenate((jaw, model.expression_basis * axes[:, None]), axis=-1)

        trust = np.ones((NUM_MESH, 3))
        trust[:, 2] = DEPTH_TRUST
        trust[list(LIDS)] *= LIDS_TRUST
        information = trust.reshape(-1) / SPREAD**2
        flat_shape, flat = (
            basis[:NUM_MESH].reshape(len(information), -1) for basis in (shape, expression)
        )
        weighted = flat.T * information
        to_expression = np.linalg.solve(np.eye(len(weighted)) + weighted @ flat, weighted)
        of_shape = flat_shape.T * information
        of_shape = of_shape - (of_shape @ flat) @ to_expression  # by Woodbury: S^T L
        to_shape = np.linalg.solve(np.eye(len(of_shape)) + of_shape @ flat_shape, of_shape)
        moves = np.square(expression[:NUM_MESH]).sum(axis=(1, 2))
        weights = 1 / (moves + 0.3 * np.median(moves))
        return cls(template, shape, expression, to_shape, to_expression, weights / weights.sum())

    @property
    def num_expression(self) -> int:
        """Number of expression coefficients, the jaw's included."""
        return self.expression_basis.shape[-1]

    def align(self, shape: Float[np.ndarray, "N 3"], points: Landmarks) -> Similarity:
        """Return the similarity that best takes a shape to points (Umeyama, 1991)."""
        start, end = shape[:NUM_MESH], points[:NUM_MESH]
        from_centre, to_centre = self.weights @ start, self.weights @ end
        start, end = start - from_centre, end - to_centre
        u, singular, vt = np.linalg.svd((end * self.weights[:, None]).T @ start)
        sign = np.sign(np.linalg.det(u @ vt))  # no reflections
        u[:, 2] *= sign
        rotation = u @ vt
        spread = self.weights @ np.square(start).sum(axis=1)
        scale = float((singular[0] + singular[1] + sign * singular[2]) / spread)
        return Similarity(scale, rotation, to_centre - scale * rotation @ from_centre)

    def with_depth(
        self, shape: Float[np.ndarray, "N 3"], points: Float[np.ndarray, "N 2"]
    ) -> Float[np.ndarray, "N 3"]:
        """Return points with the depth that a shape has, turned as it best fits them.

        The rows of the best linear map of the shape to the picture are the first two of a rotation,
        times a scale (DeMenthon and Davis, 1995).
        """
        start, end = shape[:NUM_MESH], points[:NUM_MESH]
        from_centre, to_centre = self.weights @ start, self.weights @ end
        root = np.sqrt(self.weights)[:, None]
        linear = np.linalg.lstsq((start - from_centre) * root, (end - to_centre) * root)[0]
        u, singular, vt = np.linalg.svd(linear.T, full_matrices=False)
        across, down = u @ vt
        depth = singular.mean() * (shape - from_centre) @ np.cross(across, down)
        return np.concatenate((points, depth[:, None]), axis=1)


class FaceFit:
    """Fits one person's face, frame by frame; who it is becomes surer with each.

    Attributes:
        basis: of all faces.
        neutral: N, this person's face at rest.
        similarity: where the face of the last frame is.
        expression: c of the last frame.
        at_rest: the last frame's landmarks at rest, r + T.
    """

    def __init__(self) -> None:
        self.basis = FaceBasis.packaged()
        self.neutral = self.basis.template
        self.similarity = Similarity(1.0, np.eye(3), np.zeros(3))
        self.expression = np.zeros(self.basis.num_expression)
        self.at_rest = self.basis.template
        self._mean = np.zeros_like(self.basis.template)
        self._count = 0

    @property
    def residual(self) -> Float[np.ndarray, "N 3"]:
        """What the model cannot explain of the last frame, at rest."""
        return self.at_rest - self.posed(self.expression)

    def posed(self, expression: Float[np.ndarray, " E"]) -> Float[np.ndarray, "N 3"]:
        """Return this person's face at rest with an expression: N + B c."""
        return self.neutral + self.basis.expression_basis @ expression

    def update(self, landmarks: Float[np.ndarray, "N C"]) -> None:
        """Fit the next frame.

        Args:
            landmarks: in pixels, with depth in the same unit, or without it.
        """
        basis, points = self.basis, np.asarray(landmarks, np.float64)
        if points.shape[1] == 2:
            points = basis.with_depth(self.posed(self.expression), points)
        self._count += 1
        for _ in range(STEPS_FIRST if self._count == 1 else STEPS_NEXT):
            self.similarity = basis.align(self.posed(self.expression), points)
            self.at_rest = self.similarity.undo(points)
            rest = self.at_rest - basis.template
            mean = self._mean + (rest - self._mean) / self._count
            beta = basis.to_shape @ mean[:NUM_MESH].reshape(-1)
            self.neutral = basis.template + basis.shape_basis @ beta
            unexplained = (self.at_rest - self.neutral)[:NUM_MESH]
            self.expression = basis.to_expression @ unexplained.reshape(-1)
        self._mean = mean


def slopes(
    measure: Callable[[Float[np.ndarray, "N 3"]], Float[np.ndarray, " K"]],
    face: Float[np.ndarray, "N 3"],
    basis: Float[np.ndarray, "N 3 E"],
) -> Float[np.ndarray, "K E"]:
    """Return the derivatives of measures of a face at rest by the coefficients of expression."""
    start = measure(face)
    moved = [measure(face + STEP * basis[..., index]) for index in range(basis.shape[-1])]
    return (np.array(moved).T - start[:, None]) / STEP
