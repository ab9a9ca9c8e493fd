"""Random smooth warps of the plane with an exact derivative, for the equivariance losses.

Siarohin et al., "First Order Motion Model for Image Animation", NeurIPS 2019, section 3.1 and
supplement; Bookstein, "Principal Warps", PAMI 1989, for the splines.

Shapes: B batch, P points, N control points, C channels, H and W pixels. Coordinates are in [-1, 1],
x first, with the picture's edges at -1 and 1 (`docs/conventions.md`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import einsum
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn import functional as F

from fnevr.geometry.flow import centre_grid
from fnevr.geometry.grids import coordinate_grid

EPSILON = 1e-6


@dataclass(frozen=True)
class ThinPlateWarp:
    """``T(z) = A z + t + (1, 1) sum_n w_n U(|z - c_n|)`` with ``U(r) = r^2 log(r + 1e-6)``.

    As in FOMM's released code, whose standard deviations are the defaults of `random`, the distance
    is ``|dx| + |dy|`` and the bending is the same in x and in y.

    Attributes:
        matrix: A.
        offset: t, in [-1, 1] units.
        control_points: c_n.
        bending: w_n.
    """

    matrix: Float[Tensor, "B 2 2"]
    offset: Float[Tensor, "B 2"]
    control_points: Float[Tensor, "N 2"]
    bending: Float[Tensor, "B N"]

    @staticmethod
    def random(
        batch_size: int,
        rng: Generator,
        like: Tensor,
        *,
        sigma_affine: float = 0.05,
        sigma_bending: float = 0.005,
        points_per_side: int = 5,
    ) -> ThinPlateWarp:
        """Draw warps around the identity; the defaults are the released configuration's.

        Args:
            batch_size: how many.
            rng: where the draws come from; on the CPU, so that they do not depend on the device.
            like: a tensor whose device and floating-point type the warps take.
            sigma_affine: standard deviation of the entries of ``A - 1`` and ``t``.
            sigma_bending: standard deviation of the bending; 0 gives affine warps.
            points_per_side: the control points are a square grid over [-1, 1].
        """
        affine = sigma_affine * torch.randn(batch_size, 2, 3, generator=rng)
        bending = sigma_bending * torch.randn(batch_size, points_per_side**2, generator=rng)
        affine, bending = affine.to(like), bending.to(like)
        return ThinPlateWarp(
            matrix=affine[:, :, :2] + torch.eye(2).to(like),
            offset=affine[:, :, 2],
            control_points=coordinate_grid(points_per_side, points_per_side, like).flatten(0, 1),
            bending=bending,
        )

    def points(self, points: Float[Tensor, "B P 2"]) -> Float[Tensor, "B P 2"]:
        """Return ``T(z)`` for each point z."""
        affine = einsum(self.matrix, points, "b i j, b p j -> b p i") + self.offset[:, None]
        bent = einsum(_basis(self._differences(points)), self.bending, "b p n, b n -> b p")
        return affine + bent[..., None]

    def jacobians(self, points: Float[Tensor, "B P 2"]) -> Float[Tensor, "B P 2 2"]:
        """Return ``dT/dz = A + (1, 1)^T sum_n w_n U'(r_n) sign(z - c_n)`` at each point z."""
        differences = self._differences(points)
        distances = differences.abs().sum(dim=-1)
        slopes = 2 * distances * (distances + EPSILON).log()
        slopes = slopes + distances.square() / (distances + EPSILON)
        gradient = einsum(self.bending, slopes, differences.sign(), "b n, b p n, b p n j -> b p j")
        return self.matrix[:, None] + gradient[:, :, None, :]

    def view(self, image: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Show at each pixel z what the picture shows at T(z), reflected beyond its border."""
        pixels = centre_grid(image.shape[-2], image.shape[-1], like=image)
        grid = einsum(self.matrix, pixels, "b i j, h w j -> b h w i")
        # All pictures have the same pixels, so their distances are computed once.
        bent = einsum(_basis(self._differences(pixels)), self.bending, "h w n, b n -> b h w")
        return F.grid_sample(
            image,
            grid + self.offset[:, None, None] + bent[..., None],
            mode="bilinear",
            padding_mode="reflection",
            align_corners=False,
        )

    def _differences(self, points: Float[Tensor, "*P 2"]) -> Float[Tensor, "*P N 2"]:
        return points[..., None, :] - self.control_points


def _basis(differences: Float[Tensor, "*P N 2"]) -> Float[Tensor, "*P N"]:
    distances = differences.abs().sum(dim=-1)
    return distances.square() * (distances + EPSILON).log()
