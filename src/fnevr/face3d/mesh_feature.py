"""Mesh feature F_m: a Gaussian for every vertex, on the grid of the volume renderer.

Zeng et al., "FNeVR: Neural Volume Rendering for Face Animation", NeurIPS 2022 (face volume
rendering). The paper does not give the Gaussians' width; here it is one cell of the grid along each
axis, so that every vertex is seen however few planes there are.

Coordinates are the image's, edge to edge in [-1, 1]: x to the viewer's right, y down, and depth in
the same unit, smaller towards the camera. The planes of the renderer go from front, -1, to back, 1.

Shapes: B batch, V vertices, D planes (front to back), H and W rays.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

# Smaller factors are 0: e^-28 is 7e-13, and three of them still are no denormal float, which
# processors multiply slowly.
CUT_OFF = -28.0


def mesh_feature(
    vertices: Float[Tensor, "B V 3"], size: Sequence[int], *, width_cells: float = 1.0
) -> Float[Tensor, "B D H W"]:
    """Return ``F_m(c) = sum_i exp(-|(c - v_i) / s|^2 / 2)`` at the centres c of all cells.

    A Gaussian is the product of its profiles along the axes, so the sum over vertices is one matrix
    product of V columns: exact, and differentiable in the vertices.

    Args:
        vertices: (x, y, depth) in the image's frame. A head with a NaN (no face found) gives zeros.
        size: (D, H, W) of the grid, as `density_features.shape[-3:]`.
        width_cells: s along each axis, in cells of that axis.

    Raises:
        ValueError: if there are not three sizes, or one or the width is not positive.
    """
    if len(size) != 3 or min(size) < 1 or width_cells <= 0:
        raise ValueError(
            f"got a grid of {tuple(size)} and Gaussians of {width_cells} cells: wanted (D, H, W), "
            "all above 0"
        )
    is_found = vertices.isfinite().flatten(start_dim=1).all(dim=1)
    centres = torch.where(is_found[:, None, None], vertices, 0.0)
    depth, height, width = (
        _profiles(centres[..., axis], count, width_cells)
        for axis, count in zip((2, 1, 0), size, strict=True)
    )
    columns = (depth.unsqueeze(2) * height.unsqueeze(1)).flatten(1, 2)  # B (D H) V
    volume = (columns @ width.transpose(1, 2)).unflatten(1, size[:2])
    return volume * is_found[:, None, None, None]


def _profiles(
    centres: Float[Tensor, "B V"], count: int, width_cells: float
) -> Float[Tensor, "B N V"]:
    """Return each vertex's Gaussian at the centres of `count` cells along one axis."""
    cells = torch.arange(count, device=centres.device, dtype=centres.dtype)
    places = (centres + 1) * count / 2 - 0.5  # where a cell's index would be
    offsets = (cells[:, None] - places.unsqueeze(1)) / width_cells
    exponents = -0.5 * offsets.square()
    return torch.exp(exponents) * (exponents > CUT_OFF)
