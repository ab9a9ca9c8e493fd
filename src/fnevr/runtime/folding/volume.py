"""Volume rendering, folded: samples as pixels of 1x1 convolutions, the last one after the blend.

Shapes: B batch, D samples per ray, C channels, H and W rays.
"""

from __future__ import annotations

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fnevr.config.stages import Transmittance
from fnevr.models.volume import FaceVolumeRenderer, RadianceField, Rendering, ray_weights
from fnevr.runtime.folding.constants import as_conv, of_kind
from fnevr.runtime.folding.upsampled import point_conv
from fnevr.runtime.folding.winograd import WinogradConv, WinogradTiles


class FoldedField(nn.Module):
    """`RadianceField`, of which only `render` is left.

    The last layer is linear, so it can follow the blend: ``sum_d w_d (W h_d + b)`` is
    ``W (sum_d w_d h_d) + b sum_d w_d``, one product for each ray instead of one for each sample.
    """

    def __init__(self, field: RadianceField) -> None:
        super().__init__()
        self.shared = nn.ModuleList(as_conv(layer) for layer in of_kind(field.shared, nn.Linear))
        self.density = as_conv(field.density)
        self.density_feature = as_conv(field.density_feature)
        self.color_feature = as_conv(field.color_feature)
        # The first layer reads two stacked features: the sum of a product with each, not stacked.
        first, *inner, last = of_kind(field.emission, nn.Linear)
        width = field.density_feature.out_features
        self.of_density = point_conv(first.weight[:, :width])
        self.of_color = point_conv(first.weight[:, width:], first.bias)
        self.emission = nn.ModuleList(as_conv(layer) for layer in inner)
        self.last = as_conv(last)

    def render(
        self,
        density_features: Float[Tensor, "B C D H W"],
        color_features: Float[Tensor, "B C D H W"],
        transmittance: Transmittance,
    ) -> Float[Tensor, "B C2 H W"]:
        """Return the rendered features ``F_r``, in (0, 1)."""
        batch, _, depth = density_features.shape[:3]
        hidden, color = (
            volume.transpose(1, 2).flatten(0, 1) for volume in (density_features, color_features)
        )
        for layer in self.shared:
            hidden = F.relu(layer(hidden))
        density = F.relu(self.density(hidden)).reshape(batch, depth, *hidden.shape[-2:])

        of_color = self.of_color(F.relu(self.color_feature(color)))
        emitted = F.relu(of_color + self.of_density(F.relu(self.density_feature(hidden))))
        *inner, final = self.emission
        for layer in inner:
            emitted = F.relu(layer(emitted))
        emitted = final(emitted)

        weights = ray_weights(density.movedim(1, -1), transmittance=transmittance).movedim(-1, 1)
        # Plane by plane: OpenVINO would copy all samples to split planes from the batch, and give
        # them as floats if it activated all of them first.
        blended = weights[:, :1] * F.relu(emitted[::depth])
        for plane in range(1, depth):
            blended = blended + weights[:, plane : plane + 1] * F.relu(emitted[plane::depth])
        total = weights.sum(dim=1, keepdim=True)
        bias = self.last.bias
        assert bias is not None
        rendered = F.conv2d(blended, self.last.weight) + bias[:, None, None] * total
        return rendered.sigmoid()


class WinogradVolumeRenderer(nn.Module):
    """`FaceVolumeRenderer` whose two volumes are made of the same tiles.

    Args:
        plain: its stages may be folded already.
    """

    def __init__(self, plain: FaceVolumeRenderer) -> None:
        super().__init__()
        self.transmittance = plain.transmittance
        density, color = plain.density_volume, plain.color_volume
        self.num_planes = density.num_planes
        self.tiles = WinogradTiles(density.project.in_channels)
        self.density, self.color = WinogradConv(density.project), WinogradConv(color.project)
        self.residual, self.field = density.residual, plain.field
        self.auxiliary = plain.auxiliary

    def forward(self, warped: Float[Tensor, "B C H W"], *, auxiliary: bool) -> Rendering:
        """Render the features; see `FaceVolumeRenderer.forward`."""
        tiles = self.tiles(warped)
        density, color = (
            rearrange(project(tiles), "b (c d) h w -> b c d h w", d=self.num_planes)
            for project in (self.density, self.color)
        )
        density = self.residual(density)
        rendered = self.field.render(density, color, self.transmittance)
        image = self.auxiliary(rendered) if auxiliary else None
        return Rendering(rendered, image, density)
