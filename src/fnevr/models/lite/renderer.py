"""Face volume rendering of `lite`: small widths, and an auxiliary decoder of one layer."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fnevr.models.volume import ColorVolume, DensityVolume, RadianceField, Rendering


class LiteRenderer(nn.Module):
    """Renders the warped features, one ray per cell (FNeVR, face volume rendering)."""

    def __init__(self, width: int, num_planes: int, plane_width: int, hidden_width: int) -> None:
        super().__init__()
        self.density_volume = DensityVolume(width, num_planes, plane_width, num_residual_blocks=0)
        self.color_volume = ColorVolume(width, num_planes, plane_width)
        self.field = RadianceField(plane_width, hidden_width, width)
        self.auxiliary = nn.Conv2d(width, 48, kernel_size=3, padding=1)

    def forward(self, warped: Float[Tensor, "B C h w"], *, auxiliary: bool) -> Rendering:
        """Render the features.

        Args:
            warped: F_w.
            auxiliary: whether to draw the auxiliary image, four times the size, which only training
                looks at.
        """
        density_features = self.density_volume(warped)
        color_features = self.color_volume(warped)
        rendered = self.field.render(density_features, color_features, "exclusive")
        image = None
        if auxiliary:
            image = F.pixel_shuffle(self.auxiliary(rendered), upscale_factor=4).sigmoid()
        return Rendering(rendered, image, density_features)
