"""Keypoints with local affine frames, the motion representation of FOMM and FNeVR.

Shapes: B batch, K keypoints, N dimensions: 2, or 3 for Face vid2vid, whose third is depth.
Coordinates are in [-1, 1], x first (`docs/conventions.md`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from fnevr.geometry.arrays import Array, as_numpy, namespace


@dataclass(frozen=True)
class Keypoints:
    """Positions ``p`` and Jacobians ``J`` of K keypoints in a batch of images, of either library.

    Attributes:
        positions: ``p_k``, in [-1, 1], x first.
        jacobians: ``J_k``, the affine map from the reference frame to the image around ``p_k``.
    """

    positions: Float[Array, "B K N"]
    jacobians: Float[Array, "B K N N"]

    @property
    def batch_size(self) -> int:
        """Number of images."""
        return self.positions.shape[0]

    @property
    def num_keypoints(self) -> int:
        """Number of keypoints per image."""
        return self.positions.shape[1]

    def __len__(self) -> int:
        return self.batch_size

    def __getitem__(self, index: int | slice | Array) -> Keypoints:
        """Return some images of the batch; one index keeps the batch dimension, at size 1."""
        if isinstance(index, int):
            if not -len(self) <= index < len(self):
                raise IndexError(f"image {index} of a batch of {len(self)}")
            index %= len(self)
            index = slice(index, index + 1)
        return Keypoints(self.positions[index], self.jacobians[index])

    def to(self, device_or_dtype: Any) -> Keypoints:
        """Return tensors on another device or of another floating-point type (PyTorch alone)."""
        return Keypoints(self.positions.to(device_or_dtype), self.jacobians.to(device_or_dtype))

    def detach(self) -> Keypoints:
        """Return the same tensors outside the autograd graph (PyTorch alone)."""
        return Keypoints(self.positions.detach(), self.jacobians.detach())

    def numpy(self) -> Keypoints:
        """Return the keypoints as float32 arrays of NumPy."""
        return Keypoints(
            as_numpy(self.positions).astype(np.float32, copy=False),
            as_numpy(self.jacobians).astype(np.float32, copy=False),
        )

    def expand(self, batch_size: int) -> Keypoints:
        """Repeat the keypoints of one image for a whole batch, as a view.

        Raises:
            ValueError: if there is more than one image and another number is asked for.
        """
        if self.batch_size not in (1, batch_size):
            raise ValueError(
                f"cannot expand keypoints of {self.batch_size} images to {batch_size}: "
                "pass keypoints of one image, or of as many as there are"
            )
        xp = namespace(self.positions)
        return Keypoints(
            xp.broadcast_to(self.positions, (batch_size, *self.positions.shape[1:])),
            xp.broadcast_to(self.jacobians, (batch_size, *self.jacobians.shape[1:])),
        )

    @staticmethod
    def concatenate(parts: list[Keypoints]) -> Keypoints:
        """Join batches along the batch dimension.

        Raises:
            ValueError: if `parts` is empty.
        """
        if not parts:
            raise ValueError("nothing to concatenate: got an empty list of keypoints")
        xp = namespace(parts[0].positions)
        return Keypoints(
            xp.concat([part.positions for part in parts], axis=0),
            xp.concat([part.jacobians for part in parts], axis=0),
        )
