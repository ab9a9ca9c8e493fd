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

import torch
from jaxtyping import Float, Int
from safetensors.torch import load
from torch import Tensor, nn

from fnevr.geometry.keypoints import Keypoints

RIDGE = 0.25
NUM_MESH_POINTS = 468


class FacePatches(nn.Module):
    """Linear maps from landmarks to keypoints and Jacobians, built from a canonical face."""

    def __init__(
        self,
        canonical: Float[Tensor, "N 3"],
        labels: Int[Tensor, " N"],
        mirror: Int[Tensor, " N"],
    ) -> None:
        """Precompute the fit.

        Args:
            canonical: the canonical face; face height 1, x to the viewer's right, y down.
            labels: patch of each landmark, -1 for none; patches 2i and 2i + 1 are mirror images.
            mirror: index of each landmark's mirror image.
        """
        super().__init__()
        mesh = labels.new_zeros(len(labels), dtype=torch.bool)
        mesh[:NUM_MESH_POINTS] = True
        num_patches = int(labels.max()) + 1
        masks = [labels == patch for patch in range(num_patches)] + [mesh]
        face_map = _affine_fit(canonical, mesh)
        fits = [_affine_fit(canonical, mask, towards=face_map) for mask in masks[:-1]] + [face_map]
        means = [mask.double() / mask.sum() for mask in masks]
        self.register_buffer("position_weights", torch.stack(means).float(), persistent=False)
        self.register_buffer("jacobian_weights", torch.stack(fits).float(), persistent=False)
        self.register_buffer("mirror", mirror, persistent=False)
        self.position_weights: Tensor
        self.jacobian_weights: Tensor
        self.mirror: Tensor

    @classmethod
    def packaged(cls) -> FacePatches:
        """Load the patches that ship with the package."""
        asset = files("fnevr") / "assets" / "face_patches.safetensors"
        tensors = load(asset.read_bytes())
        return cls(tensors["canonical"].double(), tensors["labels"], tensors["mirror"])

    @property
    def num_keypoints(self) -> int:
        """Number of keypoints: the patches and the whole face."""
        return len(self.position_weights)

    @property
    def keypoint_mirror(self) -> list[int]:
        """Index of each keypoint's mirror image."""
        return [k ^ 1 for k in range(self.num_keypoints - 1)] + [self.num_keypoints - 1]

    def forward(self, landmarks: Float[Tensor, "B N 2"]) -> Keypoints:
        """Fit keypoints to landmarks in [-1, 1] (picture edge to edge)."""
        positions = torch.einsum("kn,bnc->bkc", self.position_weights, landmarks)
        jacobians = torch.einsum("bnc,knd->bkcd", landmarks, self.jacobian_weights)
        return Keypoints(positions, jacobians)

    def mirrored(self, landmarks: Float[Tensor, "B N 2"]) -> Float[Tensor, "B N 2"]:
        """Return the landmarks of the horizontally flipped picture."""
        return landmarks[:, self.mirror] * landmarks.new_tensor([-1.0, 1.0])


def _affine_fit(
    canonical: Float[Tensor, "N 3"], mask: Tensor, towards: Tensor | None = None
) -> Float[Tensor, "N 2"]:
    """Return L such that J = Y^T L is the least-squares map from masked canonical points to Y.

    With M = X^T X (X centred) and ridge r = RIDGE * trace(M) / 2 towards a map J0 = Y^T L0:
    J = (Y^T X + r J0) (M + r I)^-1.
    """
    points = canonical[mask, :2]
    points = points - points.mean(dim=0)
    scatter = points.T @ points
    fit = canonical.new_zeros(len(canonical), 2)
    fit[mask] = points
    if towards is not None:
        ridge = RIDGE * scatter.trace() / 2
        fit = fit + ridge * towards
        scatter = scatter + ridge * torch.eye(2, dtype=scatter.dtype)
    return fit @ scatter.inverse()
