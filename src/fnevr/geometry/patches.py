"""Keypoints and Jacobians from dense face landmarks: motion from geometry, nothing trained.

The 478 landmarks of a face mesh are grouped into patches that move together (mirrored pairs, found
by clustering rest position and expression; the eyelids are set apart by hand). One patch gives one
keypoint, the whole face gives one more:

- ``p_k`` is the mean of the patch;
- ``J_k`` is the least-squares affine map that takes the patch of a canonical face to this face,
  pulled towards the map of the whole face by a ridge of a quarter of the patch's scatter.

Then ``J_S J_D^-1`` is the local affine motion between two frames, as in the first-order motion
model: ``T_k(z) = p_S + J_S J_D^-1 (z - p_D)``. These are the targets that the keypoint detector of
``lite`` learns.

Shapes: B batch, N landmarks, K keypoints.
"""

from __future__ import annotations

from importlib.resources import files

import numpy as np
from jaxtyping import Bool, Float, Int
from safetensors.numpy import load

from fnevr.geometry.arrays import Array, as_like, namespace
from fnevr.geometry.keypoints import Keypoints

RIDGE = 0.25
NUM_MESH_POINTS = 468


class FacePatches:
    """Linear maps from landmarks to keypoints and Jacobians, built from a canonical face.

    The maps are arrays of NumPy; landmarks may be of either library, and so are their keypoints.
    """

    def __init__(
        self,
        canonical: Float[np.ndarray, "N 3"],
        labels: Int[np.ndarray, " N"],
        mirror: Int[np.ndarray, " N"],
    ) -> None:
        """Precompute the fit.

        Args:
            canonical: the canonical face; face height 1, x to the viewer's right, y down.
            labels: patch of each landmark, -1 for none; patches 2i and 2i + 1 are mirror images.
            mirror: index of each landmark's mirror image.
        """
        mesh = np.arange(len(labels)) < NUM_MESH_POINTS
        num_patches = int(labels.max()) + 1
        masks = [labels == patch for patch in range(num_patches)] + [mesh]
        face_map = _affine_fit(canonical, mesh)
        fits = [_affine_fit(canonical, mask, towards=face_map) for mask in masks[:-1]] + [face_map]
        self.position_weights = np.stack([mask / mask.sum() for mask in masks]).astype(np.float32)
        self.jacobian_weights = np.stack(fits).astype(np.float32)
        self.mirror = mirror

    @classmethod
    def packaged(cls) -> FacePatches:
        """Load the patches that ship with the package."""
        asset = files("fnevr") / "assets" / "face_patches.safetensors"
        arrays = load(asset.read_bytes())
        canonical = arrays["canonical"].astype(np.float64)
        return cls(canonical, arrays["labels"].copy(), arrays["mirror"].copy())

    @property
    def num_keypoints(self) -> int:
        """Number of keypoints: the patches and the whole face."""
        return len(self.position_weights)

    @property
    def keypoint_mirror(self) -> list[int]:
        """Index of each keypoint's mirror image."""
        return [k ^ 1 for k in range(self.num_keypoints - 1)] + [self.num_keypoints - 1]

    def __call__(self, landmarks: Float[Array, "B N 2"]) -> Keypoints:
        """Fit keypoints to landmarks in [-1, 1] (picture edge to edge)."""
        xp = namespace(landmarks)
        means = as_like(self.position_weights, landmarks)
        fits = as_like(self.jacobian_weights, landmarks)
        jacobians = xp.tensordot(landmarks, fits, axes=((1,), (1,)))  # B 2 K 2
        return Keypoints(means @ landmarks, xp.permute_dims(jacobians, (0, 2, 1, 3)))

    def mirrored(self, landmarks: Float[Array, "B N 2"]) -> Float[Array, "B N 2"]:
        """Return the landmarks of the horizontally flipped picture."""
        order = as_like(self.mirror, landmarks)
        return namespace(landmarks).take(landmarks, order, axis=1) * as_like([-1.0, 1.0], landmarks)


def _affine_fit(
    canonical: Float[np.ndarray, "N 3"],
    mask: Bool[np.ndarray, " N"],
    towards: Float[np.ndarray, "N 2"] | None = None,
) -> Float[np.ndarray, "N 2"]:
    """Return L such that J = Y^T L is the least-squares map from masked canonical points to Y.

    With M = X^T X (X centred) and ridge r = RIDGE * trace(M) / 2 towards a map J0 = Y^T L0:
    J = (Y^T X + r J0) (M + r I)^-1.
    """
    points = canonical[mask, :2]
    points = points - points.mean(axis=0)
    scatter = points.T @ points
    fit = np.zeros((len(canonical), 2))
    fit[mask] = points
    if towards is not None:
        ridge = RIDGE * np.trace(scatter) / 2
        fit = fit + ridge * towards
        scatter = scatter + ridge * np.eye(2)
    return fit @ np.linalg.inv(scatter)
