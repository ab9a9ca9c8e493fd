"""Face volume rendering: 3D features along the viewing axis, composited into one 2D map.

Every output pixel is one ray and every depth plane one sample on it, so no camera is needed: the
volume is already aligned with the driving view.

Shapes: B batch, H and W rays, D samples per ray (front to back), C channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fnevr.config.stages import Transmittance
from fnevr.models.blocks import ConvBlock, ResidualBlock


@dataclass(frozen=True)
class Rendering:
    """What the renderer makes of the warped features.

    Attributes:
        features: the composited features ``F_r``, in (0, 1).
        image: the auxiliary image drawn from them alone, in (0, 1), of `base` in [0.5, 1) (see
            `AuxiliaryDecoder`); None unless it was asked for.
        density_features: the volume ``F_sigma``, which a mesh can be matched against.
    """

    features: Float[Tensor, "B C H W"]
    image: Float[Tensor, "B 3 H2 W2"] | None
    density_features: Float[Tensor, "B C3 D H W"]


def composite(
    features: Float[Tensor, "*rays D C"],
    density: Float[Tensor, "*rays D"],
    *,
    transmittance: Transmittance = "exclusive",
) -> tuple[Float[Tensor, "*rays C"], Float[Tensor, "*rays"]]:
    """Blend the samples of each ray, front to back (FNeVR, face volume rendering; NeRF, Eq. 3).

    The result is ``sum_j tau_j (1 - exp(-sigma_j)) c_j`` over the samples j of a ray, with density
    sigma_j and feature c_j. The transmittance ``tau_j = exp(-sum_i sigma_i)`` is the share of the
    light that reaches sample j. "exclusive", the papers' rule, sums over the samples in front,
    ``i < j``. "inclusive" sums over ``i <= j``, as the authors' released code does: an opaque
    sample then hides itself. Use it only to run their weights.

    Args:
        features: c, what each sample emits; any range.
        density: sigma, the optical thickness of each sample, >= 0: density times the distance
            between samples, so it has no unit.
        transmittance: which samples attenuate sample j: those in front, or itself too.

    Returns:
        The blended features, and the sum of the weights of each ray, in [0, 1].

    Raises:
        ValueError: if `transmittance` is not one of the two rules.
    """
    weights = ray_weights(density, transmittance=transmittance)
    return einsum(weights, features, "... d, ... d c -> ... c"), weights.sum(dim=-1)


def ray_weights(
    density: Float[Tensor, "*rays D"], *, transmittance: Transmittance = "exclusive"
) -> Float[Tensor, "*rays D"]:
    """Return ``tau_j (1 - exp(-sigma_j))``: how much each sample counts in `composite`.

    Raises:
        ValueError: if `transmittance` is not one of the two rules.
    """
    absorbed = density.cumsum(dim=-1)
    if transmittance == "exclusive":
        absorbed = absorbed - density
    elif transmittance != "inclusive":
        raise ValueError(f"transmittance must be 'exclusive' or 'inclusive', got {transmittance!r}")
    return torch.exp(-absorbed) * (1 - torch.exp(-density))


class DensityVolume(nn.Module):
    """P_sigma: 2D features to the volume ``F_sigma``, refined in 3D."""

    def __init__(
        self, in_width: int, num_planes: int, plane_width: int, num_residual_blocks: int
    ) -> None:
        super().__init__()
        self.num_planes = num_planes
        self.project = nn.Conv2d(in_width, plane_width * num_planes, 3, padding=1)
        self.residual = nn.Sequential()
        for _ in range(num_residual_blocks):
            self.residual.extend((ResidualBlock(plane_width, ndim=3), nn.BatchNorm3d(plane_width)))

    def forward(self, warped: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C3 D H W"]:
        """Return ``F_sigma``: the projection, read channel by channel, D planes each."""
        volume = rearrange(self.project(warped), "b (c d) h w -> b c d h w", d=self.num_planes)
        return self.residual(volume)


class ColorVolume(nn.Module):
    """P_color: 2D features to the volume ``F_color``."""

    def __init__(self, in_width: int, num_planes: int, plane_width: int) -> None:
        super().__init__()
        self.num_planes = num_planes
        self.project = nn.Conv2d(in_width, plane_width * num_planes, 3, padding=1)

    def forward(self, warped: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C3 D H W"]:
        """Return ``F_color``: the projection, read channel by channel, D planes each."""
        return rearrange(self.project(warped), "b (c d) h w -> b c d h w", d=self.num_planes)


class RadianceField(nn.Module):
    """f_theta: density and emitted feature of each sample, from its two feature vectors."""

    def __init__(self, in_width: int, hidden_width: int, out_width: int) -> None:
        super().__init__()
        self.shared = nn.ModuleList(
            (nn.Linear(in_width, hidden_width), nn.Linear(hidden_width, hidden_width))
        )
        self.density = nn.Linear(hidden_width, 1)
        self.density_feature = nn.Linear(hidden_width, hidden_width // 4)
        self.color_feature = nn.Linear(in_width, hidden_width)
        self.emission = nn.ModuleList(
            (
                nn.Linear(hidden_width // 4 + hidden_width, hidden_width),
                nn.Linear(hidden_width, hidden_width),
                nn.Linear(hidden_width, out_width),
            )
        )

    def forward(
        self, density_in: Float[Tensor, "*rays C"], color_in: Float[Tensor, "*rays C"]
    ) -> tuple[Float[Tensor, "*rays C2"], Float[Tensor, "*rays"]]:
        """Return the emitted features, unbounded, and the density, >= 0."""
        hidden = density_in
        for layer in self.shared:
            hidden = F.relu(layer(hidden))
        density = F.relu(self.density(hidden).squeeze(-1))

        emitted = torch.cat(
            (F.relu(self.density_feature(hidden)), F.relu(self.color_feature(color_in))), dim=-1
        )
        *inner, last = self.emission
        for layer in inner:
            emitted = F.relu(layer(emitted))
        return last(emitted), density

    def render(
        self,
        density_features: Float[Tensor, "B C D H W"],
        color_features: Float[Tensor, "B C D H W"],
        transmittance: Transmittance,
    ) -> Float[Tensor, "B C2 H W"]:
        """Return the rendered features ``F_r`` of two volumes, in (0, 1).

        FNeVR, face volume rendering: F_r = sum_j tau_j (1 - exp(-sigma_j)) c_j (see `composite`),
        then a sigmoid, as in the released code.
        """
        samples = "b c d h w -> b h w d c"
        emitted, density = self(
            rearrange(density_features, samples), rearrange(color_features, samples)
        )
        blended, _ = composite(emitted, density, transmittance=transmittance)
        return rearrange(blended, "b h w c -> b c h w").sigmoid()


class AuxiliaryDecoder(nn.Module):
    """Draw an image from the rendered features alone, which gives the renderer a loss of its own.

    As in the released code, the last block ends in a ReLU before the sigmoid, so the image cannot
    be darker than 0.5.
    """

    def __init__(self, in_width: int, width: int, num_ups: int) -> None:
        super().__init__()
        widths = [in_width, *[width] * (num_ups - 1), 3]
        self.up = nn.ModuleList(
            ConvBlock(widths[i], widths[i + 1], resample="up") for i in range(num_ups)
        )

    def forward(self, features: Float[Tensor, "B C H W"]) -> Float[Tensor, "B 3 H2 W2"]:
        """Return the auxiliary image."""
        for block in self.up:
            features = block(features)
        return features.sigmoid()


class FaceVolumeRenderer(nn.Module):
    """Warped features to rendered features, by way of a volume (FNeVR, face volume rendering)."""

    def __init__(
        self,
        feature_width: int,
        num_planes: int,
        plane_width: int,
        num_residual_blocks: int,
        hidden_width: int,
        auxiliary_width: int,
        num_ups: int,
        transmittance: Transmittance,
    ) -> None:
        super().__init__()
        self.transmittance = transmittance
        self.density_volume = DensityVolume(
            feature_width, num_planes, plane_width, num_residual_blocks
        )
        self.color_volume = ColorVolume(feature_width, num_planes, plane_width)
        self.field = RadianceField(plane_width, hidden_width, feature_width)
        self.auxiliary = AuxiliaryDecoder(feature_width, auxiliary_width, num_ups)

    def forward(self, warped: Float[Tensor, "B C H W"], *, auxiliary: bool) -> Rendering:
        """Render the features.

        Args:
            warped: F_w.
            auxiliary: whether to draw the auxiliary image, which only training looks at.
        """
        density_features = self.density_volume(warped)
        color_features = self.color_volume(warped)
        rendered = self.field.render(density_features, color_features, self.transmittance)
        image = self.auxiliary(rendered) if auxiliary else None
        return Rendering(rendered, image, density_features)
